"""The recipes as data, and their flags."""

import dataclasses
import os
import subprocess
import sys

import pytest

from graph_resnet import recipes, train
from graph_resnet.architectures import ARCHITECTURES
from graph_resnet.data import batches
from graph_resnet.data.find import LAYOUTS
from tests.helpers import FLAGS, HALF, ONE, ROOT, SOURCES, another


@pytest.mark.parametrize("name", SOURCES)
def test_values_are_those_of_the_source(name):
    r = recipes.RECIPES[name]
    values = (r.net, r.dataset, r.image_size, r.batch_size, r.optimizer, r.learning_rate, r.steps, r.epochs, r.flip)
    assert values == SOURCES[name][:9]
    mean, std = SOURCES[name][9:]
    assert r.mean == (mean or batches.CIFAR10_MEAN) and r.std == (std or batches.CIFAR10_STD)
    # The notebook's differs from its source, for a measured reason: see recipes.py.
    assert (r.momentum, r.label, r.batch_norm_decay) == (0.9, "fine", 0.9 if name == "notebook" else 0.99)


def test_recipes_with_a_source_come_first():
    assert list(recipes.RECIPES)[: len(SOURCES)] == list(SOURCES)


@pytest.mark.parametrize("recipe", recipes.RECIPES.values(), ids=list(recipes.RECIPES))
def test_rows_are_well_formed(recipe):
    assert recipes.RECIPES[recipe.name] is recipe
    assert recipe.net in ARCHITECTURES
    assert recipe.dataset in LAYOUTS
    assert recipe.optimizer in recipes.OPTIMIZERS
    assert (recipe.steps is None) != (recipe.epochs is None)
    assert len(recipe.mean) == len(recipe.std) == 3
    assert recipe.source


def test_choices_match_the_tables():
    assert set(recipes.DATASETS) == {*LAYOUTS, "pictures"}


def test_length_in_steps():
    steps, epochs = recipes.RECIPES["notebook"], recipes.RECIPES["resnet18-flip"]
    assert (steps.length, steps.total_steps(50_000), steps.eval_steps(50_000)) == ("20,000 steps", 20_000, 1_000)
    # An epoch is 195.3 batches of 256.
    assert (epochs.length, epochs.total_steps(50_000), epochs.eval_steps(50_000)) == ("500 epochs", 97_656, 195)
    assert epochs.total_steps(0) == epochs.eval_steps(1) == 1


# The flags.


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "export", "report", "tf1"])
def test_help_fits_into_80_columns(command):
    words = [sys.executable, "-m", f"graph_resnet.{command}", "--help"]
    environment = {**os.environ, "COLUMNS": "80"}
    result = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    lines = result.stdout.splitlines()
    assert result.returncode == 0 and len(lines) > 9 and max(map(len, lines)) <= 80


def test_the_package_lists_its_commands_and_runs_them():
    def package(*words):
        command = [sys.executable, "-m", "graph_resnet", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert "python -m graph_resnet.evaluate" in package().stdout
    assert package("train", "--recipe", "list").stdout == recipes.table() + "\n"
    wrong = package("trian", "--steps", "3")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.endswith("is not one of train, evaluate, predict, export, report, tf1; did you mean train?\n")


def test_list_names_every_recipe_without_tensorflow():
    command = [sys.executable, "-X", "importtime", "-m", "graph_resnet.train", "--recipe", "list"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "graph_resnet.recipes" in imported
    assert not {"tensorflow", "numpy", "tf_slim", "matplotlib"} & imported
    lines = result.stdout.splitlines()
    for recipe in recipes.RECIPES.values():
        rows = [i for i, line in enumerate(lines) if line.startswith(f"{recipe.name} ")]
        assert len(rows) == 1, recipe.name
        first, second, third = [*lines, ""][rows[0] : rows[0] + 3]
        assert recipe.length in first and recipe.dataset in first
        assert second.strip() == recipe.source
        assert third.strip() == (f"measured: {recipe.result}" if recipe.result else third.strip())
        assert ("measured" in third) == bool(recipe.result)


@pytest.mark.parametrize("name", ["notebook", "resnet18-cifar100"])
@pytest.mark.parametrize("f", FLAGS, ids=lambda f: f.name)
def test_every_field_has_its_flag(f, name):
    before = recipes.RECIPES[name]
    words, value = another(f, getattr(before, f.name))
    assert getattr(before, f.name) != value
    recipe, _ = train.parse(["--recipe", name, *words])
    assert recipe == dataclasses.replace(before, **{f.name: value})


def test_fields_without_a_flag_of_that_kind_are_few():
    fields = {f.name for f in dataclasses.fields(recipes.Recipe)} - {f.name for f in FLAGS}
    assert fields == {"name", "source", "steps", "epochs", "result"}


@pytest.mark.parametrize("name", ["notebook", "resnet18-flip"])
@pytest.mark.parametrize(
    ("words", "steps", "epochs"),
    [
        (["--steps", "7"], 7, None),
        (["--max_number_of_steps=7"], 7, None),
        (["--max_steps", "7"], 7, None),
        (["--max_train_steps", "7"], 7, None),
        (["--epochs=7"], None, 7),
    ],
)
def test_length_is_in_steps_or_in_epochs(words, steps, epochs, name):
    recipe, _ = train.parse(["--recipe", name, *words])
    assert (recipe.steps, recipe.epochs) == (steps, epochs)


@pytest.mark.parametrize("words", [["--batch_size", "32"], ["--batch_size=32"], ["--batch-size=32"]])
def test_underscores_are_dashes(words):
    assert train.parse(words)[0].batch_size == 32


def test_values_keep_their_underscores():
    assert train.parse(["--data_dir=/a_b/c_d", "--train_dir", "e_f"])[1].data_dir == "/a_b/c_d"


def test_one_number_applies_to_all_channels():
    recipe, _ = train.parse(["--mean", "0.5", "--std=1"])
    assert (recipe.mean, recipe.std) == (HALF, ONE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch-size", "0"], "argument --batch-size: '0' is not a whole number from 1 to 1,048,576"),
        (["--crop", "-1"], "argument --crop: '-1' is not a whole number from 0 to 4,096"),
        (["--image-size=1.5"], "argument --image-size: '1.5' is not a whole number"),
        (["--steps", "-3"], "argument --steps: '-3' is not a whole number"),
        (["--learning-rate", "fast"], "argument --learning-rate: 'fast' is not a number from 0 to 1000"),
        (["--momentum", "nan"], "argument --momentum: 'nan' is not a number from 0 to 1"),
        (["--label-smoothing", "2"], "argument --label-smoothing: '2' is not a number from 0 to 1"),
        (["--std", "0"], "argument --std: '0' is not a number from 0.001 to 1000"),
        (["--seed", "9" * 20], f"argument --seed: '{'9' * 20}' is not a whole number from -2,147,483,647 to"),
        (["--batch-size", "9" * 5000], "' is not a whole number from 1 to 1,048,576"),
        (["--threads", "1000000"], "argument --threads: '1000000' is not a whole number from 1 to 1,024"),
        (["--steps", "1" + "0" * 18], "argument --steps: '1"),
        (["--mean", "inf"], "argument --mean: 'inf' is not a number from -1000 to 1000"),
        (["--mean", "-inf"], "argument --mean: '-inf' is not a number from -1000 to 1000"),
        (["--learning-rate", "-1e-3"], "argument --learning-rate: '-1e-3' is not a number from 0 to 1000"),
        (["--steps", "-.5e1"], "argument --steps: '-.5e1' is not a whole number from 1"),
        (["--mean", "1,2"], "argument --mean: expected 1 or 3 values, got 2"),
        (["--exclude-scopes", "a,,b"], "argument --exclude-scopes: 'a,,b' is not names"),
        (["--trainable-scopes="], "argument --trainable-scopes: '' is not names, none of them empty"),
        (["--keep-best"], "argument --keep-best: needs --hold-out N"),
        (["--flip=no"], "argument --flip/--no-flip: takes no value, got 'no'"),
        (["--step", "3"], "unrecognized arguments: --step 3; did you mean --steps?"),
        (["--dataset", "cifar1O"], "argument --dataset: 'cifar1O' is not one of cifar10, cifar100, synthetic, "),
        (["--dataset", "cifar1O"], "did you mean cifar10"),
        (["--exclude-scopes", "a"], "argument --exclude-scopes: needs --init-checkpoint"),
        (["--batch-sze", "3"], "unrecognized arguments: --batch-sze 3"),
        (["--batch", "3"], "unrecognized arguments: --batch 3"),
        (["--recipe", "strong-deep"], "take fast-wide, or what it was: --recipe strong --net deep --image-size 32 "),
        (["--recipe", "resnet19"], "argument --recipe: 'resnet19' is not one of notebook, "),
        (["--net", "vgg"], "argument --net: 'vgg' is not one of bottleneck, deep"),
        (["--net", "resnet19"], "resnet18-pools, nor FILE.py:NAME; did you mean resnet18?"),
        (["steps", "300"], "unrecognized arguments: steps 300; did you mean --steps?"),
        (["--max-step", "300"], "did you mean --max-steps?"),
        (["--mean", "1", "2"], "argument --mean: expected 1 or 3 values, got 2"),
        (["--steps", "3", "--epochs", "3"], "argument --epochs: not allowed with argument --steps"),
    ],
)
def test_wrong_flags_are_named(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        train.parse(words)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and message in err
    assert err.count("\n") == 1 and len(err) < 1000


def test_negative_numbers_in_scientific_notation_are_values():
    recipe, _ = train.parse(["--mean", "-1e-3", "-.5", "-2E-1"])
    assert recipe.mean == (-1e-3, -0.5, -0.2)
