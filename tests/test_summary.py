"""The table of layers: from the command line, and for other nets."""

import dataclasses
import os
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import recipes
from graph_resnet.errors import UserError
from graph_resnet.net import ResNet
from graph_resnet.training import summary
from tests.helpers import ROOT


def test_command_line(tmp_path):
    """The numbers of a Keras tutorial's `model.summary()`; needs no data and no train dir."""
    result = subprocess.run(
        [sys.executable, "-m", "graph_resnet.train", "--summary", "--recipe", "resnet18-flip"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert list(tmp_path.iterdir()) == []
    assert lines[0] == "resnet18-flip: resnet18, images 32x32x3, 10 classes"
    rows = [line.split("  ") for line in lines]
    rows = [[cell.strip() for cell in row if cell] for row in rows]
    for row in (
        ["layer", "kind", "output", "parameters"],
        ["resnet18/stem/conv1", "3x3 conv, batch norm, ReLU", "(None, 30, 30, 64)", "2,048"],
        ["resnet18/block1/max_pool", "2x2 max pool", "(None, 30, 30, 64)", "0"],
        ["resnet18/block1/unit1/conv1", "3x3 conv, batch norm, ReLU", "(None, 30, 30, 64)", "37,184"],
        ["resnet18/block4/unit1/shortcut", "1x1 conv/2", "(None, 4, 4, 512)", "131,584"],
        ["resnet18/block4/unit1/conv1", "3x3 conv/2, batch norm, ReLU", "(None, 4, 4, 512)", "1,182,208"],
        ["resnet18/block4/unit1/conv2", "3x3 conv, batch norm", "(None, 4, 4, 512)", "2,361,856"],
        ["resnet18/block4/unit2", "sum, ReLU", "(None, 4, 4, 512)", "0"],
        ["resnet18/global_pool", "global mean", "(None, 512)", "0"],
        ["resnet18/logit", "dense", "(None, 10)", "5,130"],
        ["parameters: 11,184,778"],
        ["trainable: 11,176,970"],
        ["moving averages: 7,808"],
    ):
        assert rows.count(row) == 1, row
    names = [row[0] for row in rows if row and row[0].startswith("resnet18/")]
    # Convolutions, a max pool, sums, the global pool, the last layer.
    assert len(names) == len(set(names)) == 20 + 1 + 8 + 1 + 1


@pytest.mark.parametrize(
    ("changes", "num_classes"),
    [
        ({"dataset": "cifar100"}, 100),
        ({"dataset": "cifar100", "label": "coarse"}, 20),
        ({"dataset": "synthetic"}, 10),
        ({"dataset": "synthetic100"}, 100),
    ],
)
def test_number_of_classes(changes, num_classes):
    lines = summary.of_recipe(dataclasses.replace(recipes.RECIPES["notebook"], **changes)).splitlines()
    assert lines[0] == f"notebook: bottleneck, images 96x96x3, {num_classes} classes"
    assert f"trainable: {614_272 + 513 * num_classes:,}" in lines


def test_labels_that_the_dataset_lacks():
    recipe = dataclasses.replace(recipes.RECIPES["notebook"], label="coarse")
    with pytest.raises(UserError, match="^label 'coarse': cifar10 has only fine labels$"):
        summary.of_recipe(recipe)


def test_images_that_are_too_small_are_refused_as_in_training():
    recipe = dataclasses.replace(recipes.RECIPES["resnet18-flip"], image_size=2)
    with pytest.raises(UserError, match="^image size 2: resnet18 needs at least 3; pass a larger one$"):
        summary.of_recipe(recipe)


def test_images_of_ones_own_have_no_number_of_classes_without_their_folders():
    recipe = dataclasses.replace(recipes.RECIPES["notebook"], dataset="pictures")
    with pytest.raises(UserError, match="^dataset 'pictures': "):
        summary.of_recipe(recipe)


def test_rows_of_a_graph_without_batch_norm(graph):
    """For one of two towers, in a graph with other ops."""
    x = tf.placeholder(tf.float32, [None, 33, 33, 3])
    tf.get_variable("resnet_of_somebody_else", [7])
    ResNet(x, num_classes=7)
    ResNet(x, num_classes=7, reuse=True)
    rows = {row.name: row for row in summary.layers("resnet")}
    assert rows["resnet/block1/conv5_5"] == summary.Layer(
        "resnet/block1/conv5_5", ["5x5 conv/2", "ReLU"], "(None, 17, 17, 32)", 2_432, 2_432
    )
    assert rows["resnet/block3/residual_block1/shortcut"].kinds == ["1x1 conv/2"]
    assert sum(row.trainable for row in rows.values()) == sum(
        variable.shape.num_elements() for variable in tf.trainable_variables("resnet/")
    )
