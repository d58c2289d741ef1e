"""`config.json`: the record of a train dir's run and net. Only this module reads and writes it.

A net is rebuilt from data only: the file holds the recipe and the row of its architecture, and nothing in it makes code
run. Files of version 1.0.0 have no row; they name one of `ARCHITECTURES`.
"""

from __future__ import annotations

import dataclasses
import json
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import graph_resnet
from graph_resnet import fields, files
from graph_resnet.architectures import ARCHITECTURES, Architecture
from graph_resnet.data import find
from graph_resnet.errors import UserError, printable, reason
from graph_resnet.fields import Choice, Maybe, Number, Text, Whole, WrongError
from graph_resnet.recipes import Recipe
from graph_resnet.session import PRECISIONS

FILE = "config.json"
NEXT = "restore the file, or pass another --train-dir"
COUNT, SECONDS = Whole(0, 10**9), Number(0, 1e12)

# Fields that must match to resume a run: they decide what the weights mean and which images they saw.
IDENTITY = ("name", "net", "dataset", "label", "image_size", "mean", "std", "batch_size", "num_classes")
# The extra variables that each optimizer keeps per weight.
SLOTS = {"momentum": "Momentum", "nesterov": "Momentum", "adam": "Adam"}

# Fields of earlier recipes: (the value that changed nothing, the version that had the field).
RETIRED = {
    "alternating_flip": (False, "1.0.0 before 2026-11-23"),
    "gamma": ("none", "1.0.0 before 2026-11-23"),
}


@dataclass(frozen=True)
class TrainedNet:
    """The checked content of a train dir's config.json.

    Attributes:
      directory: pathlib.Path.
      recipe: the recipe of the run; `recipe.architecture` is the row to build.
      class_names: tuple of str, by class number.
      precision: 'bfloat16' or 'float32', used in training and evaluation.
      data: dict, the description of the data by `find.describe`.
      held_out: number of training records kept for validation.
      notes: lines for the user, such as which fields of an earlier version were dropped.
    """

    directory: Path
    recipe: Recipe
    class_names: tuple[str, ...]
    precision: str
    data: dict
    held_out: int = 0
    notes: tuple[str, ...] = ()


def read(directory: str | Path, name: str = FILE) -> TrainedNet:
    """Reads a train dir's `config.json`, or another file in it.

    Raises:
      UserError: one line that names what is missing or wrong.
    """
    directory = Path(directory)
    files.check_name(directory, "train dir")
    values = read_json(directory, name)
    if values is None:
        why = f"it holds no {name}" if directory.is_dir() else "no such directory"
        raise UserError(f"train dir {directory}: {why}; pass the --train-dir of a run of graph_resnet.train")
    try:
        recipe, notes = _recipe(values)
        names = values.get("class_names")
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise WrongError(f"class_names is {reprlib.repr(names)}, not a list of names")
        if values["recipe"].get("num_classes") != len(names):
            count = reprlib.repr(values["recipe"].get("num_classes"))
            raise WrongError(f"num_classes is {count}, with {len(names)} class_names")
        precision = _value(values, "precision", Choice(PRECISIONS), "float32")
        held_out = _value(values, "held_out", COUNT, 0)
    except WrongError as error:
        raise UserError(f"{directory / name}: {error}; {NEXT}") from None
    shown = tuple(printable(f"{directory / name}: {note}") for note in notes)
    return TrainedNet(directory, recipe, tuple(names), precision, values["data"], held_out, shown)


def _value(values: dict, name: str, kind: Any, default: Any) -> Any:
    value = values.get(name, default)
    try:
        return kind.check(value)
    except ValueError:
        raise WrongError(f"{name} is {reprlib.repr(value)}, not {kind}") from None


def _recipe(values: dict) -> tuple[Recipe, list[str]]:
    """The `Recipe` of a config, and lines about dropped fields."""
    fields_given = {name: value for name, value in values["recipe"].items() if name != "num_classes"}
    notes = []
    for name, (nothing, version) in RETIRED.items():
        if name in fields_given:
            value = fields_given.pop(name)
            if value != nothing:
                raise WrongError(
                    f"{name} is {reprlib.repr(value)}, which graph_resnet {version} supported but "
                    f"{graph_resnet.__version__} does not; use that version"
                )
            notes.append(f"recipe field {name} of graph_resnet {version} is dropped; {value!r} changed nothing")
    unknown = sorted(fields_given.keys() - {field.name for field in dataclasses.fields(Recipe)})
    if unknown:
        versions = values.get("versions")
        wrote = versions.get("graph_resnet") if isinstance(versions, dict) else None
        by = f"graph_resnet {wrote}" if isinstance(wrote, str) and len(wrote) < 40 else "another version"
        raise WrongError(
            f"unknown recipe field {reprlib.repr(unknown[0])}; written by {by}, this is {graph_resnet.__version__}"
        )
    row = values.get("architecture")
    if row is not None:
        try:
            row = fields.Row(Architecture).check(row)
        except WrongError as error:
            raise WrongError(f"architecture: {error}") from None
        except ValueError:
            raise WrongError(f"architecture is {reprlib.repr(row)}, not a net's row") from None
        if not isinstance(fields_given.get("net"), str):
            raise WrongError(f"net is {reprlib.repr(fields_given.get('net'))}, not a name")
        if ARCHITECTURES.get(fields_given["net"]) != row:  # a user's row, or one that has changed since
            fields_given["net"] = row
    return fields.read(Recipe, fields_given), notes


def recipe_values(recipe: Recipe) -> dict:
    """A recipe for JSON: its fields, with the net's name. `row_values` gives the net's row."""
    values = {**fields.shallow(recipe), "net": recipe.net_name}
    del values["result"]  # belongs to the table's row, not to a run
    return values


def row_values(recipe: Recipe) -> dict:
    """The row of a recipe's net, for JSON."""
    return dataclasses.asdict(recipe.architecture)


def read_json(train_dir: str | Path, name: str = FILE) -> dict | None:
    """A train dir's `config.json` as a dict, or None if it has none.

    Raises:
      UserError: the file was not written by this package.
    """
    path = Path(train_dir) / name
    try:
        values = files.read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); {NEXT}") from None
    if not (
        isinstance(values, dict) and isinstance(values.get("recipe"), dict) and isinstance(values.get("data"), dict)
    ):
        raise UserError(f"{path}: not a run's config; {NEXT}")
    listed = values["data"].get("files")
    if not (isinstance(listed, list) and all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in listed)):
        raise UserError(f"{path}: data has no list of files; {NEXT}")
    try:
        _check_numbers(values)
    except WrongError as error:
        raise UserError(f"{path}: {error}; {NEXT}") from None
    return values


# Values that every reader uses, by part of the file; only `read` checks the whole recipe.
NUMBERS = {
    "": {"held_out": COUNT},
    "recipe": {"name": Text(), "batch_size": Whole(1, 2**20)},
    "finished": {"step": Whole(0, 2**63 - 1), "loss": Number(-1e300, 1e300), "accuracy": Number(0, 1), "images": COUNT,
                 "seconds": SECONDS},
    "file": {"bytes": Whole(0, 2**63 - 1), "records": COUNT},
}  # fmt: skip


def _check_numbers(values: dict) -> None:
    """Raises a WrongError if a field of `NUMBERS` is present and not of its kind."""
    finished = values.get("finished")
    if not isinstance(finished, (dict, type(None))):
        raise WrongError(f"finished is {reprlib.repr(finished)}, not an object")
    parts = [("", values), ("recipe", values["recipe"]), ("finished", finished or {})]
    for part, held in [*parts, *(("file", file) for file in values["data"]["files"])]:
        for name, kind in NUMBERS[part].items():
            if name in held:
                _value(held, name, kind if part == "file" else Maybe(kind), None)


def write_json(train_dir: str | Path, values: dict) -> None:
    """Writes `config.json` atomically: a killed process leaves the old one or the new one.

    Raises:
      UserError: the file cannot be written.
    """
    path = Path(train_dir) / FILE
    try:
        files.write(path, f"{json.dumps(values, indent=2)}\n".encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason(error)}); fix that, or pass another --train-dir") from None


def check_same_run(train_dir: str | Path, old: dict, new: dict, other_data: str | None = None) -> list[str]:
    """Checks that the checkpoints in a train dir belong to this run.

    Args:
      train_dir: names the directory in errors.
      old, new: dicts, from `read_json` and for `write_json`.
      other_data: None, or a phrase about how the data differ.

    Returns:
      A line for each setting that changed and may change, with its effect.

    Raises:
      UserError: names the first setting that changed and must not.
    """
    new = json.loads(json.dumps(new))  # turns tuples into lists, as in `old`
    pairs = {key: (old["recipe"].get(key), new["recipe"].get(key)) for key in IDENTITY}
    pairs["held_out"] = old.get("held_out", 0), new.get("held_out", 0)
    pairs["seed"] = old.get("seed"), new.get("seed")
    for key, (before, now) in pairs.items():
        if before != now:
            raise UserError(
                f"train dir {train_dir}: holds a run with {key} {before!s:.60}, not {now}; pass another --train-dir"
            )
    if "architecture" in old and _row(old["architecture"]) != _row(new.get("architecture")):
        raise UserError(
            f"train dir {train_dir}: holds a net {new['recipe']['net']} with another row; pass another --train-dir"
        )
    if other_data:
        raise UserError(
            f"train dir {train_dir}: was trained on other data ({other_data}); pass another --train-dir, or "
            "--allow-other-data to continue"
        )
    _check_optimizer(train_dir, old, new)
    return _changes(old, new)


def _row(value):
    """A net's row, with defaults for fields that an earlier version did not have; an invalid row unchanged."""
    try:
        return fields.Row(Architecture).check(value)
    except ValueError:
        return value


def _check_optimizer(train_dir, old, new):
    """Checks that the optimizer's variables in the checkpoint fit."""
    before, now = old["recipe"].get("optimizer"), new["recipe"].get("optimizer")
    again = f"or start another run from these weights with --init-checkpoint {train_dir}"
    if isinstance(before, str) and SLOTS.get(before, before) != SLOTS.get(now, now):
        raise UserError(
            f"train dir {train_dir}: was trained with the optimizer {before}, whose state {now} cannot use; "
            f"pass --optimizer {before}, {again}"
        )
    if new["recipe"].get("lookahead") and not old["recipe"].get("lookahead"):
        raise UserError(
            f"train dir {train_dir}: was trained without lookahead, so its checkpoint has no averages; "
            f"pass --lookahead 0, {again}"
        )
    before, now = old.get("trainable_scopes"), new.get("trainable_scopes") or []
    if isinstance(before, list) and before and not (now and all(scope.startswith(tuple(before)) for scope in now)):
        flag = " ".join(map(str, before))
        raise UserError(
            f"train dir {train_dir}: only {flag} was trained, so its checkpoint has no optimizer state for more; "
            f"pass --trainable-scopes {flag}, {again}"
        )


def _changes(old, new):
    """A line for each setting that changed, except those that `old` does not record."""
    lines = []
    for name, value in new["recipe"].items():
        before = old["recipe"].get(name, value)
        counted = name in ("steps", "epochs") and value is None  # by the other one, or by minutes
        if before != value and not counted and name not in ("source", "whitening", *IDENTITY):
            lines.append(f"{name} is {_shown(value)} from here on, was {_shown(before)}")
    meanings = {
        "precision": "the results differ from those of an uninterrupted run",
        "threads": "sums may be added in another order, so the last digits can differ from an uninterrupted run",
        "workers": "batch norm computes its statistics over other slices, unless --sync-batch-norm is on",
        "trainable_scopes": "the other weights keep their current values",
    }
    for name, meaning in meanings.items():
        if name in old and old[name] != new.get(name):
            lines.append(f"{name} is {_shown(new.get(name))} from here on, was {_shown(old[name])}: {meaning}")
    return lines


def _shown(value):
    return " ".join(map(str, value)) or "all" if isinstance(value, list) else f"{value!s:.60}"


def check_data(trained: TrainedNet, records: find.Records, *, allow_other: bool = False) -> None:
    """Refuses data that the net was not trained with, unless allowed; refuses other classes always.

    Raises:
      UserError: names the difference.
    """
    if len(trained.class_names) != records.num_classes:
        raise UserError(
            f"train dir {trained.directory}: its net distinguishes {len(trained.class_names)} classes, "
            f"{records.title} has {records.num_classes}; pass another --data-dir or --dataset-dir"
        )
    if records.dataset == "pictures" and records.class_names != trained.class_names:
        raise UserError(
            f"train dir {trained.directory}: its classes are {', '.join(trained.class_names)}, the folders' are "
            f"{', '.join(records.class_names)}; pass another --dataset-dir"
        )
    is_test_set = not records.num_train
    difference = None if allow_other or is_test_set else find.same_data(trained.data, find.describe(records))
    if difference:
        raise UserError(
            f"train dir {trained.directory}: was trained on other data ({difference}); pass its --data-dir, or "
            "--allow-other-data"
        )
