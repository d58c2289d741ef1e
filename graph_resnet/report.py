"""Writes one run, or several side by side, as an HTML page: `python -m graph_resnet.report RUN...`."""

import sys

from graph_resnet import cli, files
from graph_resnet.errors import printable

EPILOG = """examples:
  python -m graph_resnet.report runs/notebook
      evaluates, and writes RUN/report.html again
  python -m graph_resnet.report runs/notebook runs/strong
      both in comparison.html, their curves in one plot
  python -m graph_resnet.report runs/* --output pages/all.html

Training writes a report at its end. A page is a single file.

from Python: graph_resnet.inference.write_report(train_dir),
write_comparison(train_dirs, path)
"""


def parse(argv=None):
    parser = cli.parser("report", __doc__, EPILOG)
    add = parser.add_argument
    add("runs", nargs="+", type=files.path_flag, metavar="RUN", help="train dirs of graph_resnet.train")
    add("--output", type=files.path_flag, metavar="FILE", help="the page about several runs (default: comparison.html)")
    add("--data-dir", "--dataset-dir", dest="data", type=files.path_flag, metavar="DIR", help="for one run: the "
        "data, as --data-dir or --dataset-dir of training (default: the path in config.json)")  # fmt: skip
    flags = parser.parse_args(cli.arguments(argv))
    if len(flags.runs) == 1 and flags.output:
        parser.error("argument --output: needs several runs; the page of one run is in its train dir")
    if len(flags.runs) > 1 and flags.data:
        parser.error("argument --data-dir: needs a single run; several are not evaluated")
    return flags


def main(argv=None):
    flags = parse(argv)
    from graph_resnet import inference

    if len(flags.runs) == 1:
        path, notes = inference.write_report(flags.runs[0], data=flags.data, before_tensorflow=cli.import_tensorflow)
        for note in notes:
            print(printable(note), file=sys.stderr)
    else:
        cli.import_tensorflow()
        path = inference.write_comparison(flags.runs, flags.output or "comparison.html")
    print(printable(f"[report]: {path}"))
    return 0


def command():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    command()
