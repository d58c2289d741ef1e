"""The last words of a process that cannot speak itself: it crashed, or was killed."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

_shells: list[subprocess.Popen] = []  # one inside `last_words`
_spoken: list[str] = []  # the lines of the open blocks


@contextlib.contextmanager
def last_words(line: str) -> Iterator[None]:
    """Prints `line` to stderr if the process dies inside this block; of nested blocks, the innermost one's.

    The process dies when memory runs out inside an op, or when the system kills it for that. Only another process can
    report it: a shell that waits for the end of a pipe, and keeps the last line that came through it.
    """
    with contextlib.ExitStack() as stack:
        if not _spoken:
            wait = 'while IFS= read -r line; do words=$line; done; printf "%s\\n" "$words" >&2'
            shell = subprocess.Popen(
                ["sh", "-c", wait], bufsize=0, stdin=subprocess.PIPE, cwd="/", start_new_session=True
            )
            _shells.append(stack.enter_context(shell))
            stack.callback(shell.kill)
            stack.callback(_shells.clear)
        _spoken.append(line)
        _tell()
        try:
            yield
        finally:
            _spoken.pop()
            if _spoken:
                _tell()


def silence() -> None:
    """Lets the process end without its last words: its user ended it."""
    for shell in _shells:
        shell.kill()


def _tell():
    with contextlib.suppress(OSError):  # somebody killed the shell
        _shells[0].stdin.write(f"{_spoken[-1]}\n".encode())
