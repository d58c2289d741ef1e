"""Trains a recipe: `python -m graph_resnet.train --steps 20000`. The same command, run again, goes on."""

import argparse
import dataclasses
from pathlib import Path

from graph_resnet import cli, recipes
from utils.errors import UserError

EXAMPLES = """examples:
  python -m graph_resnet.train --steps 20000                        the tutorial's net on CIFAR-10 at 96x96
  python -m graph_resnet.train --dataset synthetic --steps 300      a try without any data
  python -m graph_resnet.train --recipe resnet18-cifar100 --data-dir ~/data --train-dir runs/r18
  python -m graph_resnet.train --recipe list                        all recipes, with source and length
"""


def parse(argv=None):
    """(recipe with its overrides, the other flags)."""
    parser = argparse.ArgumentParser(
        prog="python -m graph_resnet.train",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--recipe", default="notebook", choices=[*recipes.RECIPES, "list"], help="what to train; 'list' prints them")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", "--max-steps", "--max-number-of-steps", "--max-train-steps", dest="steps", type=cli.positive,
        metavar="N", help="global step at which the run ends",
    )  # fmt: skip
    length.add_argument("--epochs", type=cli.positive, metavar="N", help="the same, in passes over the training images")
    add("--data-dir", metavar="DIR", help="the record files, their folder or archive; else $CIFAR_DATA_DIR, the cache, "
        "or a download")  # fmt: skip
    add("--train-dir", "--model-dir", metavar="DIR", help="checkpoints, metrics and curves (default: runs/RECIPE)")
    add("--precision", default="auto", choices=("auto", "bfloat16", "float32"), help="auto: bfloat16 where the CPU has it")
    add("--threads", type=cli.positive, metavar="N", help="CPU threads (default: all cores)")
    add("--seed", type=int, default=0, metavar="N", help="of weights, order and augmentation (default: 0)")
    add("--log-every", type=cli.positive, default=50, metavar="N", help="steps between training lines (default: 50)")
    add("--save-every", type=cli.positive, default=500, metavar="N", help="steps between checkpoints (default: 500)")
    add("--allow-other-data", action="store_true", help="go on although the data changed since the run began")
    add("--summary", action="store_true", help="print layers, output shapes and parameter counts, and end")
    group = parser.add_argument_group("what the recipe decides, unless given")
    overridable = [f for f in dataclasses.fields(recipes.Recipe) if "help" in f.metadata]
    for f in overridable:
        group.add_argument("--" + f.name.replace("_", "-"), default=None, **_flag_of(f))
    flags = parser.parse_args(cli.arguments(argv))
    if flags.recipe == "list":
        print(recipes.table())
        parser.exit()
    given = {f.name: getattr(flags, f.name) for f in overridable if getattr(flags, f.name) is not None}
    if flags.steps or flags.epochs:
        given |= {"steps": flags.steps, "epochs": flags.epochs}
    for name in ("mean", "std"):
        if name in given and len(given[name]) not in (1, 3):
            parser.error(f"argument --{name}: expected 1 or 3 numbers, got {len(given[name])}")
        if name in given:
            given[name] = tuple(given[name] * (3 // len(given[name])))
    return dataclasses.replace(recipes.RECIPES[flags.recipe], **given), flags


def _flag_of(f):
    """argparse's description of a recipe's field."""
    kind = str(f.type)
    if kind == "bool":
        return {"action": argparse.BooleanOptionalAction, "help": f.metadata["help"]}
    types = {"int": cli.positive, "int | None": cli.positive, "float": float, "tuple[float, ...]": float, "str": str}
    flag = {"type": types[kind], "help": f.metadata["help"], "choices": f.metadata["choices"]}
    if kind.startswith("tuple"):
        flag["nargs"] = "+"
    if not flag["choices"]:
        flag["metavar"] = "X" if "float" in kind else "N"
    return flag


def main(argv=None):
    """The command."""
    recipe, flags = parse(argv)
    if flags.summary:
        cli.import_tensorflow()
        from graph_resnet import summary

        print(summary.of_recipe(recipe))
        return 0
    from graph_resnet import train_dir
    from utils import cifar_files

    directory = Path(flags.train_dir or Path("runs") / recipe.name)
    lock = train_dir.claim(directory)
    records = cifar_files.find(recipe.dataset, flags.data_dir, label=recipe.label)
    print(f"[data]: {records.title}, {records.num_train:,} training and {records.num_test:,} test images")
    tf = cli.import_tensorflow()
    from graph_resnet import training

    options = ("seed", "precision", "threads", "log_every", "save_every", "allow_other_data")
    with lock, tf.Graph().as_default():
        final = training.train(recipe, records, directory, **{name: getattr(flags, name) for name in options})
    print(f"[files]: curves {directory / 'curves.png'}, checkpoints {directory / 'model.ckpt-*'}, "
          f"event files: tensorboard --logdir {directory}")  # fmt: skip
    print(f"[final]: step {final['step']} loss = {final['loss']:.4f} acc = {final['accuracy']:.4f} "
          f"({final['images']} images)")  # fmt: skip
    return 0


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
