"""Runs unmodified TensorFlow 1 programs on today's TensorFlow.

    python -m graph_resnet.tf1 SCRIPT [ARGS...]           # runs a program
    python -m graph_resnet.tf1 -m MODULE [ARGS...]        # runs a module
    python -m graph_resnet.tf1 --check FILE_OR_DIR...     # reads programs and lists what they use
    %load_ext graph_resnet.tf1                            # first cell of a notebook
    import graph_resnet.tf1                               # before `import tensorflow`

After that, `import tensorflow` gives `tensorflow.compat.v1` (then the real module), in graph mode, with `tf.contrib`,
`tf.layers` and `tf.nn.rnn_cell`. Libraries written for TensorFlow 2 still get the real module. See docs/tf1.md.
"""

import os
import sys

USAGE = """usage: python -m graph_resnet.tf1 [--no-numpy] SCRIPT [ARGS...]
       python -m graph_resnet.tf1 [--no-numpy] -m MODULE [ARGS...]
       python -m graph_resnet.tf1 --check [--json] FILE_OR_DIR...

Runs a TensorFlow 1 program on today's TensorFlow, or lists the names of
TensorFlow that programs use.

  SCRIPT        a Python file, a directory with a __main__.py, or - for stdin
  -m MODULE     a module, as for `python -m`
  --no-numpy    do not restore names that numpy, scipy, Pillow, TensorBoard and
                Python have removed
  --check       read the files without running them; exit with 1 if a name is
                gone or a file cannot be read
  --json        the list as JSON
"""


def install(numpy: bool = True):
    """Switches this process to TensorFlow 1; prints to stderr which modules have imported TensorFlow 2 already.

    The processes that `multiprocessing` starts are switched too.

    Args:
        numpy: restore names that numpy, scipy and Python have removed.
    """
    from graph_resnet import session
    from graph_resnet.compat import children, facade, removed_names

    session.use_onednn()
    package = os.path.dirname(os.path.abspath(__file__))
    own = package, _doorway()
    late = facade.install(own_directories=own)
    switch = "import graph_resnet.tf1"
    if numpy:
        removed_names.install()
    else:
        switch = f"from graph_resnet.compat import facade; facade.install({own!r})"
    children.run_first(f"import sys; sys.path.append({os.path.dirname(package)!r}); {switch}")
    if late:
        modules = ", ".join(sorted(late))
        print(
            f"graph_resnet.tf1: too late for {modules}, which imported TensorFlow 2 already; "
            "import graph_resnet.tf1 first, or import tensorflow there again",
            file=sys.stderr,
        )


def _doorway():
    """The directory of this project's own `utils`, which is written for today's TensorFlow."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "utils")


def load_ipython_extension(ipython):
    """Called by `%load_ext graph_resnet.tf1`. Names in the notebook that hold TensorFlow 2 are replaced too."""
    real = sys.modules.get("tensorflow")
    names = [name for name, value in ipython.user_ns.items() if value is real and real is not None]
    if names:
        from graph_resnet.compat import facade

        ipython.user_ns.update({name: facade.facade() for name in names})
        print(f"graph_resnet.tf1: {', '.join(names)} is TensorFlow 1 from here on; run earlier cells again")


def main(arguments: list[str]) -> int:
    """Runs the command and returns the exit status. A program that is run ends the process itself."""
    numpy = True
    while arguments and arguments[0] == "--no-numpy":
        numpy, arguments = False, arguments[1:]
    first, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if first in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if first == "--check":
        from graph_resnet.compat import check

        return check.command(rest)
    if not first or (first.startswith("-") and first not in ("-", "-m")) or (first == "-m" and not rest):
        print(USAGE, end="", file=sys.stderr)
        return 2
    from graph_resnet.compat import run

    install(numpy)
    if first == "-m":
        run.run_module(rest[0], rest[1:])
    else:
        run.run_script(first, rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
else:
    install()
