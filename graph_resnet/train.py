"""Trains a recipe: `python -m graph_resnet.train --steps 20000`. Run the same command again to resume."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import shlex
import sys
from pathlib import Path

from graph_resnet import cli, own_code, recipes
from graph_resnet.errors import UserError
from graph_resnet.fields import Choice, Whole
from graph_resnet.flags import add_flags, flag
from graph_resnet.last_words import last_words
from graph_resnet.recipes import Recipe
from graph_resnet.training import options, train_dir

DIED = (
    "error: the process crashed or was killed; if it ran out of memory, lower --batch-size or --image-size, else run "
    "the same command to resume"
)
EXAMPLES = """examples:
  python -m graph_resnet.train --steps 20000
      the tutorial's net on CIFAR-10 at 96x96
  python -m graph_resnet.train --dataset synthetic --steps 300 --train-dir a
      a test without any data
  python -m graph_resnet.train --recipe resnet18-cifar100 --data-dir ~/data
      another recipe; its train dir is runs/resnet18-cifar100
  python -m graph_resnet.train --dataset-dir ~/flowers --steps 2000 \\
      --train-dir runs/flowers
      your own images, one folder per class
  python -m graph_resnet.train --dataset cifar100 --train-dir runs/finetuned \\
      --init-checkpoint runs/notebook --exclude-scopes resnet/classification
      another net's weights, a new last layer
  python -m graph_resnet.train --recipe list
      all recipes, with source and length
"""


# The order of --help: the most used flags first, then groups by topic.
FIRST = ("dataset", "net", "batch_size", "learning_rate")
ROWS = (options.Data, options.Start, options.Output, options.Machine)
LENGTH = ("--steps", "--max-steps", "--max-number-of-steps", "--max-train-steps")


def parse(argv: list[str] | None = None) -> tuple[Recipe, argparse.Namespace]:
    """(the recipe with overrides from flags, the flags)."""
    parser = cli.parser("train", __doc__, EXAMPLES)
    first = parser.add_argument_group("the flags to know first")
    first.add_argument("--recipe", default="notebook", metavar="NAME", help="what to train: a name of '--recipe list', "
        "your own FILE.py, or the config.json of a run to repeat (default: notebook)")  # fmt: skip
    length = first.add_mutually_exclusive_group()
    length.add_argument(*LENGTH, dest="steps", **flag(recipes.STEPS, "global step at which the run ends"))
    length.add_argument("--epochs", **flag(recipes.EPOCHS, "the same, in passes over the training images"))
    length.add_argument("--minutes", **flag(recipes.MINUTES, "the same, in minutes of training and evaluation: the "
        "steps are computed once, from a speed measurement"))  # fmt: skip
    source = first.add_mutually_exclusive_group()
    add_flags(source, options.Data, ("data_dir", "dataset_dir"))
    first.add_argument("--train-dir", "--model-dir", **flag(options.DIRECTORY, "checkpoints, metrics, curves; run the "
        "same command again to resume (default: runs/RECIPE)"))  # fmt: skip
    add_flags(first, Recipe, FIRST)
    group = parser.add_argument_group("the recipe's other settings")
    add_flags(group, Recipe, [f.name for f in RECIPE_FLAGS if f.name not in FIRST])
    add_flags(parser.add_argument_group("evaluation"), options.Data, ("hold_out", "allow_other_data"))
    add_flags(parser.add_argument_group("another net's weights"), options.Start)
    add_flags(parser.add_argument_group("logs and checkpoints"), options.Output)
    machine = parser.add_argument_group("machine")
    machine.add_argument("--seed", **flag(recipes.SEED, "of weights, order and augmentation (default: 0)"))
    add_flags(machine, options.Machine)
    machine.add_argument("--workers", **flag(Whole(1, 1024), "train with N synchronized processes on this machine, "
        "which share its cores, and the GPUs of CUDA_VISIBLE_DEVICES; for several machines, set TF_CONFIG "
        "(docs/cluster.md)"))  # fmt: skip
    parser.add_argument_group("instead of training").add_argument(
        "--summary", action="store_true", help="print layers, output shapes and parameter counts, and exit"
    )
    flags = parser.parse_args(argv)
    if flags.recipe == "list":
        print(recipes.table())
        parser.exit()
    recipe = _recipe(parser, flags.recipe)
    _check_dataset(parser, flags)
    if flags.recipe.endswith(".json"):
        _as_in(Path(os.path.expanduser(flags.recipe)), flags)
    overrides = {f.name: getattr(flags, f.name) for f in RECIPE_FLAGS if getattr(flags, f.name) is not None}
    if flags.steps or flags.epochs:
        overrides |= {"steps": flags.steps, "epochs": flags.epochs}
    _check_together(parser, flags, overrides)
    return dataclasses.replace(recipe, **overrides), flags


RECIPE_FLAGS = [f for f in dataclasses.fields(Recipe) if f.metadata["flag"]]


def _recipe(parser: argparse.ArgumentParser, text: str) -> Recipe:
    """The recipe called `text`, or in a Python file, or in the config.json of a run. Exits for an unknown name.

    Raises:
      UserError: there is no such file, or it holds no recipe.
    """
    if text.endswith(".py") or ".py:" in text:
        return own_code.recipe(text)
    if text.endswith(".json"):
        path = Path(os.path.expanduser(text))  # Path.expanduser raises for an unknown user
        if not path.exists():
            raise UserError(f"--recipe {text}: no such file")
        from graph_resnet import config

        return config.read(path.parent, path.name).recipe
    try:
        return recipes.RECIPES[Choice(recipes.RECIPES).parse(text)]
    except ValueError:
        close = difflib.get_close_matches(text, recipes.RECIPES, 1)
        if text in recipes.RETIRED:
            parser.error(f"argument --recipe: {text} is no longer a recipe; take fast-wide, or what it was: "
                f"{recipes.RETIRED[text]}")  # fmt: skip
        if os.path.isfile(os.path.join(text, "config.json")):  # a train dir
            close = [os.path.join(text, "config.json")]
        hint = f"; did you mean {close[0]}?" if close else ""
        names = ", ".join(recipes.RECIPES)
        parser.error(f"argument --recipe: {text!r:.80} is not one of {names}, nor a .py or .json file{hint}")


def _as_in(path: Path, flags: argparse.Namespace) -> None:
    """Takes seed, data, held-out images, initial weights and trained scopes from a run's config.json, for flags that
    were not passed."""
    from graph_resnet import config
    from graph_resnet.data import of_runs

    values = config.read_json(path.parent, path.name)
    if flags.seed is None:
        flags.seed = values.get("seed")
    if flags.hold_out is None:
        flags.hold_out = values.get("held_out")
    if flags.trainable_scopes is None:
        flags.trainable_scopes = values.get("trainable_scopes") or None
    source = values.get("init_checkpoint")
    if flags.init_checkpoint is None and source is not None:
        if not isinstance(source, str):
            raise UserError(
                f"{path}: init_checkpoint is {source!r:.60}, not a path; correct it, or pass --init-checkpoint"
            )
        flags.init_checkpoint = source
        flags.exclude_scopes = flags.exclude_scopes or values.get("exclude_scopes") or None
    place, dataset = values["data"].get("directory"), values["recipe"].get("dataset")
    if not (isinstance(place, str) and os.path.isabs(place)) or flags.dataset not in (None, dataset):
        return
    if flags.data_dir is None and flags.dataset_dir is None:
        if dataset == "pictures":
            flags.dataset_dir = place
        elif of_runs.is_there(dataset, place):
            flags.data_dir = place


def _check_dataset(parser: argparse.ArgumentParser, flags: argparse.Namespace) -> None:
    """Refuses flags that were passed beside --dataset-dir and contradict it."""
    for name in ("dataset", "summary"):
        if flags.dataset_dir is not None and getattr(flags, name):
            parser.error(f"argument --{name}: not allowed with argument --dataset-dir")


def _check_together(parser: argparse.ArgumentParser, flags: argparse.Namespace, overrides: dict) -> None:
    """Refuses flags that exclude each other, and completes `overrides`, the recipe's fields that flags override."""
    if flags.dataset_dir is not None:
        overrides["dataset"] = "pictures"
    elif overrides.get("dataset") == "pictures":
        parser.error("argument --dataset: pass --dataset-dir DIR for pictures")
    if flags.exclude_scopes and not flags.init_checkpoint:
        parser.error("argument --exclude-scopes: needs --init-checkpoint PATH, whose variables it skips")
    if flags.minutes and (flags.workers or os.environ.get("TF_CONFIG")):
        parser.error("argument --minutes: each worker would choose its own length; pass --steps")
    if flags.keep_best and not flags.hold_out:
        parser.error(
            "argument --keep-best: needs --hold-out N, so that the checkpoint is not chosen on the test images"
        )


def main(argv: list[str] | None = None) -> int:
    recipe, flags = parse(argv)
    if flags.summary:
        cli.import_tensorflow()
        from graph_resnet.training import summary

        print(summary.of_recipe(recipe))
        return 0
    if flags.workers:
        from graph_resnet.distributed import local_workers

        return local_workers.run("graph_resnet.train", cli.arguments(argv), flags.workers, recipe.batch_size)
    from graph_resnet import training

    seed = 0 if flags.seed is None else flags.seed
    rows = {row.__name__.lower(): options.of_flags(row, flags) for row in ROWS}
    directory = flags.train_dir or train_dir.default(recipe.name)
    # The interpreter as the user typed it: .venv/bin/python may not be the shell's `python`.
    command = shlex.join([sys.orig_argv[0], "-m", "graph_resnet.train", *cli.arguments(argv)])
    command = os.environ.get("GRAPH_RESNET_COMMAND", command)  # set by --workers
    show = training.Show(print, command=command, before_tensorflow=cli.import_tensorflow)
    with last_words(DIED):
        if os.environ.get("TF_CONFIG"):
            from graph_resnet.distributed import job

            result = job.train(recipe, directory, seed=seed, show=show, **rows)
        else:
            result = training.train(recipe, directory, seed=seed, show=show, minutes=flags.minutes, **rows)
    if result is not None:
        show.line(f"[files]: curves {Path(directory, 'curves.png')}, checkpoints {Path(directory, 'model.ckpt-*')}, "
                  f"event files: tensorboard --logdir {directory}\n[final]: {result}")  # fmt: skip
    return 0


def command() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
