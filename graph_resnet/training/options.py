"""What a run is told beside its recipe, TensorFlow-free. A field is declared once, for a caller and for its flag."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graph_resnet import fields, files
from graph_resnet.errors import UserError
from graph_resnet.fields import Choice, Maybe, Names, Switch, Whole, declared
from graph_resnet.session import PRECISIONS


@dataclass(frozen=True)
class Path:
    """A kind of value: a path of this machine, `~` expanded."""

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
    """Which images. Without a directory: $CIFAR_DATA_DIR, the cache, or a download."""

    data_dir: str | None = declared(
        DIRECTORY, "the record files, their folder or archive (default: $CIFAR_DATA_DIR, the cache, or a download)",
        default=None,
    )  # fmt: skip
    dataset_dir: str | None = declared(
        DIRECTORY, "images of your own: train/CLASS/* and val/CLASS/*, or CLASS/*, of which a tenth is kept for "
        "validation, the same in every run", default=None,
    )  # fmt: skip
    hold_out: int = declared(
        Whole(0), "validate on N of the training images (the last of the files, whose order is random), train on the "
        "others, and leave the test images for the end", default=0,
    )  # fmt: skip
    allow_other_data: bool = declared(
        Switch(), "go on although the data changed since the run began", default=False, negatable=False
    )


@dataclass(frozen=True)
class Start:
    """The weights to begin with, and those to train."""

    init_checkpoint: str | None = declared(
        Maybe(Path("PATH")), "begin with the weights of another net: a prefix such as runs/notebook/model.ckpt-20000, "
        "or a train dir", default=None, aliases=("--checkpoint-path",),
    )  # fmt: skip
    exclude_scopes: tuple[str, ...] = declared(
        Names("SCOPE"), "variables of --init-checkpoint to leave out, such as resnet/classification; several with "
        "spaces or commas between them", default=(), aliases=("--checkpoint-exclude-scopes",),
    )  # fmt: skip
    trainable_scopes: tuple[str, ...] = declared(
        Names("SCOPE"), "train these variables alone (default: all)", default=()
    )


@dataclass(frozen=True)
class Output:
    """What is kept of a run, and how often. Steps between evaluations are the recipe's."""

    log_every: int = declared(COUNT, "steps between training lines (default: 50)", default=50)
    save_every: int = declared(COUNT, "steps between checkpoints (default: 500)", default=500)
    keep_best: bool = declared(
        Switch(), "also keep the checkpoint that is best on the images of --hold-out", default=False, negatable=False
    )
    profile: int | None = declared(
        Maybe(COUNT), "trace every N-th step into DIR/profile, for chrome://tracing, and print the costliest ops",
        default=None,
    )  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """How the machine computes."""

    precision: str = declared(
        Choice(PRECISIONS), "auto: the quicker one, by a short measurement (default)", default="auto"
    )
    threads: int | None = declared(
        Maybe(Whole(1, 1024)), "CPU threads (default: all cores, one for a small step)", default=None
    )
    cluster_timeout: int = declared(
        Whole(1, 10**6), "seconds to wait for the other workers at the start (default: 300)", default=300
    )


@dataclass(frozen=True)
class Show:
    """What a call shows of its run: nothing, unless asked.

    Attributes:
      say: called with each line: `print`, or a logger's method. Where it is None nothing is printed and no bar shown.
      command: the command line that repeats the run. It goes into config.json, and is said when a signal stops it.
      before_tensorflow: called before TensorFlow is imported; the commands make that import quiet.
    """

    say: Callable[[str], object] | None = None
    command: str | None = None
    before_tensorflow: Callable[[], object] | None = None

    def line(self, text: str) -> None:
        if self.say is not None:
            self.say(text)


def checked(row: Any) -> Any:
    """One of these, or a recipe, with every field checked: as given from Python, it may hold anything.

    Raises:
      UserError: names the field, the value and what is allowed.
    """
    try:
        return fields.read(type(row), fields.shallow(row))
    except fields.WrongError as error:
        raise UserError(str(error)) from None


def of_flags(row: type, flags: Any) -> Any:
    """A row of the flags that its fields are: where a flag was not given, the default."""
    given = {f.name: getattr(flags, f.name) for f in dataclasses.fields(row)}
    return row(**{name: value for name, value in given.items() if value is not None})
