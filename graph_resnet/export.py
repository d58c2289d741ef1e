"""Writes a trained net as a SavedModel: `python -m graph_resnet.export --train-dir DIR --export-dir DIR`."""

import json
import sys

from graph_resnet import cli, files
from graph_resnet.errors import printable

EPILOG = """examples:
  python -m graph_resnet.export --train-dir runs/notebook --export-dir exported
  python -m graph_resnet.export --train-dir runs/notebook --export-dir models/1
      for TensorFlow Serving
  saved_model_cli show --dir exported --tag_set serve \\
      --signature_def serving_default

signature serving_default:
  images         uint8 [batch, height, width, 3], of any size: resized
                 bilinearly in the graph. Shrink large photos to the size of the
                 training's records first, as graph_resnet.predict does.
  logits         float32 [batch, classes]
  probabilities  float32 [batch, classes]
  classes        int64 [batch]; their names are the lines of
                 assets/class_names.txt, from 0

--json prints one object: train_dir, checkpoint, step, export_dir, bytes,
classes (their names)

from Python: graph_resnet.inference.export(train_dir, export_dir)
"""


def parse(argv=None):
    parser = cli.parser("export", __doc__, EPILOG)
    add = parser.add_argument
    cli.add_checkpoint(add)
    add("--export-dir", required=True, type=files.path_flag, metavar="DIR", help="target; must not exist yet, or be "
        "empty")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(cli.arguments(argv))


def main(argv=None):
    flags = parse(argv)
    from graph_resnet import inference

    exported = inference.export(
        flags.train_dir,
        flags.export_dir,
        checkpoint=flags.checkpoint,
        before_tensorflow=cli.import_tensorflow,
    )
    for note in exported.notes:
        print(printable(note), file=sys.stderr)
    size = f"{exported.bytes / 1e6:.1f} MB, {len(exported.class_names)} classes"
    line = printable(f"[exported]: {exported.export_dir} from {exported.checkpoint}, {size}")
    print(json.dumps(exported.as_json()) if flags.json else line)
    return 0


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
