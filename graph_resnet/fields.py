"""Declares a field's type, range and help once: for a command's flag and for `config.json`.

    batch_size: int = declared(Whole(1, 2**20), "images in a training batch")       # a field of a dataclass
    read(Recipe, values)                                                            # `values`: a dict from JSON

A kind has `parse(text)`, for a flag's text, and `check(value)`, for a value from JSON. Both return the value to use, or
raise ValueError; `str(kind)` says what is allowed. Does not import TensorFlow, so that `--help` is quick.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterable
from typing import Any

from graph_resnet.errors import printable


@dataclasses.dataclass(frozen=True)
class Whole:
    """An int within limits."""

    low: int = 1
    high: int = 10**9
    metavar = "N"

    def parse(self, text: str) -> int:
        if len(text) > 40:  # int() answers 5,000 digits with advice about Python
            raise ValueError
        return self.check(int(text))

    def check(self, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError
        return value

    def __str__(self):
        return f"a whole number from {self.low:,} to {self.high:,}"


@dataclasses.dataclass(frozen=True)
class Number:
    """A float within limits."""

    low: float
    high: float
    metavar = "X"

    def parse(self, text: str) -> float:
        return self.check(float(text))

    def check(self, value: Any) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError
        return float(value)

    def __str__(self):
        return f"a number from {self.low:g} to {self.high:g}"


@dataclasses.dataclass(frozen=True)
class Several:
    """A tuple of `count` values of one kind; a flag may give one for all of them."""

    kind: Any
    count: int
    nargs = "+"

    def parse(self, text: str) -> tuple:
        return tuple(map(self.kind.parse, text.split(",")))

    def check(self, value: Any) -> tuple:
        if not isinstance(value, (list, tuple)) or len(value) != self.count:
            raise ValueError
        return tuple(map(self.kind.check, value))

    @property
    def word(self) -> Any:  # the kind of each word of a flag
        return self.kind

    @property
    def metavar(self) -> str:
        return self.kind.metavar

    def join(self, words: list[tuple]) -> tuple:
        values = tuple(value for word in words for value in word)
        if len(values) not in (1, self.count):
            raise ValueError(f"expected 1 or {self.count} values, got {len(values)}")
        return values * (self.count // len(values))

    def __str__(self):
        return f"{self.count} values, each {self.kind}"


@dataclasses.dataclass(frozen=True)
class Names:
    """Several names; in a flag separated by spaces, or by commas as in TF-Slim's flags."""

    metavar: str = "NAME"
    nargs = "+"

    def parse(self, text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(","))
        if not all(names):
            raise ValueError
        return names

    def check(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) and name for name in value):
            raise ValueError
        return tuple(map(printable, value))

    def join(self, words: list[tuple[str, ...]]) -> tuple[str, ...]:
        return tuple(name for word in words for name in word)

    def __str__(self):
        return "names, none of them empty"


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some names."""

    names: Iterable[str]

    def parse(self, text: str) -> str:
        return self.check(text)

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.names:
            raise ValueError
        return value

    def __str__(self):
        return f"one of {', '.join(self.names)}"


@dataclasses.dataclass(frozen=True)
class Switch:
    """A bool; as a flag, `--name` and `--no-name`."""

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    def __str__(self):
        return "true or false"


@dataclasses.dataclass(frozen=True)
class Text:
    """A str of limited length. Control characters become visible: ESC is replaced by four characters."""

    longest: int = 1000
    metavar = "TEXT"

    def parse(self, text: str) -> str:
        return self.check(text)

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= self.longest:
            raise ValueError
        return printable(value)

    def __str__(self):
        return f"a text of at most {self.longest:,} characters"


@dataclasses.dataclass(frozen=True)
class Maybe:
    """A value of another kind, or None."""

    kind: Any

    def check(self, value: Any) -> Any:
        return None if value is None else self.kind.check(value)

    def __str__(self):
        return f"{self.kind} or null"

    def __getattr__(self, name):  # metavar, parse: a flag that is passed is not None
        return getattr(self.kind, name)


@dataclasses.dataclass(frozen=True)
class Row:
    """A dataclass of declared fields, as a dict in JSON."""

    row: type

    def check(self, value: Any) -> Any:
        if isinstance(value, self.row):
            return read(self.row, shallow(value))
        if not isinstance(value, dict):
            raise ValueError
        return read(self.row, value)

    def __str__(self):
        return f"an object with the fields of {self.row.__name__}"


@dataclasses.dataclass(frozen=True)
class Rows:
    """Several dataclass objects of one type, as a list of dicts in JSON."""

    row: type
    most: int = 1000

    def check(self, value: Any) -> tuple:
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= self.most:
            raise ValueError
        return tuple(Row(self.row).check(item) for item in value)

    def __str__(self):
        return f"a list of objects with the fields of {self.row.__name__}"


class WrongError(ValueError):
    """A value that its field does not allow; the message names field, value and what is allowed."""


def declared(
    kind: Any,
    help: str = "",
    *,
    default: Any = dataclasses.MISSING,
    flag: bool = True,
    aliases: tuple[str, ...] = (),
    negatable: bool = True,
    compare: bool = True,
) -> Any:
    """A dataclass field with its kind and help.

    Args:
      kind: one of this module's kinds.
      help: for `--help`.
      default: as for `dataclasses.field`.
      flag: whether commands have a flag for it.
      aliases: other names of the flag.
      negatable: whether the flag of a `Switch` has a `--no-` form.
      compare: whether the field counts in comparisons.
    """
    about = {"kind": kind, "help": help, "flag": flag, "aliases": aliases, "negatable": negatable}
    return dataclasses.field(default=default, compare=compare, metadata=about)


def read(row: type, values: dict) -> Any:
    """Builds a dataclass of declared fields from a dict, which may come from an untrusted file.

    Raises:
      WrongError: a field is unknown, missing or not what its kind allows, or the row's own `problem()` is not None.
    """
    known = {field.name: field for field in dataclasses.fields(row)}
    unknown = sorted(map(str, values.keys() - known.keys()))
    if unknown:
        raise WrongError(f"unknown field {reprlib.repr(unknown[0])}")
    missing = [f.name for f in known.values() if f.default is dataclasses.MISSING and f.name not in values]
    if missing:
        raise WrongError(f"no {', '.join(missing)}")
    result = row(**{name: _checked(known[name], value) for name, value in values.items()})
    problem = result.problem() if hasattr(result, "problem") else None
    if problem is not None:
        raise WrongError(problem)
    return result


def _checked(field, value):
    kind = field.metadata["kind"]
    try:
        return kind.check(value)
    except WrongError as error:
        raise WrongError(f"{field.name}: {error}") from None
    except (ValueError, OverflowError):
        raise WrongError(f"{field.name} is {reprlib.repr(value)}, not {kind}") from None


def shallow(row: Any) -> dict:
    """The fields of a dataclass by name, without converting nested dataclasses."""
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
