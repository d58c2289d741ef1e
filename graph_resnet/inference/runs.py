"""A run as recorded in its train dir: config.json and metrics.jsonl. Used by the report and the comparison."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graph_resnet import config
from graph_resnet.errors import UserError
from graph_resnet.recipes import RECIPES

# Fields of config.json that the page shows elsewhere, or that are of no use to a reader.
ELSEWHERE = ("recipe", "data", "class_names", "architecture", "command", "finished")


@dataclass(frozen=True)
class Run:
    """The record of a run.

    Attributes:
      directory: the train dir.
      config: dict of `config.json`.
      history: records of `metrics.jsonl`, oldest first.
    """

    directory: Path
    config: dict[str, Any]
    history: list[dict[str, Any]]

    @property
    def recipe(self) -> dict[str, Any]:
        return self.config["recipe"]

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.recipe.get("name", "a run"))

    @property
    def last(self) -> dict[str, Any] | None:
        """The last evaluation."""
        return next(reversed(self._evaluations), None)

    @property
    def best(self) -> dict[str, Any] | None:
        """The evaluation with the highest accuracy, the first of equals."""
        return max(self._evaluations, key=lambda record: record["accuracy"], default=None)

    @property
    def _evaluations(self) -> list[dict[str, Any]]:
        return [record for record in self.history if record["split"] == "val" and "accuracy" in record]

    @property
    def steps_an_epoch(self) -> float | None:
        """Updates in a pass over the training images; None if config.json does not record it."""
        try:
            listed = self.config["data"]["files"]
            names = ("test_batch.bin", "test.bin", "val.bin")
            images = sum(file["records"] for file in listed if file["name"] not in names)
            return (images - self.config.get("held_out", 0)) / self.recipe["batch_size"] or None
        except (KeyError, TypeError, ZeroDivisionError):
            return None

    @property
    def images_per_second(self) -> float | None:
        """The median over the training records."""
        speeds = sorted(record["images_per_second"] for record in self.history if "images_per_second" in record)
        return speeds[len(speeds) // 2] if speeds else None

    @property
    def timed(self) -> bool:
        """Whether `seconds` was measured; in a resumed run, only the time since the last start is."""
        return self.finished.get("seconds") is not None and not self.finished.get("from_step")

    @property
    def seconds(self) -> float | None:
        """Duration of the run: as recorded, else estimated from its steps and speed."""
        if self.timed:
            return self.finished["seconds"]
        speed, last, batch_size = self.images_per_second, self.last, self.recipe.get("batch_size")
        seconds = last["step"] * batch_size / speed if speed and last and batch_size else math.inf
        return seconds if math.isfinite(seconds) else None

    @property
    def finished(self) -> dict[str, Any]:
        """What config.json records about the end of the run."""
        return self.config.get("finished") or {}

    @property
    def command(self) -> str | None:
        """The command line of the run, quoted for a shell."""
        words = self.config.get("command")
        if isinstance(words, str):
            return words
        if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
            return shlex.join(words)
        return None

    def overridden(self) -> dict[str, Any]:
        """{field: the recipe's value} for the fields that this run overrides."""
        base = RECIPES.get(self.name)
        if base is None:
            return {}
        values = json.loads(json.dumps(dataclasses.asdict(base)))
        return {
            name: value
            for name, value in values.items()
            if name in self.recipe and name not in ("name", "source") and self.recipe[name] != value
        }

    def settings(self) -> dict[str, Any]:
        """Everything else in config.json, with nested names joined: {"versions, tensorflow": "2.21.0", ...}."""
        values = {name: value for name, value in self.config.items() if name not in ELSEWHERE}
        return {name: value for name, value in _flat(values) if value is not None and value != []}


def read(directory: str | Path) -> Run:
    """Reads the record of a run.

    Raises:
      UserError: it is not a train dir, or its files cannot be read.
    """
    from graph_resnet.loop import metrics_log

    directory = Path(directory)
    values = config.read_json(directory)
    if values is None:
        why = f"it holds no {config.FILE}" if directory.is_dir() else "no such directory"
        raise UserError(f"train dir {directory}: {why}; pass the train dir of a run of graph_resnet.train")
    history, _ = metrics_log.read(directory / metrics_log.FILE)
    return Run(directory, values, history)


def _flat(values: Mapping[str, Any], start: str = ""):
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{name}, ")
        else:
            yield f"{start}{name}", value


def duration(seconds: float, rounded: bool = False) -> str:
    """'2 h 05 min', '4 min 10 s', '12 s'; `rounded`, for an estimate, '4 min'."""
    if rounded and seconds >= 60:
        seconds = 60 * round(seconds / 60)
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min{'' if rounded else f' {rest:02d} s'}" if minutes else f"{rest} s"
