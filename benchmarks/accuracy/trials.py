"""Series of short runs: architecture rows, ablations of a recipe, precisions.

    python -m benchmarks.accuracy.trials rows --steps 1500 --data-dir DIR
    python -m benchmarks.accuracy.trials ingredients --steps 3000 --data-dir DIR --only "as it is" "without crop"
    python -m benchmarks.accuracy.trials precisions --recipe notebook --steps 2000 --data-dir DIR

Each trial is a whole run of the given length. Trials that choose settings are validated on the last training images,
which they do not train on, so nothing is chosen on the test set. The same command again resumes. At the end it prints a
table: the training loss is the mean over the last 500 steps, the accuracy that of the final weights.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path

from graph_resnet import cli, recipes
from graph_resnet.architectures import ARCHITECTURES, Group
from graph_resnet.training import Machine

# Groups of blocks after a 3x3 stem with 32 channels: bottleneck/depth/units, or depth/units for basic blocks. Before a
# group: `pool3` or `pool2`, a max pool of that size with stride 2; or `stride`, for a stride of 2 in its first block.
# The tutorial's net is measured too.
ROWS = [
    "64/1 pool3 128/2 pool3 256/1 pool3 512/1",
    "64/1 pool3 160/1 pool3 320/1 pool3 512/1",
    "64/1 pool3 128/1 pool3 256/1 pool3 512/1",
    "64/64/1 pool3 128/128/1 pool3 256/256/2 pool3 512/512/1",
    "32/64/1 pool3 96/192/1 pool3 192/384/3 pool3 384/512/2",
    "32/64/1 pool3 64/128/1 pool3 128/256/4 pool3 256/512/3",
    "32/64/1 pool3 64/128/1 pool3 128/256/3 pool3 256/512/3",
    "32/64/2 pool3 64/128/2 pool3 128/256/3 pool3 256/512/2",
    "pool3 64/128/2 pool3 128/256/4 pool3 256/512/3",
    "pool2 64/128/2 pool2 128/256/4 pool2 256/512/3",
    "pool2 64/128/2 stride 128/256/4 stride 256/512/3",
    "pool2 64/128/3 stride 128/256/4 stride 256/512/2",
    "pool2 64/128/3 stride 128/256/5 stride 128/512/3",
    "pool2 96/128/2 stride 192/256/2 stride 384/512/1",
    "pool2 128/128/1 stride 256/256/1 stride 512/512/1",
    "32/1 pool2 128/1 pool2 256/1 pool2 256/1",
]
INGREDIENTS = {
    "as it is": {},
    "without cosine": {"schedule": "constant", "warmup_steps": 0},
    "linear": {"schedule": "linear"},
    "without warm-up": {"warmup_steps": 0},
    "without Nesterov": {"optimizer": "momentum"},
    "without weight decay": {"weight_decay": 0.0},
    "without label smoothing": {"label_smoothing": 0.0},
    "without crop": {"crop": 0},
    "without whitening": {"whitening": False},
    "without lookahead": {"lookahead": 0},
    "beta at the rate of the weights": {"beta_rate": 1.0},
    "Nesterov momentum for all": {"optimizer": "nesterov"},
    "precise batch norm": {"precise_batch_norm": 10, "towers": 1},
}


# Options for `training.train`.
PRECISIONS = {
    f"{precision}, seed {seed}": {"machine": Machine(precision), "seed": seed}
    for seed in range(3)
    for precision in ("bfloat16", "float32")
}


def row(text):
    """An `Architecture` from a text of `ROWS`, built like the row 'deep'."""
    groups, stride, pool = [], 1, None
    for word in text.split():
        if word == "stride":
            stride = 2
        elif word.startswith("pool"):
            pool = int(word.removeprefix("pool")), 2
        else:
            *bottleneck, depth, units = map(int, word.split("/"))
            groups.append(Group(f"block{len(groups) + 1}", units, depth, *bottleneck, stride=stride, pool=pool))
            stride, pool = 1, None
    return dataclasses.replace(ARCHITECTURES["deep"], groups=tuple(groups))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rows", "ingredients", "precisions"))
    parser.add_argument("--recipe", default="strong", choices=recipes.RECIPES)
    parser.add_argument("--steps", type=cli.positive, default=3_000)
    parser.add_argument(
        "--hold-out",
        type=cli.positive,
        default=5_000,
        metavar="N",
        help="images that rows and ingredients are validated on (default: 5000)",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run only these trials (default: all)")
    parser.add_argument("--data-dir", metavar="DIR")
    parser.add_argument("--runs", type=Path, default=Path("runs/trials"), metavar="DIR", help="directory of the runs")
    flags = parser.parse_args(cli.arguments())
    tf = cli.import_tensorflow()
    from benchmarks.speed import ours
    from graph_resnet import tower, training
    from graph_resnet.data import of_runs

    base = dataclasses.replace(recipes.RECIPES[flags.recipe], steps=flags.steps, eval_every=flags.steps)
    held_out = 0 if flags.what == "precisions" else flags.hold_out
    lines = [
        "| trial | parameters | GFLOP a step | seconds a step | training loss | accuracy |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    trials = _trials(flags.what, base)
    for name in flags.only or ():
        if name not in trials:
            parser.error(f"no trial {name!r}: use one of {', '.join(map(repr, trials))}")
    for name, (changes, options) in trials.items():
        if flags.only and name not in flags.only:
            continue
        recipe = dataclasses.replace(base, **changes)
        directory = flags.runs / f"{flags.recipe} {flags.steps} {name.replace('/', '-')}"
        data = training.Data(flags.data_dir, hold_out=held_out)
        training.train(
            recipe, directory, data=data, output=training.Output(log_every=1), show=training.Show(print), **options
        )
        classes = of_runs.for_recipe(recipe, flags.data_dir).num_classes
        with tf.Graph().as_default():
            tower.logits(recipe, tf.zeros([1, recipe.image_size, recipe.image_size, 3]), classes, is_training=False)
            parameters = sum(v.shape.num_elements() for v in tf.trainable_variables())
        work = ours.flops(recipe, classes) / 1e9
        lines.append(f"| {name} | {parameters:,} | {work:.0f} | {_measured(directory, recipe)} |")
    print("\n".join(lines))


def _trials(what, base):
    """{name: (changes to the recipe, options of `training.train`)}."""
    if what == "precisions":
        return {name: ({}, options) for name, options in PRECISIONS.items()}
    if what == "ingredients":
        rates = base.learning_rate / 2, base.learning_rate * 2
        others = {f"learning rate {rate:g}": {"learning_rate": rate} for rate in rates}
        trials = {name: (changes, {}) for name, changes in (INGREDIENTS | others).items()}
        # A trial that changes nothing is skipped: the recipe does not have that ingredient.
        same = [n for n, (changes, _) in trials.items() if changes and dataclasses.replace(base, **changes) == base]
        return {name: trial for name, trial in trials.items() if name not in same}
    trials = {"bottleneck": ({"net": "bottleneck", "image_size": 96, "learning_rate": 0.05}, {})}
    for text in ROWS:
        ARCHITECTURES[text] = row(text)
        trials[text] = {"net": text}, {}
    return trials


def _measured(directory, recipe):
    """The run's columns after its parameters: median seconds per step, training loss, accuracy."""
    from graph_resnet.loop import metrics_log

    history, _ = metrics_log.read(directory / metrics_log.FILE)
    train = [record for record in history if record["split"] == "train"]
    seconds = statistics.median(recipe.batch_size / record["images_per_second"] for record in train)
    loss = statistics.mean(record["loss"] for record in train[-500:])
    return f"{seconds:.3f} | {loss:.3f} | {history[-1]['accuracy']:.2%}"


if __name__ == "__main__":
    main()
