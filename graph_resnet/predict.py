"""Classifies picture files with a trained net: `python -m graph_resnet.predict --train-dir DIR IMAGE...`."""

import json
import sys

from graph_resnet import cli
from graph_resnet.errors import UserError, printable

EPILOG = """examples:
  python -m graph_resnet.predict --train-dir runs/notebook cat.jpg
  python -m graph_resnet.predict --train-dir runs/notebook photos/ 'more/*.png' --top 3
  python -m graph_resnet.predict --train-dir runs/notebook photos/ --json > predictions.jsonl

what is done to a picture: the largest centred square of it, upright as its EXIF data says, transparent parts on white,
the first frame of a GIF, is shrunk (by averaging) or enlarged (bilinearly) to the size of the training's records
(32x32 for CIFAR), and from there normalized and resized as in training.

A file or folder that cannot be used gets a line on stderr; the others are classified all the same, and the exit status
is 1. Links to folders are not followed. Files that do not end as images do are only counted.

--json, or an output that is no terminal: a JSON object a line,
  {"image": path, "predictions": [{"class": name, "label": class number, "probability": 0..1}, ...]}, likeliest first
"""


def parse(argv=None):
    """The flags."""
    parser = cli.parser("predict", __doc__, EPILOG)
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="a PNG, JPEG, BMP, GIF or WebP file, a directory of them (and all "
        "below it), or a pattern such as 'photos/**/*.jpg'")  # fmt: skip
    cli.add_checkpoint(add)
    add("--top", type=cli.positive, default=5, metavar="N", help="classes to show (default: 5)")
    add("--json", action="store_true", help="JSON lines on a terminal, too")
    return parser.parse_args(cli.arguments(argv))


def main(argv=None):
    """The command."""
    flags = parse(argv)
    from tqdm import tqdm

    from graph_resnet import config
    from graph_resnet.data import image_files

    net = config.read(flags.train_dir)
    paths, failures = [], 0

    def complain(error):
        nonlocal failures
        failures += 1
        tqdm.write(f"error: {error}", file=sys.stderr)

    for argument in flags.images:
        try:
            expansion = image_files.expand(argument)
        except UserError as error:
            complain(error)
            continue
        paths += expansion.files
        for error in expansion.errors:
            complain(error)
        for note in expansion.notes:
            tqdm.write(printable(note), file=sys.stderr)
    if not paths:
        return 1
    cli.import_tensorflow()
    from graph_resnet.inference import prediction, restore

    checkpoint = restore.find_checkpoint(net.directory, flags.checkpoint, say=lambda line: print(line, file=sys.stderr))
    as_json = flags.json or not sys.stdout.isatty()
    width = min(max(map(len, paths)), 40)
    bar = tqdm(prediction.predict(net, checkpoint, paths), total=len(paths), unit="image", leave=False, disable=None)
    for path, found in bar:
        if isinstance(found, UserError):
            complain(found)
            continue
        best = prediction.best(found, net.class_names, flags.top)
        line = json.dumps({"image": path, "predictions": best}) if as_json else _row(path, best, width)
        tqdm.write(line, file=sys.stdout)
    return 1 if failures else 0


def _row(path, best, width):
    """A line of the table: 'photos/cat.png   cat 93.1%   dog 4.0% ...'."""
    name = "".join(each if each.isprintable() else "?" for each in path)
    name = name if len(name) <= width else "…" + name[1 - width :]
    return f"{name:<{width}}  " + "  ".join(f"{each['class']:>10} {each['probability']:6.1%}" for each in best)


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
