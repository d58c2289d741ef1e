"""Whether a run has ended before, told in a second and without TensorFlow: by what config.json recorded at its end."""

from __future__ import annotations

import math
from pathlib import Path

from graph_resnet import config
from graph_resnet.data import find as data
from graph_resnet.data.records import sha256
from graph_resnet.errors import UserError
from graph_resnet.recipes import Recipe
from graph_resnet.training.options import Start

KINDS = {"step": int, "loss": float, "accuracy": float, "images": int, "seconds": float}


def find(directory: Path, recipe: Recipe, records: data.Records, seed: int, start: Start) -> dict | None:
    """The fields of a `Result` if the train dir holds this very run, ended and whole; else None.

    Raises:
      UserError: config.json cannot be read.
    """
    before = config.read_json(directory)
    recorded = before.get("finished") if before else None
    if not isinstance(recorded, dict) or recorded.get("step") != recipe.total_steps(records.num_train):
        return None
    if not all(_is_a(kind, recorded.get(name)) for name, kind in KINDS.items()):
        return None
    now = {**before, **identity(recipe, records, seed, start), "data": data.describe(records)}
    try:
        if config.check_same_run(directory, before, now, data.same_data(before["data"], now["data"])):
            return None
    except UserError:
        return None  # said by the way that leads on
    whole = checksums(directory, recorded["step"]) == recorded.get("checkpoint") != {}
    return {name: recorded[name] for name in KINDS} if whole and (directory / "report.html").exists() else None


def _is_a(kind: type, value: object) -> bool:
    return isinstance(value, (int, kind)) and not isinstance(value, bool) and math.isfinite(value)


def identity(recipe: Recipe, records: data.Records, seed: int, start: Start) -> dict:
    """What config.json says of which run this is, but for its data."""
    return {
        "recipe": {**config.recipe_values(recipe), "num_classes": records.num_classes},
        "architecture": config.row_values(recipe),
        "seed": seed,
        "held_out": records.held_out,
        "trainable_scopes": list(start.trainable_scopes),
    }


def checksums(directory: Path, step: int) -> dict[str, str]:
    """The sha256 of each file of a checkpoint by its name; none where one of them cannot be read."""
    names = [f"model.ckpt-{step}.{ending}" for ending in ("index", "data-00000-of-00001")]
    try:
        return {name: sha256(directory / name) for name in names}
    except UserError:
        return {}
