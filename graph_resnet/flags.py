"""Argparse flags for the kinds of `fields`: with the bounds and error messages that `config.json` has.

    add_flags(parser, Recipe)                                   # a flag for each declared field
    add("--threads", **flag(Whole(1, 1024), "CPU threads"))     # a flag without a field

Does not import TensorFlow, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

from graph_resnet.fields import Choice, Maybe, Switch


def add_flags(group: Any, row: type, only: Iterable[str] | None = None) -> None:
    """Adds flags for a dataclass's declared fields to a parser or group: for all fields, or for those in `only`.

    A flag that is not passed is None.
    """
    by_name = {f.name: f for f in dataclasses.fields(row) if f.metadata["flag"]}
    for name in by_name if only is None else only:
        about = by_name[name].metadata
        options = {} if about["negatable"] else {"action": "store_true"}
        names = ("--" + name.replace("_", "-"), *about["aliases"])
        group.add_argument(*names, **flag(about["kind"], about["help"], **options))


def flag(kind: Any, help: str, **options: Any) -> dict[str, Any]:
    """The keyword arguments of argparse's `add_argument` for a kind; `options` override them or add to them."""
    inner = kind.kind if isinstance(kind, Maybe) else kind
    result: dict[str, Any] = {"help": help.replace("%", "%%"), "default": None}
    if isinstance(inner, Switch):
        return {**result, "action": argparse.BooleanOptionalAction, **options}
    result |= {"type": typed(inner), "metavar": getattr(inner, "metavar", None)}
    if isinstance(inner, Choice):
        result["metavar"] = "{" + ",".join(inner.names) + "}"
    if hasattr(inner, "nargs"):
        result |= {"nargs": inner.nargs, "action": _Joined, "join": inner.join}
    return {**result, **options}


def typed(kind: Any) -> Callable[[str], Any]:
    """`kind.parse` as argparse's `type`: its ValueError becomes a message that says what is allowed, with a hint."""

    def parse(text):
        try:
            return kind.parse(text)
        except (ValueError, OverflowError):
            close = difflib.get_close_matches(text, getattr(kind, "names", ()), 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise argparse.ArgumentTypeError(
                f"{reprlib.repr(text)} is not {getattr(kind, 'word', kind)}{hint}"
            ) from None

    return parse


class _Joined(argparse.Action):
    """Joins the words after a flag into one value."""

    def __init__(self, *args, join, **options):
        super().__init__(*args, **options)
        self._join = join

    def __call__(self, parser, namespace, values, option_string=None):
        try:
            setattr(namespace, self.dest, self._join(values))
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from None
