"""Evaluates a trained net on a whole split, each image once: `python -m graph_resnet.evaluate --train-dir DIR`."""

import json
import os
import sys

from graph_resnet import cli, files
from graph_resnet.errors import UserError, printable
from graph_resnet.fields import Choice
from graph_resnet.flags import flag

EPILOG = """examples:
  python -m graph_resnet.evaluate --train-dir runs/notebook
      the test images, newest checkpoint
  python -m graph_resnet.evaluate --train-dir runs/notebook --split train
      the training images, without flips or shifts
  python -m graph_resnet.evaluate --train-dir runs/notebook --tta --json
      for a script
  python -m graph_resnet.evaluate --train-dir runs/notebook --checkpoint best

Writes confusion-val.png, mistakes-val.png (the most confident mistakes) and
calibration-val.png into the train dir; for other splits the names end
accordingly. The plots of the run and of its report are not changed.

--json prints one object:
  train_dir, checkpoint, step, data, split, tta, precision
  images             number of images
  loss               mean cross entropy, nats
  accuracy           0..1; so are the next two
  top5_accuracy
  calibration_error  expected calibration error in 15 bins
                     (Guo et al. 2017, arXiv:1706.04599)
  classes            a list of {name, images, accuracy}; the accuracy of a class
                     without images is null
  confusion          a list of rows: number of images of class `row` that were
                     predicted as class `column`
  files              {confusion, mistakes, calibration}, paths

from Python: graph_resnet.inference.evaluate(train_dir)
"""


def parse(argv=None):
    parser = cli.parser("evaluate", __doc__, EPILOG)
    add = parser.add_argument
    cli.add_checkpoint(add)
    splits, precisions = Choice(("val", "test", "train")), Choice(("auto", "bfloat16", "float32"))
    add("--split", **flag(splits, "val: what training validated on, the test images or those of --hold-out (default)",
        default="val"))  # fmt: skip
    add("--tta", action="store_true", help="average the logits of each image and its mirror image")
    add("--data-dir", "--dataset-dir", dest="data", type=files.path_flag, metavar="DIR", help="the "
        "data, as --data-dir or --dataset-dir of training (default: the path in config.json)")  # fmt: skip
    add("--allow-other-data", action="store_true", help="allow data that the net was not trained with")
    add("--precision", **flag(precisions, "auto: as in training, if this CPU supports it", default="auto"))
    add("--output-dir", type=files.path_flag, metavar="DIR", help="directory for the plots (default: the train dir)")
    add("--json", action="store_true", help="print one JSON object instead of a table")
    return parser.parse_args(cli.arguments(argv))


def main(argv=None):
    flags = parse(argv)
    output = flags.output_dir or flags.train_dir
    if flags.output_dir and not (os.path.isdir(output) and os.access(output, os.W_OK)):
        raise UserError(f"{output}: not a writable directory; pass another --output-dir")
    from graph_resnet import inference
    from graph_resnet.inference.evaluation import table

    result = inference.evaluate(
        flags.train_dir,
        checkpoint=flags.checkpoint,
        split=flags.split,
        tta=flags.tta,
        data=flags.data,
        allow_other_data=flags.allow_other_data,
        precision=flags.precision,
        progress=True,
        before_tensorflow=cli.import_tensorflow,
    )
    for note in result.notes:
        print(printable(note), file=sys.stderr)
    if not flags.json:
        checkpoint = printable(f"{result.checkpoint}, {result.precision}")
        print(f"{result.title}\n{checkpoint}\n\n{table(result.as_json())}\n")
    from graph_resnet.inference import pictures

    paths, problems = pictures.save(result, output, f"-{flags.split}")
    for problem in problems:
        print(problem, file=sys.stderr)
    if flags.json:
        print(json.dumps({**result.as_json(), "files": paths}))
    elif paths:
        print(printable(f"[files]: {', '.join(paths.values())}"))
    return 0


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
