"""What a value may be, declared once: for the text of a flag and for the same value in `config.json`.

    batch_size: int = declared(Whole(1, 2**20), "images in a training batch")       # a field of a dataclass
    add("--threads", **flag(Whole(1, 1024), "CPU threads"))                         # a flag that is no field
    read(Recipe, values)                                                            # a dict out of a JSON file

A kind has `parse(text)`, which argparse calls, and `check(value)`, which takes what JSON can hold. Both return
the value to use, or raise ValueError; the kind as text says what is allowed. TensorFlow-free: `--help` is quick.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

from graph_resnet.errors import printable

CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Whole:
    """An int within bounds."""

    low: int = 1
    high: int = 10**9
    metavar = "N"

    def parse(self, text: str) -> int:
        if len(text) > 40:  # int() refuses 5,000 digits with advice about Python
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
    """A float within bounds."""

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
class PerChannel:
    """A float for each color channel; a flag may give one for all of them."""

    number: Number
    metavar = "X"
    nargs = "+"

    def parse(self, text: str) -> tuple[float, ...]:
        return tuple(map(self.number.parse, text.split(",")))

    def check(self, value: Any) -> tuple[float, ...]:
        if not isinstance(value, (list, tuple)) or len(value) != CHANNELS:
            raise ValueError
        return tuple(map(self.number.check, value))

    @property
    def word(self) -> Number:  # what each word of a flag is
        return self.number

    def join(self, words: list[tuple[float, ...]]) -> tuple[float, ...]:
        numbers = tuple(number for word in words for number in word)
        if len(numbers) not in (1, CHANNELS):
            raise ValueError(f"expected 1 or {CHANNELS} numbers, got {len(numbers)}")
        return numbers * (CHANNELS // len(numbers))

    def __str__(self):
        return f"{CHANNELS} numbers from {self.number.low:g} to {self.number.high:g}"


@dataclasses.dataclass(frozen=True)
class Names:
    """Several names; a flag gives them as words, or with commas between them as TF-Slim's flags do."""

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
    """A str of limited length. What a terminal would act on becomes visible: ESC is four characters."""

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

    def __getattr__(self, name):  # metavar, parse: a flag that is given is not None
        return getattr(self.kind, name)


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two values of one kind."""

    kind: Any

    def check(self, value: Any) -> tuple:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ValueError
        return tuple(map(self.kind.check, value))

    def __str__(self):
        return f"a pair of numbers, each {self.kind}"


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
    """Some dataclasses of one type, as a list of dicts in JSON."""

    row: type
    most: int = 1000

    def check(self, value: Any) -> tuple:
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= self.most:
            raise ValueError
        return tuple(Row(self.row).check(each) for each in value)

    def __str__(self):
        return f"a list of objects with the fields of {self.row.__name__}"


class WrongError(ValueError):
    """A value that its field does not allow; the message names the field, the value and what is allowed."""


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
    """A field of a dataclass, with its kind and its help.

    Args:
      kind: one of this module's.
      help: what the field decides, for `--help`.
      default: as for `dataclasses.field`.
      flag: whether a command has a flag for it.
      aliases: other names of the flag.
      negatable: whether the flag of a `Switch` has a `--no-` form.
      compare: whether rows that differ in it alone are unequal.
    """
    about = {"kind": kind, "help": help, "flag": flag, "aliases": aliases, "negatable": negatable}
    return dataclasses.field(default=default, compare=compare, metadata=about)


def read(row: type, values: dict) -> Any:
    """A dataclass of declared fields out of a dict that may come from anywhere.

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
    """The fields of a dataclass by name, without taking apart what they hold."""
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def add_flags(group: Any, row: type, only: Iterable[str] | None = None) -> None:
    """Adds a flag for each declared field of a dataclass to a parser or a group: all, or `only` some of them.

    The value of a flag that is not given is None.
    """
    by_name = {f.name: f for f in dataclasses.fields(row) if f.metadata["flag"]}
    for name in by_name if only is None else only:
        about = by_name[name].metadata
        options = {} if about["negatable"] else {"action": "store_true"}
        names = ("--" + name.replace("_", "-"), *about["aliases"])
        group.add_argument(*names, **flag(about["kind"], about["help"], **options))


def flag(kind: Any, help: str, **options: Any) -> dict[str, Any]:
    """The arguments of argparse's `add_argument` for a value of a kind; `options` replace them or are added."""
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
    """`kind.parse` for argparse's `type`; its ValueError becomes a message with what is allowed, and what was meant."""

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
    """Several words that are one value."""

    def __init__(self, *args, join, **options):
        super().__init__(*args, **options)
        self._join = join

    def __call__(self, parser, namespace, values, option_string=None):
        try:
            setattr(namespace, self.dest, self._join(values))
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from None
