"""The trials by which the `strong` recipes were chosen: architecture rows, and ingredients taken away one at a time.

    python -m benchmarks.trials rows --steps 1500 --data-dir DIR
    python -m benchmarks.trials ingredients --steps 3000 --data-dir DIR --only "as it is" "without crop"

A trial is a whole run of the given length, validated on the last 5,000 training images, on which it does not train: the
test set chooses nothing. Run again, the command goes on where it was. At the end it prints a table.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path

from graph_resnet import cli, recipes

HELD_OUT = 5_000

# Groups of bottleneck blocks at 16x16, 8x8 and 4x4: (bottleneck, depth, units). The tutorial's net is measured beside.
ROWS = [
    ((64, 128, 3), (128, 256, 4), (256, 512, 2)),
    ((64, 128, 3), (128, 256, 4), (128, 512, 3)),
    ((64, 128, 4), (128, 256, 4)),
    ((64, 128, 2), (128, 256, 3), (256, 512, 2)),
    ((96, 128, 2), (192, 256, 2), (384, 512, 1)),
    ((64, 256, 2), (128, 512, 3), (256, 1024, 1)),
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
    "flips at random": {"alternating_flip": False},
    "gammas all ones": {"gamma": "ones"},
    "without gamma": {"gamma": "none"},
}


def row(net, groups):
    """An `Architecture` of `ROWS`, built like the row 'deep'."""
    made = [
        net.Group(f"block{i}", units, depth, bottleneck, stride=1 if i == 1 else 2, pool=(2, 2) if i == 1 else None)
        for i, (bottleneck, depth, units) in enumerate(groups, 1)
    ]
    return dataclasses.replace(net.ARCHITECTURES["deep"], groups=tuple(made))


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rows", "ingredients"))
    parser.add_argument("--recipe", default="strong-deep", choices=recipes.RECIPES)
    parser.add_argument("--steps", type=cli.positive, default=3_000)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these trials alone (default: all)")
    parser.add_argument("--data-dir", metavar="DIR")
    parser.add_argument("--runs", type=Path, default=Path("runs/trials"), metavar="DIR", help="where the runs are kept")
    flags = parser.parse_args(cli.arguments())
    tf = cli.import_tensorflow()
    from graph_resnet import data, net, train_dir, training

    trials = INGREDIENTS
    if flags.what == "rows":
        trials = {"bottleneck": {"net": "bottleneck", "image_size": 96, "learning_rate": 0.05}}
        for groups in ROWS:
            name = ", ".join("/".join(map(str, group)) for group in groups)
            net.ARCHITECTURES[name] = row(net, groups)
            trials[name] = {"net": name}
    base = dataclasses.replace(recipes.RECIPES[flags.recipe], steps=flags.steps, eval_every=flags.steps)
    lines = []
    for name in flags.only or trials:
        recipe = dataclasses.replace(base, **trials[name])
        directory = flags.runs / f"{flags.recipe} {flags.steps} {name.replace('/', '-')}"
        records = data.find_records(recipe, flags.data_dir, held_out=HELD_OUT)
        with train_dir.claim(directory), tf.Graph().as_default():
            training.train(recipe, records, directory)
            parameters = sum(v.shape.num_elements() for v in tf.trainable_variables())
        lines.append(f"| {name} | {parameters:,} | {_measured(directory, recipe)} |")
    print(
        "| trial | parameters | seconds a step | training loss | validation accuracy |\n| --- | --- | --- | --- | --- |"
    )
    print("\n".join(lines))


def _measured(directory, recipe):
    """Median seconds of a step, mean training loss of the last tenth of the run, accuracy of its end."""
    from utils import metrics_log

    history, _ = metrics_log.read(directory / metrics_log.FILE)
    train = [each for each in history if each["split"] == "train"]
    seconds = statistics.median(recipe.batch_size / each["images_per_second"] for each in train)
    loss = statistics.mean(each["loss"] for each in train if each["step"] >= 0.9 * recipe.steps - 50)
    return f"{seconds:.3f} | {loss:.3f} | {history[-1]['accuracy']:.2%}"


if __name__ == "__main__":
    main()
