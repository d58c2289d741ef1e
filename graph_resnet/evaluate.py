"""Measures a trained net over a whole split, each image once: `python -m graph_resnet.evaluate --train-dir DIR`."""

import json
import os
import sys

from graph_resnet import cli, files
from graph_resnet.errors import UserError, printable

EPILOG = """examples:
  python -m graph_resnet.evaluate --train-dir runs/notebook                        the test images, newest checkpoint
  python -m graph_resnet.evaluate --train-dir runs/notebook --split train          the training images, as they are
  python -m graph_resnet.evaluate --train-dir runs/notebook --tta --json           for a script
  python -m graph_resnet.evaluate --train-dir runs/notebook --checkpoint runs/notebook/model.ckpt-5000

written: confusion.png and mistakes.png, the errors of which the net was most certain, into the train dir

--json prints one object:
  train_dir, checkpoint, step, data, split, tta, precision
  images             how many
  loss               mean cross entropy, nats
  accuracy           0..1; so are the next two
  top5_accuracy
  calibration_error  expected calibration error in 15 bins (Guo et al. 2017, arXiv:1706.04599)
  classes            a list of {name, images, accuracy}; the accuracy of a class without images is null
  confusion          a list of rows: images of class `row` that were taken for class `column`
  files              {confusion, mistakes}, paths
"""


def parse(argv=None):
    """The flags."""
    parser = cli.parser("evaluate", __doc__, EPILOG)
    add = parser.add_argument
    cli.add_checkpoint(add)
    add("--split", default="val", choices=("val", "test", "train"), help="val: what training validated on, the test "
        "images or those of --hold-out (default)")  # fmt: skip
    add("--tta", action="store_true", help="average the logits of each image and of its mirror image")
    add(
        "--data-dir", type=files.path_flag, metavar="DIR", help="as in train: the record files, their folder or archive"
    )
    add(
        "--dataset-dir",
        type=files.path_flag,
        metavar="DIR",
        help="as in train: folders of pictures (default: where they were in training)",
    )
    add("--allow-other-data", action="store_true", help="measure it on data that it was not trained with")
    add("--precision", default="auto", choices=("auto", "bfloat16", "float32"), help="auto: as in training, where this "
        "CPU can")  # fmt: skip
    add("--output-dir", type=files.path_flag, metavar="DIR", help="where the pictures go (default: the train dir)")
    add("--json", action="store_true", help="print one JSON object instead of a table")
    return parser.parse_args(cli.arguments(argv))


def main(argv=None):
    """The command."""
    flags = parse(argv)
    from graph_resnet import config
    from graph_resnet.data import find
    from graph_resnet.session import check_precision, precision_as_trained

    net = config.read(flags.train_dir)
    output = flags.output_dir or flags.train_dir
    if not (os.path.isdir(output) and os.access(output, os.W_OK)):
        raise UserError(f"{output}: no directory that can be written; pass another --output-dir")
    records = find.for_trained(net, flags.data_dir, flags.dataset_dir)
    for note in records.notes:
        print(f"[data]: {printable(note)}", file=sys.stderr)
    config.check_data(net, records, allow_other=flags.allow_other_data)
    precision = precision_as_trained(net.precision) if flags.precision == "auto" else flags.precision
    check_precision(precision)

    cli.import_tensorflow()
    from graph_resnet.inference import evaluation, restore

    checkpoint = restore.find_checkpoint(net.directory, flags.checkpoint, say=lambda line: print(line, file=sys.stderr))
    step = restore.step_of(checkpoint)
    logits, labels = evaluation.run(net, checkpoint, records, split=flags.split, tta=flags.tta, precision=precision)
    result = {
        "train_dir": str(net.directory),
        "checkpoint": checkpoint,
        "step": step,
        "data": records.title,
        "split": flags.split,
        "tta": flags.tta,
        "precision": precision,
        **evaluation.measures(logits, labels, net.class_names),
    }
    kind = {"train": "training", "test": "test", "val": "held-out" if records.held_out else "test"}[flags.split]
    mirrored = ", with their mirror images" if flags.tta else ""
    title = f"{net.recipe.name} at step {step}, {result['images']:,} {kind} images of {records.title}{mirrored}"
    if not flags.json:
        print(f"{title}\n{checkpoint}, {precision}\n\n{evaluation.table(result)}\n")
    result["files"] = evaluation.save_pictures(
        output,
        logits,
        labels,
        result["confusion"],
        records,
        split=flags.split,
        class_names=net.class_names,
        title=title,
    )
    print(json.dumps(result) if flags.json else f"[files]: {', '.join(result['files'].values())}")
    return 0


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
