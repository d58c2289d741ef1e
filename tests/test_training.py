"""`training.train`, the command's call, from Python in an eager process."""

import dataclasses
import json
import subprocess
import sys

import pytest

from graph_resnet import config, recipes, training
from graph_resnet.errors import UserError
from tests.helpers import ROOT

PROGRAM = """
import dataclasses, os, sys, tensorflow as tf
from graph_resnet import training
from graph_resnet.recipes import RECIPES

recipe = dataclasses.replace(
    RECIPES["notebook"], dataset="synthetic", image_size=8, batch_size=50, steps=2, eval_every=1
)
graph, lines = tf.compat.v1.get_default_graph(), []
machine = training.Machine(precision="float32")
result = training.train(recipe, sys.argv[1], machine=machine)
again = training.train(recipe, sys.argv[1], machine=machine, show=training.Show(lines.append))
assert tf.executing_eagerly() and tf.constant(1).numpy() == 1
assert tf.compat.v1.get_default_graph() is graph and not graph.get_operations()
assert again == result and "finished already" in lines[-1], lines
assert result.step == 2 and os.path.exists(result.checkpoint + ".index") and result.images == 1000
assert [record["step"] for record in result.history if record["split"] == "val"] == [1, 2]
"""


def test_it_prints_nothing_and_leaves_the_callers_graph_alone(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "run")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    values = json.loads((tmp_path / "run" / "config.json").read_text())
    assert values["finished"]["step"] == 2 and values["finished"]["seconds"] > 0
    assert values["machine"]["cores"] >= 1 and values["command"] is None
    assert values["architecture"]["scope"] == "resnet" and values["trainable_scopes"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": training.Data(data_dir="/nowhere")}, "data_dir /nowhere: no such directory"),
        ({"seed": 2**40}, "seed is 1099511627776, not a whole number from"),
        ({"output": training.Output(save_every=0)}, "save_every is 0, not a whole number from 1 to"),
        ({"output": training.Output(keep_best=True)}, "keep_best needs hold_out"),
        ({"machine": training.Machine(precision="float8")}, "precision is 'float8', not one of auto, bfloat16"),
        ({"recipe": "notebok"}, "recipe 'notebok': not one of notebook"),
    ],
)
def test_a_failed_start_leaves_no_train_dir(options, message, tmp_path):
    with pytest.raises(UserError, match=message):
        training.train(options.pop("recipe", "notebook"), tmp_path / "runs" / "a", **options)
    assert list(tmp_path.iterdir()) == []


RECIPE = {**config.recipe_values(recipes.RECIPES["notebook"]), "num_classes": 10}
OLD = json.loads(json.dumps({"recipe": RECIPE, "data": {"files": []}}))  # as read from the file


def same_run(before, now, **changes):
    recipe = {**OLD["recipe"], **changes}
    return config.check_same_run("runs/a", {**OLD, **before}, {**OLD, "recipe": recipe, **now})


def test_changed_settings_are_reported():
    assert same_run({}, {}) == []
    assert same_run({}, {}, learning_rate=0.5) == ["learning_rate is 0.5 from here on, was 0.01"]
    (line,) = same_run({"threads": None}, {"threads": 2})
    assert line.startswith("threads is 2 from here on, was None: sums may be added in another order")
    (line,) = same_run({"trainable_scopes": []}, {"trainable_scopes": ["resnet/block3"]})
    assert (
        line == "trainable_scopes is resnet/block3 from here on, was all: the other weights keep their current values"
    )
    assert same_run({}, {}, optimizer="nesterov") == ["optimizer is nesterov from here on, was momentum"]
    assert same_run({}, {}, steps=None) == same_run({}, {}, whitening=True) == []  # by minutes; of initial weights only
    assert same_run({"recipe": {**OLD["recipe"], "lookahead": 2}}, {}) == ["lookahead is 0 from here on, was 2"]
    with pytest.raises(UserError, match="was trained without lookahead, .*; pass --lookahead 0, or start another run"):
        same_run({}, {}, lookahead=2)


def test_a_row_written_by_an_earlier_version_is_the_same_row():
    row = json.loads(json.dumps(config.row_values(recipes.RECIPES["notebook"])))
    earlier = json.loads(json.dumps(row))
    for group in earlier["groups"]:
        del group["plain"]
    assert same_run({"architecture": earlier}, {"architecture": row}) == []
    earlier["stem"]["depth"] += 1
    with pytest.raises(UserError, match="with another row"):
        same_run({"architecture": earlier}, {"architecture": row})


@pytest.mark.parametrize(
    ("before", "now", "changes", "message"),
    [
        ({}, {}, {"optimizer": "adam"}, "trained with the optimizer momentum, whose state adam cannot use"),
        (
            {"trainable_scopes": ["a"]},
            {},
            {},
            "only a was trained, so its checkpoint has no optimizer state",
        ),
        ({"architecture": {"scope": "a"}}, {}, {}, "holds a net bottleneck with another row"),
    ],
)
def test_incompatible_settings_are_refused_with_the_reason(before, now, changes, message):
    with pytest.raises(UserError, match=message):
        same_run(before, now, **changes)


def test_a_short_run_gets_a_shorter_warm_up_and_five_evaluations():
    short = dataclasses.replace(recipes.RECIPES["strong"], steps=60)
    assert (short.warmup(60), short.eval_steps(50_000)) == (6, 12)
    assert (short.warmup(20_000), recipes.RECIPES["strong"].eval_steps(50_000)) == (500, 1_000)
