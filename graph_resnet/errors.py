"""The error that a command prints as one line, without a traceback."""

import contextlib
import re

LONGEST = 2_000  # characters of an error


class UserError(Exception):
    """An error that the user can fix. One line that names the wrong value or file, and the fix."""

    def __init__(self, message: object):
        super().__init__(printable(_shortened(str(message))))


def _shortened(text):
    """`text` without its middle if it is too long: a value from a file may have megabytes."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def printable(text: str) -> str:
    """`text` on one line with control characters escaped: a name from a file may contain terminal codes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _shown(c) for c in text)


def printable_lines(text: str) -> str:
    """`text` with each of its lines `printable`: what a run says may name a path with terminal codes in it."""
    return "\n".join(map(printable, text.split("\n")))


def _shown(character: str) -> str:
    return " " if character.isspace() else character.encode("unicode_escape").decode()


@contextlib.contextmanager
def writing(path, *errors):
    """Turns an OSError, or one of `errors`, raised while `path` is written into a `UserError` that names it."""
    try:
        yield
    except (OSError, *errors) as error:
        raise UserError(f"cannot write {path} ({reason(error)}); fix that and run the same command") from error


def reason(error):
    """An exception in a few words: the system's message, or its first line; for a session's error, the line after the
    node's name."""
    if getattr(error, "strerror", None):
        return error.strerror
    text = str(error).strip() or type(error).__name__
    in_a_graph = re.search(r"^Node: .*\n(.+)", text, re.MULTILINE)
    return in_a_graph[1] if in_a_graph else text.splitlines()[0]
