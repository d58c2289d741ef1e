"""The error that a command shows as one line, without a traceback."""

import contextlib
import re

LONGEST = 2_000  # characters of an error


class UserError(Exception):
    """Something that the user can fix: names the value or file at fault, and the fix, in one line."""

    def __init__(self, message: object):
        super().__init__(printable(_shortened(str(message))))


def _shortened(text):
    """`text` without its middle if it is long: a value out of a foreign file may have megabytes."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def printable(text: str) -> str:
    """`text` on one line, control characters escaped: a name out of a foreign file may hold terminal codes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _shown(c) for c in text)


def _shown(character: str) -> str:
    return " " if character.isspace() else character.encode("unicode_escape").decode()


@contextlib.contextmanager
def writing(path, *errors):
    """Turns an OSError, or one of `errors`, that comes while `path` is written into a `UserError` that names it."""
    try:
        yield
    except (OSError, *errors) as error:
        raise UserError(f"cannot write {path} ({reason(error)}); fix that and run the same command") from error


def reason(error):
    """An exception in a few words: what the system says, or its first line; of a session's, that behind the node."""
    if getattr(error, "strerror", None):
        return error.strerror
    text = str(error) or type(error).__name__
    in_a_graph = re.search(r"^Node: .*\n(.+)", text, re.MULTILINE)
    return in_a_graph[1] if in_a_graph else text.splitlines()[0]
