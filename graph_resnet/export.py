"""Writes a trained net as a SavedModel: `python -m graph_resnet.export --train-dir DIR --export-dir DIR`."""

import json
import os
import sys

from graph_resnet import cli, files
from graph_resnet.errors import UserError

EPILOG = """examples:
  python -m graph_resnet.export --train-dir runs/notebook --export-dir exported
  python -m graph_resnet.export --train-dir runs/notebook --export-dir models/cifar/1     for TensorFlow Serving
  saved_model_cli show --dir exported --tag_set serve --signature_def serving_default

signature serving_default:
  images         uint8 [batch, height, width, 3], of any size: resized bilinearly in the graph; large photos should be
                 shrunk before, to the size of the training's records, as graph_resnet.predict does
  logits         float32 [batch, classes]
  probabilities  float32 [batch, classes]
  classes        int64 [batch]; their names are the lines of assets/class_names.txt, from 0

--json prints one object: train_dir, checkpoint, step, export_dir, bytes, classes (their names)
"""


def parse(argv=None):
    """The flags."""
    parser = cli.parser("export", __doc__, EPILOG)
    add = parser.add_argument
    cli.add_checkpoint(add)
    add(
        "--export-dir",
        required=True,
        type=files.path_flag,
        metavar="DIR",
        help="where to; must not exist yet, or be empty",
    )
    add("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(cli.arguments(argv))


def main(argv=None):
    """The command."""
    flags = parse(argv)
    from graph_resnet import config

    net = config.read(flags.train_dir)
    target = flags.export_dir
    if os.path.lexists(target) and not (os.path.isdir(target) and not os.listdir(target)):
        what = "not empty" if os.path.isdir(target) else "not a directory"
        raise UserError(f"export dir {target}: {what}; pass a new one")
    cli.import_tensorflow()
    from graph_resnet.inference import restore, saved_model

    checkpoint = restore.find_checkpoint(net.directory, flags.checkpoint, say=lambda line: print(line, file=sys.stderr))
    size = saved_model.export(net, checkpoint, target)
    result = {
        "train_dir": str(net.directory),
        "checkpoint": checkpoint,
        "step": restore.step_of(checkpoint),
        "export_dir": target,
        "bytes": size,
        "classes": list(net.class_names),
    }
    line = f"[exported]: {target} from {checkpoint}, {size / 1e6:.1f} MB, {len(net.class_names)} classes"
    print(json.dumps(result) if flags.json else line)
    return 0


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
