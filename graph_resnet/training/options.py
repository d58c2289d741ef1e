"""A run's options other than its recipe. Each field is declared once, for Python and for its flag. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graph_resnet import fields, files
from graph_resnet.errors import UserError, printable_lines
from graph_resnet.fields import Choice, Maybe, Names, Switch, Whole, declared
from graph_resnet.session import PRECISIONS


@dataclass(frozen=True)
class Path:
    """A field type: a path on this machine, with `~` expanded."""

    metavar: str = "DIR"

    def parse(self, text: str) -> str:
        return files.path_flag(text)

    def check(self, value: Any) -> str:
        return files.path_flag(str(value))

    def __str__(self):
        return "a path"


DIRECTORY, COUNT = Maybe(Path()), Whole()


@dataclass(frozen=True)
class Data:
    """Which images to use. Without a directory: $CIFAR_DATA_DIR, the cache, or a download."""

    data_dir: str | None = declared(
        DIRECTORY, "the record files, their folder or archive (default: $CIFAR_DATA_DIR, the cache, or a download)",
        default=None,
    )  # fmt: skip
    dataset_dir: str | None = declared(
        DIRECTORY, "your own images: train/CLASS/* and val/CLASS/*, or CLASS/*, of which a tenth is kept for "
        "validation, the same in every run", default=None,
    )  # fmt: skip
    hold_out: int = declared(
        Whole(0), "validate on the last N training images (the files are in random order) and do not train on them, so "
        "that the test images are only used at the end", default=0,
    )  # fmt: skip
    allow_other_data: bool = declared(
        Switch(), "continue although the data changed since the run started", default=False, negatable=False
    )


@dataclass(frozen=True)
class Start:
    """The initial weights, and the variables to train."""

    init_checkpoint: str | None = declared(
        Maybe(Path("PATH")), "start with the weights of another net: a prefix such as runs/notebook/model.ckpt-20000, "
        "or a train dir", default=None, aliases=("--checkpoint-path",),
    )  # fmt: skip
    exclude_scopes: tuple[str, ...] = declared(
        Names("SCOPE"), "variables of --init-checkpoint to skip, such as resnet/classification; separate several by "
        "spaces or commas", default=(), aliases=("--checkpoint-exclude-scopes",),
    )  # fmt: skip
    trainable_scopes: tuple[str, ...] = declared(
        Names("SCOPE"), "train only these variables (default: all)", default=()
    )


@dataclass(frozen=True)
class Output:
    """What a run keeps, and how often. (The recipe has the steps between evaluations.)"""

    log_every: int = declared(COUNT, "steps between training lines (default: 50)", default=50)
    save_every: int = declared(COUNT, "steps between checkpoints (default: 500)", default=500)
    keep_best: bool = declared(
        Switch(), "also keep the checkpoint that is best on the images of --hold-out", default=False, negatable=False
    )
    profile: int | None = declared(
        Maybe(COUNT), "trace every N-th step into DIR/profile, for chrome://tracing, and print the slowest ops",
        default=None,
    )  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """Precision, threads and timeout of a run."""

    precision: str = declared(
        Choice(PRECISIONS), "auto: the faster one, by a short measurement (default)", default="auto"
    )
    threads: int | None = declared(
        Maybe(Whole(1, 1024)),
        "CPU threads (default: all cores, or as many as a small step can use)",
        default=None,
    )
    cluster_timeout: int = declared(
        Whole(1, 10**6), "seconds to wait for the other workers at the start (default: 300)", default=300
    )


@dataclass(frozen=True)
class Show:
    """What a call shows of its run; by default nothing.

    Attributes:
      say: called with each line: `print`, or a logger's method. If None, no lines and no bar are shown.
      command: command line that repeats the run; stored in config.json and printed when a signal stops the run.
      before_tensorflow: called before TensorFlow is imported; the commands use it to silence the import.
    """

    say: Callable[[str], object] | None = None
    command: str | None = None
    before_tensorflow: Callable[[], object] | None = None

    def line(self, text: str) -> None:
        if self.say is not None:
            self.say(printable_lines(text))


def checked(row: Any) -> Any:
    """An options object or recipe with every field checked, since Python callers may pass anything.

    Raises:
      UserError: names the field, the value and what is allowed.
    """
    try:
        return fields.read(type(row), fields.shallow(row))
    except fields.WrongError as error:
        raise UserError(str(error)) from None


def of_flags(row: type, flags: Any) -> Any:
    """An options object from parsed flags, with defaults for flags that were not given."""
    values = {f.name: getattr(flags, f.name) for f in dataclasses.fields(row)}
    return row(**{name: value for name, value in values.items() if value is not None})
