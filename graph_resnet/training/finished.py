"""Recognizes a run that has finished, within a second and without TensorFlow, from config.json."""

from __future__ import annotations

from pathlib import Path

from graph_resnet import config
from graph_resnet.data import find as data
from graph_resnet.data.records import sha256
from graph_resnet.errors import UserError
from graph_resnet.recipes import Recipe
from graph_resnet.training.options import Start

FIELDS = tuple(config.NUMBERS["finished"])
LARGEST = 4 << 30  # bytes, the largest checkpoint file that is hashed


def find(directory: Path, recipe: Recipe, records: data.Records, seed: int, start: Start) -> dict | None:
    """The fields of a `Result` if the train dir holds this run, finished and undamaged; else None.

    Raises:
      UserError: config.json cannot be read.
    """
    before = config.read_json(directory)
    recorded = before.get("finished") if before else None
    if not recorded or recorded.get("step") != recipe.total_steps(records.num_train):
        return None
    if any(recorded.get(name) is None for name in FIELDS):
        return None
    now = {**before, **identity(recipe, records, seed, start), "data": data.describe(records)}
    try:
        if config.check_same_run(directory, before, now, data.same_data(before["data"], now["data"])):
            return None
    except UserError:
        return None  # the normal start reports it
    whole = checksums(directory, recorded["step"]) == recorded.get("checkpoint") != {}
    return {name: recorded[name] for name in FIELDS} if whole and (directory / "report.html").exists() else None


def identity(recipe: Recipe, records: data.Records, seed: int, start: Start) -> dict:
    """The fields of config.json that identify a run, without its data."""
    return {
        "recipe": {**config.recipe_values(recipe), "num_classes": records.num_classes},
        "architecture": config.row_values(recipe),
        "seed": seed,
        "held_out": records.held_out,
        "trainable_scopes": list(start.trainable_scopes),
    }


def checksums(directory: Path, step: int) -> dict[str, str]:
    """{file name: sha256} of a checkpoint's files; empty if one cannot be read or is too large."""
    names = [f"model.ckpt-{step}.{ending}" for ending in ("index", "data-00000-of-00001")]
    try:
        if any((directory / name).stat().st_size > LARGEST for name in names):
            return {}
        return {name: sha256(directory / name) for name in names}
    except (OSError, UserError):
        return {}
