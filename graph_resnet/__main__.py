"""`python -m graph_resnet` lists the commands; `python -m graph_resnet COMMAND` runs one."""

import difflib
import runpy
import sys

import graph_resnet
from graph_resnet.errors import printable

LAST = "--help after any of them lists its flags; train --recipe list has the recipes.\nFrom Python: docs/api.md."
COMMANDS = {
    "train": "trains a recipe; run again, it resumes",
    "evaluate": "evaluates a trained net on a whole split",
    "predict": "classifies image files",
    "export": "writes a SavedModel",
    "report": "shows one run or several on one page",
    "tf1": "runs an unmodified TensorFlow 1 program",
}


def overview() -> str:
    lines = [f"  python -m graph_resnet.{name:<9} {what}" for name, what in COMMANDS.items()]
    return "\n".join([f"graph_resnet {graph_resnet.__version__}\n", *lines, "", LAST])


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in COMMANDS:
        del sys.argv[1]
        runpy.run_module(f"graph_resnet.{word}", run_name="__main__", alter_sys=True)
    elif word in ("--help", "-h", "--version"):
        print(overview().splitlines()[0] if word == "--version" else overview())
    else:
        close = difflib.get_close_matches(word, COMMANDS, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        print(f"error: {printable(word)!r:.60} is not one of {', '.join(COMMANDS)}{hint}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
