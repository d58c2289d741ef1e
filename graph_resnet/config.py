"""`config.json`: what a train dir says of the run and the net in it. This module alone reads and writes it."""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
from dataclasses import dataclass
from pathlib import Path

from graph_resnet import files
from graph_resnet.data import find
from graph_resnet.errors import UserError, reason
from graph_resnet.recipes import Recipe
from graph_resnet.session import PRECISIONS

FILE = "config.json"

# What makes a run another run: what its weights mean, and which images they saw. Length, cadence, learning rate and
# regularization may change on the way.
IDENTITY = ("name", "net", "dataset", "label", "image_size", "mean", "std", "batch_size", "num_classes")


@dataclass(frozen=True)
class TrainedNet:
    """A train dir, read and checked.

    Attributes:
      directory: pathlib.Path.
      recipe: how the net was trained.
      class_names: tuple of str, by class number.
      precision: 'bfloat16' or 'float32', in which it was trained and measured.
      data: dict, what `find.describe` recorded of the data.
      held_out: how many of the training records were kept for validation.
    """

    directory: Path
    recipe: Recipe
    class_names: tuple[str, ...]
    precision: str
    data: dict
    held_out: int = 0


def read(directory):
    """Reads the `config.json` of a train dir.

    Returns:
      A `TrainedNet`.

    Raises:
      UserError: one line that names what is missing or foreign.
    """
    directory = Path(directory)
    path = directory / FILE
    config = read_json(directory)
    if config is None:
        why = "it holds no config.json" if directory.is_dir() else "no such directory"
        raise UserError(f"train dir {directory}: {why}; pass the --train-dir of a run of graph_resnet.train")
    recipe = _recipe(config["recipe"], path)
    names = config.get("class_names")
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise UserError(f"{path}: class_names is {reprlib.repr(names)}, not a list of names; put it back")
    if config["recipe"].get("num_classes") != len(names):
        many = reprlib.repr(config["recipe"].get("num_classes"))
        raise UserError(f"{path}: num_classes is {many}, with {len(names)} class_names; put it back")
    precision = config.get("precision", "float32")
    if precision not in PRECISIONS:
        raise UserError(
            f"{path}: precision is {reprlib.repr(precision)}, not one of {', '.join(PRECISIONS)}; put it back"
        )
    data = config["data"]
    listed = data.get("files")
    if not (isinstance(listed, list) and all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in listed)):
        raise UserError(f"{path}: data has no list of files; put it back")
    held_out = config.get("held_out", 0)
    if not _is_a("int", held_out) or held_out < 0:
        raise UserError(f"{path}: held_out is {reprlib.repr(held_out)}, not a number of records; put it back")
    return TrainedNet(directory, recipe, tuple(names), precision, data, held_out)


def _recipe(values, path):
    """The `Recipe` of its dict, every field looked at: the file may come from anywhere."""
    fields = {f.name: f for f in dataclasses.fields(Recipe)}
    values = {name: value for name, value in values.items() if name != "num_classes"}
    unknown = sorted(values.keys() - fields.keys())
    if unknown:
        raise UserError(
            f"{path}: unknown recipe field {reprlib.repr(unknown[0])}; another version of this program wrote it"
        )
    missing = [f.name for f in fields.values() if f.default is dataclasses.MISSING and f.name not in values]
    if missing:
        raise UserError(f"{path}: the recipe lacks {', '.join(missing)}; put it back")
    for name, value in values.items():
        kind, choices = str(fields[name].type), fields[name].metadata.get("choices")
        if not _is_a(kind, value) or (choices and value not in choices):
            wanted = f"one of {', '.join(choices)}" if choices else kind
            raise UserError(f"{path}: {name} is {reprlib.repr(value)}, not {wanted}; put it back")
    recipe = Recipe(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    sizes = {"image_size": recipe.image_size, "batch_size": recipe.batch_size}
    for name, value in sizes.items():
        if value < 1:
            raise UserError(f"{path}: {name} is {reprlib.repr(value)}, not positive; put it back")
    for name, value in {"mean": recipe.mean, "std": recipe.std}.items():
        if len(value) != 3 or (name == "std" and 0 in value):
            what = "three numbers other than 0" if name == "std" else "three numbers"
            raise UserError(f"{path}: {name} is {reprlib.repr(value)}, not {what}; put it back")
    return recipe


def _is_a(kind, value):
    """Whether a JSON value fits an annotation of `Recipe`, such as 'int | None' or 'tuple[float, ...]'."""
    if kind.endswith(" | None"):
        return value is None or _is_a(kind.removesuffix(" | None"), value)
    if kind == "tuple[float, ...]":
        return isinstance(value, list) and all(_is_a("float", each) for each in value)
    if kind == "float":
        return _is_a("int", value) or (isinstance(value, float) and math.isfinite(value))
    types = {"str": str, "int": int, "bool": bool}
    return isinstance(value, types[kind]) and (kind == "bool" or not isinstance(value, bool))


def check_data(trained, records, *, allow_other=False):
    """Refuses data other than what the net was trained with, unless allowed; other classes always.

    Raises:
      UserError: names the difference.
    """
    if len(trained.class_names) != records.num_classes:
        raise UserError(
            f"train dir {trained.directory}: its net tells {len(trained.class_names)} classes apart, "
            f"{records.title} has {records.num_classes}; pass another --data-dir or --dataset-dir"
        )
    if records.dataset == "pictures" and records.class_names != trained.class_names:
        raise UserError(
            f"train dir {trained.directory}: its classes are {', '.join(trained.class_names)}, the folders' are "
            f"{', '.join(records.class_names)}; pass another --dataset-dir"
        )
    difference = None if allow_other else find.same_data(trained.data, find.describe(records))
    if difference:
        raise UserError(
            f"train dir {trained.directory}: was trained on other data ({difference}); pass its --data-dir, or "
            "--allow-other-data"
        )


def read_json(train_dir):
    """The `config.json` of a train dir as a dict, or None if it has none.

    Raises:
      UserError: it is not what this package wrote.
    """
    path = Path(train_dir) / FILE
    try:
        config = files.read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); put it back, or pass another --train-dir") from None
    if not (
        isinstance(config, dict) and isinstance(config.get("recipe"), dict) and isinstance(config.get("data"), dict)
    ):
        raise UserError(f"{path}: not a run's config; put it back, or pass another --train-dir")
    listed = config["data"].get("files")
    if not (isinstance(listed, list) and all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in listed)):
        raise UserError(f"{path}: data has no list of files; put it back, or pass another --train-dir")
    return config


def write_json(train_dir, config):
    """Writes `config.json` in one go: a killed process leaves the old one or the new one."""
    path = Path(train_dir) / FILE
    try:
        files.write(path, f"{json.dumps(config, indent=2)}\n".encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason(error)}); fix that, or pass another --train-dir") from None


def check_same_run(train_dir, old, new, difference_of_data):
    """Refuses to go on with another run's weights.

    Args:
      old, new: configs.
      difference_of_data: None, or a phrase that names it.

    Raises:
      UserError: names the first difference.
    """
    new = json.loads(json.dumps(new))  # with lists for tuples, as `old` has them
    pairs = {key: (old["recipe"].get(key), new["recipe"].get(key)) for key in IDENTITY}
    pairs["held_out"] = old.get("held_out", 0), new.get("held_out", 0)
    pairs["seed"] = old.get("seed"), new.get("seed")
    for key, (before, now) in pairs.items():
        if before != now:
            raise UserError(
                f"train dir {train_dir}: holds a run with {key} {before!s:.60}, not {now}; pass another --train-dir"
            )
    if difference_of_data:
        raise UserError(
            f"train dir {train_dir}: was trained on other data ({difference_of_data}); pass another --train-dir, or "
            "--allow-other-data to go on"
        )
