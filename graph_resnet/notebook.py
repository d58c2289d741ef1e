"""For notebooks: imports without start-up messages, and one-line errors.

TensorFlow's own errors about a graph list where each op was created: hundreds of lines for a cell that was run twice.
"""

import contextlib
import re
import sys
from collections.abc import Iterator

from graph_resnet import cli
from graph_resnet.errors import reason


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """`with quiet_start(): import tensorflow...` imports without start-up messages; eager execution is not changed."""
    cli.import_quietly()
    yield


def one_line_errors(hint: str) -> None:
    """Shows this notebook's errors as one line with a hint from now on; `%tb` shows the last traceback.

    Args:
      hint: what to do, such as 'run the cells in order'.

    Raises:
      RuntimeError: this is not an IPython session.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("one_line_errors works in a notebook or in IPython")

    def show(shell, kind, error, traceback, tb_offset=None):
        sys.last_type, sys.last_value, sys.last_traceback = kind, error, traceback  # for %tb
        node = re.search(r"^Node: '(.+)'$", str(error), re.MULTILINE)  # in a session's error
        where = f" [{node[1]}]" if node else ""
        print(f"{kind.__name__}: {reason(error)}{where} ({hint}; %tb shows the traceback)", file=sys.stderr)

    shell.set_custom_exc((Exception,), show)
