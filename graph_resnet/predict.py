"""Classifies image files with a trained net: `python -m graph_resnet.predict --train-dir DIR IMAGE...`."""

import json
import sys

from graph_resnet import cli
from graph_resnet.errors import UserError, printable

EPILOG = """examples:
  python -m graph_resnet.predict --train-dir runs/notebook cat.jpg
  python -m graph_resnet.predict --train-dir runs/notebook photos/ 'more/*.png'
  python -m graph_resnet.predict --train-dir runs/notebook photos/ --json > p
  python -m graph_resnet.predict --train-dir runs/notebook -- --odd-name.png
      words after -- are file names

Each image is turned upright according to its EXIF data, transparent parts
become white, and of a GIF the first frame is used. The largest centred square
is shrunk (by averaging) or enlarged (bilinearly) to the size of the training
records (32x32 for CIFAR), then normalized and resized as in training.

A file or folder that cannot be used gets a line on stderr; the others are
classified anyway, and the exit status is 1. Links to folders are not followed.
Files without an image's ending are only counted.

With --json, or if the output is not a terminal, it prints one JSON object per
line:
  {"image": path, "predictions": [{"class": name, "label": class number,
  "probability": 0..1}, ...]}, most probable first

from Python: graph_resnet.inference.predict(train_dir, images)
"""


def parse(argv=None):
    parser = cli.parser("predict", __doc__, EPILOG)
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="a PNG, JPEG, BMP, GIF or WebP file, a directory of them (and all "
        "below it), or a pattern such as 'photos/**/*.jpg'")  # fmt: skip
    cli.add_checkpoint(add)
    add("--top", type=cli.positive, default=5, metavar="N", help="classes to show (default: 5)")
    add("--json", action="store_true", help="print JSON lines also on a terminal")
    return parser.parse_args(cli.arguments(argv))


def main(argv=None):
    flags = parse(argv)
    from tqdm import tqdm

    from graph_resnet import config, inference

    config.read(flags.train_dir)
    paths, failures, notes = _files(flags.images)
    for line in [f"error: {error}" for error in failures] + notes:
        print(line, file=sys.stderr)
    if not paths:
        return 1
    as_json = flags.json or not sys.stdout.isatty()
    width = min(max(map(len, paths)), 40)
    with inference.Predictor(
        flags.train_dir, checkpoint=flags.checkpoint, before_tensorflow=cli.import_tensorflow
    ) as predictor:
        for note in predictor.notes:
            print(printable(note), file=sys.stderr)
        results = predictor.stream(paths)
        for path, result in zip(paths, tqdm(results, total=len(paths), unit="image", leave=False, disable=None)):
            if isinstance(result, UserError):
                failures.append(result)
                tqdm.write(f"error: {result}", file=sys.stderr)
                continue
            best = result.top(flags.top)
            line = json.dumps({"image": path, "predictions": best}) if as_json else _row(path, best, width)
            tqdm.write(line, file=sys.stdout)
    return 1 if failures else 0


def _files(words):
    """Expands the command line's words: (image files, errors, lines about skipped files)."""
    from graph_resnet.data import image_files

    paths, errors, notes = [], [], []
    for word in words:
        try:
            expansion = image_files.expand(word)
        except UserError as error:
            errors.append(error)
            continue
        paths += expansion.files
        errors += expansion.errors
        notes += map(printable, expansion.notes)
    return paths, errors, notes


def _row(path, best, width):
    """A line of the table, such as 'photos/cat.png   cat 93.1%   dog 4.0% ...'."""
    name = printable(path)
    name = name if len(name) <= width else "…" + name[1 - width :]
    return f"{name:<{width}}  " + "  ".join(f"{printable(p['class']):>10} {p['probability']:6.1%}" for p in best)


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
