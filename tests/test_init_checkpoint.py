"""Starting with another net's weights, all or some of them, and training some variables only."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import recipes, tower
from graph_resnet.errors import UserError
from graph_resnet.inference import restore
from graph_resnet.training import graph, init_checkpoint
from graph_resnet.training import run as training_run
from graph_resnet.training.options import Machine, Show, Start
from graph_resnet.training.start import Job
from tests.helpers import run

TINY = {"image_size": 8, "batch_size": 4}


def recipe(**changes):
    return dataclasses.replace(recipes.RECIPES["notebook"], **{**TINY, **changes})


def train(records, directory, steps, **options):
    directory.mkdir(exist_ok=True)
    start = options.pop("start", Start())
    training_run.run(
        Job(
            recipe(steps=steps),
            records,
            directory,
            start=start,
            machine=Machine("float32"),
            show=Show(print),
            **options,
        )
    )


def weights(directory, step):
    reader = tf.train.load_checkpoint(str(directory / f"model.ckpt-{step}"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_a_run_starts_with_another_nets_weights(records, tmp_path, capsys):
    train(records, tmp_path / "first", 3)
    first = weights(tmp_path / "first", 3)
    options = {
        "seed": 7,
        "start": Start(
            tmp_path / "first",
            exclude_scopes=("resnet/classification",),
            trainable_scopes=("resnet/classification", "resnet/block3/residual_block2"),
        ),
    }
    train(records, tmp_path / "second", 2, **options)
    second = weights(tmp_path / "second", 2)
    assert second["global_step"] == 2
    frozen = [n for n in first if n.startswith(("resnet/block1", "resnet/block2")) and n.endswith(("weights", "beta"))]
    assert len(frozen) == 16
    for name in frozen:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    for name in ("resnet/classification/logit/weights", "resnet/block3/residual_block2/conv1/weights"):
        assert not np.array_equal(first[name], second[name]), name
    assert "resnet/block1/conv5_5/weights/Momentum" not in second  # no slots for variables that are not trained
    capsys.readouterr()
    (tmp_path / "first").rename(tmp_path / "elsewhere")  # it is no longer needed
    train(records, tmp_path / "second", 3, **options)
    assert "goes on at step 2 of 3, and not from the initial checkpoint" in capsys.readouterr().out


def net(num_classes, parts=0):
    """The net's logits on zeros; its variables are split into `parts` parts, or whole if 0."""
    partitioner = tf.fixed_size_partitioner(parts) if parts else None
    with tf.variable_scope(tf.get_variable_scope(), partitioner=partitioner):
        return tower.logits(recipe(), tf.zeros([2, 8, 8, 3]), num_classes, is_training=True)


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0), (2, 3), (1, 1)])
def test_initial_weights_from_and_for_partitioned_variables(tmp_path, before, after):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        expected = net(3, before)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "model.ckpt"), write_state=False)
        expected = session.run(expected)
    with tf.Graph().as_default(), tf.Session() as session:
        logits = net(3, after)
        session.run(tf.global_variables_initializer())
        initial = init_checkpoint.InitialWeights(tmp_path / "model.ckpt")
        initial(session)
        np.testing.assert_allclose(session.run(logits), expected, rtol=1e-5)
        assert str(initial).startswith("62 variables of ")
        session.run(tf.global_variables_initializer())
        restore.load(session, str(tmp_path / "model.ckpt"))
        np.testing.assert_allclose(session.run(logits), expected, rtol=1e-5)
    with tf.Graph().as_default():
        net(5, after)
        with pytest.raises(
            UserError, match=r"biases is \[3\] there, \[5\] here.*--exclude-scopes resnet/classification"
        ):
            init_checkpoint.InitialWeights(tmp_path / "model.ckpt")
        initial = init_checkpoint.InitialWeights(tmp_path / "model.ckpt", ["resnet/classification"])
        assert str(initial).endswith(
            "2 start new: resnet/classification/logit/biases, resnet/classification/logit/weights"
        )


def test_misfits_are_listed_with_the_flag_that_helps(records, tmp_path):
    train(records, tmp_path, 1)
    with tf.Graph().as_default():
        net(num_classes=5)
        with pytest.raises(UserError) as error:
            init_checkpoint.InitialWeights(tmp_path)
    message = str(error.value)
    assert "resnet/classification/logit/weights is [512, 3] there, [512, 5] here" in message
    assert "resnet/classification/logit/biases is [3] there, [5] here" in message
    assert message.endswith("To initialize these randomly: --exclude-scopes resnet/classification")
    with tf.Graph().as_default():
        net(num_classes=5)
        init_checkpoint.InitialWeights(tmp_path, ["resnet/classification"])
        with pytest.raises(UserError, match="--exclude-scopes resnet/clasification: no variable begins with it"):
            init_checkpoint.InitialWeights(tmp_path, ["resnet/clasification"])
        with pytest.raises(UserError, match="--exclude-scopes resnet: that excludes the whole net, so nothing is read"):
            init_checkpoint.InitialWeights(tmp_path, ["resnet"])
    with tf.Graph().as_default():
        tower.logits(recipe(net="resnet18"), tf.zeros([2, 32, 32, 3]), 3, is_training=True)
        with pytest.raises(UserError, match="and 104 more. It belongs to another net: pass another --init-checkpoint"):
            init_checkpoint.InitialWeights(tmp_path)


def test_a_scope_to_train_must_exist(records):
    with tf.Graph().as_default():
        with pytest.raises(
            UserError, match="--trainable-scopes resnet18: no variable begins with it; the scopes are resnet/"
        ):
            graph.build(recipe(), records, seed=0, trainable_scopes=["resnet18"])


def test_another_number_of_classes_from_the_command_line(records, tmp_path):
    train(records, tmp_path / "first", 1)
    flags = "--dataset synthetic --image-size 8 --batch-size 4 --steps 2 --precision float32".split()
    status, lines, err = run(*flags, "--train-dir", tmp_path / "a", "--init-checkpoint", tmp_path / "first")
    assert (status, err.count("\n")) == (1, 1)
    assert err.endswith("--exclude-scopes resnet/classification\n")
    status, lines, err = run(
        *flags, "--train-dir", tmp_path / "a", "--init-checkpoint", tmp_path / "first",
        "--exclude_scopes", "resnet/classification", "--profile", 1,
    )  # fmt: skip
    assert status == 0, err
    assert lines[-1].startswith("[final]: step 2 ")
    assert list((tmp_path / "a" / "profile").glob("timeline-*.json"))
    assert any(re.match(r"\S*Conv2D\S* +\d+ +\d+\.\d\d +\d", line) for line in lines)
    page = (tmp_path / "a" / "report.html").read_text()
    assert "data:image/png;base64," in page and "<svg" in page
    assert "<script" not in page and not re.search(r'(?:src|href)="(?!#|data:)', page)  # no external content
