"""Trains a recipe: `python -m graph_resnet.train --steps 20000`. The same command, run again, goes on."""

import argparse
import contextlib
import dataclasses
import math
import os
from pathlib import Path

from graph_resnet import cli, files, recipes

DIED = (
    "error: the process crashed or was killed; if that was for want of memory, lower --batch-size or --image-size, "
    "else run the same command to go on"
)
EXAMPLES = r"""examples:
  python -m graph_resnet.train --steps 20000                        the tutorial's net on CIFAR-10 at 96x96
  python -m graph_resnet.train --dataset synthetic --steps 300      a try without any data
  python -m graph_resnet.train --recipe resnet18-cifar100 --data-dir ~/data --train-dir runs/r18
  python -m graph_resnet.train --dataset-dir ~/flowers --steps 2000 one folder of pictures a class
  python -m graph_resnet.train --dataset cifar100 --init-checkpoint runs/notebook \
      --exclude-scopes resnet/classification --train-dir runs/finetuned   another net's weights, a new last layer
  python -m graph_resnet.train --recipe list                        all recipes, with source and length
"""


def parse(argv=None):
    """(recipe with its overrides, the other flags)."""
    parser = cli.parser("train", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--recipe", default="notebook", choices=[*recipes.RECIPES, "list"], help="what to train; 'list' prints them")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", "--max-steps", "--max-number-of-steps", "--max-train-steps", dest="steps", type=cli.positive,
        metavar="N", help="global step at which the run ends",
    )  # fmt: skip
    length.add_argument("--epochs", type=cli.positive, metavar="N", help="the same, in passes over the training images")
    data_from = parser.add_mutually_exclusive_group()
    data_from.add_argument("--data-dir", type=files.path_flag, metavar="DIR",
        help="the record files, their folder or archive; else "
        "$CIFAR_DATA_DIR, the cache, or a download")  # fmt: skip
    data_from.add_argument("--dataset-dir", type=files.path_flag, metavar="DIR",
        help="pictures of your own: train/CLASS/* and val/CLASS/*, "
        "or CLASS/*, of which a tenth is kept for validation, the same in every run")  # fmt: skip
    add(
        "--train-dir",
        "--model-dir",
        type=files.path_flag,
        metavar="DIR",
        help="checkpoints, metrics and curves (default: runs/RECIPE)",
    )
    add(
        "--precision",
        default="auto",
        choices=("auto", "bfloat16", "float32"),
        help="auto: the quicker one, by a short measurement",
    )
    add("--threads", type=cli.positive, metavar="N", help="CPU threads (default: all cores)")
    add("--seed", type=cli.seed, default=0, metavar="N", help="of weights, order and augmentation (default: 0)")
    add("--log-every", type=cli.positive, default=50, metavar="N", help="steps between training lines (default: 50)")
    add("--save-every", type=cli.positive, default=500, metavar="N", help="steps between checkpoints (default: 500)")
    add("--hold-out", type=cli.natural, default=0, metavar="N", help="validate on the last N training images, "
        "not on the test images, and do not train on them: to choose settings by")  # fmt: skip
    add("--init-checkpoint", "--checkpoint-path", type=files.path_flag, metavar="PATH",
        help="start from the weights of another net: a "
        "prefix such as runs/notebook/model.ckpt-20000, or a train dir")  # fmt: skip
    add("--exclude-scopes", "--checkpoint-exclude-scopes", nargs="+", default=[], metavar="SCOPE",
        help="variables of --init-checkpoint to leave out, such as resnet/classification")  # fmt: skip
    add("--trainable-scopes", nargs="+", default=[], metavar="SCOPE", help="train these variables alone (default: all)")
    add("--profile", type=cli.positive, metavar="N", help="trace every N-th step into DIR/profile, for "
        "chrome://tracing, and print the costliest ops")  # fmt: skip
    add("--workers", type=cli.positive, metavar="N", help="train in step with N processes on this machine, which share "
        "its cores, and the GPUs of CUDA_VISIBLE_DEVICES; several machines are told of each other by TF_CONFIG "
        "(docs/cluster.md)")  # fmt: skip
    add("--cluster-timeout", type=cli.positive, default=300, metavar="S", help="seconds to wait for the other workers "
        "at the start (default: 300)")  # fmt: skip
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
    if flags.dataset_dir is not None:
        for name in ("dataset", "summary"):
            if getattr(flags, name):
                parser.error(f"argument --{name}: not allowed with argument --dataset-dir")
        given["dataset"] = "pictures"
    elif given.get("dataset") == "pictures":
        parser.error("argument --dataset: pictures come with --dataset-dir DIR")
    if flags.exclude_scopes and not flags.init_checkpoint:
        parser.error("argument --exclude-scopes: goes with --init-checkpoint PATH, whose variables it leaves out")
    return dataclasses.replace(recipes.RECIPES[flags.recipe], **given), flags


def _flag_of(f):
    """argparse's description of a recipe's field."""
    kind = str(f.type)
    if kind == "bool":
        return {"action": argparse.BooleanOptionalAction, "help": f.metadata["help"]}
    int_type = cli.natural if f.default == 0 else cli.positive
    number = cli.between(*(f.metadata["bounds"] or (-math.inf, math.inf)))
    types = {"int": int_type, "int | None": cli.positive, "float": number, "tuple[float, ...]": number, "str": str}
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
        from graph_resnet.training import summary

        print(summary.of_recipe(recipe))
        return 0
    if flags.workers:
        from graph_resnet.distributed import local_workers

        return local_workers.run("graph_resnet.train", cli.arguments(argv), flags.workers)
    from graph_resnet.data import find
    from graph_resnet.training import train_dir

    place = None
    if os.environ.get("TF_CONFIG"):
        cli.import_tensorflow()
        from graph_resnet.distributed import tf_config

        place = tf_config.place()
    directory = Path(flags.train_dir or Path("runs") / recipe.name)
    is_chief = place is None or place.is_chief
    lock = train_dir.claim(directory) if is_chief else contextlib.nullcontext()
    records = find.for_recipe(recipe, flags.data_dir, flags.dataset_dir, flags.hold_out)
    kind = "validation" if records.held_out else "test"
    print(f"[data]: {records.title}, {records.num_train:,} training and {records.num_val:,} {kind} images")
    tf = cli.import_tensorflow()
    if place and place.is_evaluator:
        from graph_resnet.distributed import evaluator

        print(_final(evaluator.run(place, directory, records, threads=flags.threads, timeout=flags.cluster_timeout)))
        return 0

    from graph_resnet.training import run

    options = (
        "seed", "precision", "threads", "log_every", "save_every", "allow_other_data", "init_checkpoint",
        "exclude_scopes", "trainable_scopes", "profile", "cluster_timeout",
    )  # fmt: skip
    options = {name: getattr(flags, name) for name in options}
    with lock, cli.last_words(DIED), tf.Graph().as_default():
        final = run.train(recipe, records, directory if is_chief else None, place=place, **options)
    if not is_chief:
        return 0
    print(f"[files]: curves {directory / 'curves.png'}, checkpoints {directory / 'model.ckpt-*'}, "
          f"event files: tensorboard --logdir {directory}")  # fmt: skip
    print(_final(final))
    return 0


def _final(record):
    """The last line of a run."""
    measured = f"step {record['step']} loss = {record['loss']:.4f} acc = {record['accuracy']:.4f}"
    return f"[final]: {measured} ({record['images']} images)"


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
