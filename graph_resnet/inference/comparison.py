"""Compares several runs on one page: results, curves in one plot, and settings that differ."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graph_resnet import plots
from graph_resnet.errors import UserError
from graph_resnet.inference import page, runs
from graph_resnet.inference.runs import Run
from graph_resnet.recipes import Recipe


def write_comparison(train_dirs: Sequence[str | Path], path: str | Path) -> Path:
    """Writes a page about several runs. It evaluates nothing, so their data is not needed.

    Args:
      train_dirs: of runs of `graph_resnet.train`.
      path: of the page.

    Returns:
      The path of the page.

    Raises:
      UserError: one of them is not a train dir, or the page cannot be written.
    """
    if len(train_dirs) < 2:
        raise UserError("a comparison needs two train dirs or more")
    page.write(path, html({name: runs.read(directory) for name, directory in named(train_dirs).items()}))
    return Path(path)


def named(train_dirs: Sequence[str | Path]) -> dict[str, str | Path]:
    """{short name: train dir}: the folder's name; where names are equal, the parts of the paths that differ."""
    paths = [os.path.abspath(directory) for directory in train_dirs]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise UserError(f"{twice}: given twice; name each train dir once")
    names = [os.path.basename(path) for path in paths]
    if len(set(names)) < len(names):
        common = os.path.commonpath(paths)
        names = [os.path.relpath(path, common) for path in paths]
    return dict(zip(names, train_dirs))


def html(compared: dict[str, Run]) -> str:
    """The page."""
    labels = [page.swatch(plots.run_color(k), name) for k, name in enumerate(compared)]
    return page.document(
        f"{len(compared)} runs", [results(compared, labels), curves(compared, labels), differences(compared, labels)]
    )


def results(compared: dict[str, Run], labels: list[page.Markup]) -> str:
    """A table with one row per run: accuracy, loss, steps, time."""
    rows = []
    for label, run in zip(labels, compared.values()):
        last, best = run.last or {}, run.best or {}
        rows.append(
            (
                label,
                _number(last.get("accuracy"), ".2%"),
                _number(best.get("accuracy"), ".2%"),
                _number(last.get("loss"), ".4f"),
                _number(last.get("step"), ","),
                "-" if run.seconds is None else runs.duration(run.seconds, rounded=not run.timed),
                _number(run.images_per_second, ",.0f"),
                run.name,
            )
        )
    header = ("run", "accuracy", "best", "loss", "steps", "time", "images/s", "recipe")
    return page.table(header, rows, numbers=range(1, 7))


def _number(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)


def curves(compared: dict[str, Run], labels: list[page.Markup]) -> str:
    """The plots, with one legend."""
    histories = {name: run.history for name, run in compared.items()}
    names = [
        name
        for name in ("accuracy", "loss", "learning_rate")
        if any(name in plots.panels(h) for h in histories.values())
    ]
    epochs = {name: run.steps_an_epoch for name, run in compared.items()}
    if None in epochs.values() or len(set(epochs.values())) == 1:
        epochs = None  # in epochs only where the runs' batch sizes differ
    legend = f"<p>{' &emsp; '.join(labels)}</p>"
    return page.section(
        "Curves", legend, page.figures(plots.svg(plots.compared(name, histories, epochs)) for name in names)
    )


def differences(compared: dict[str, Run], labels: list[page.Markup]) -> str:
    """A table of the settings that differ between the runs."""
    settings = [{**_recipe(run), **run.settings(), "data": _data(run)} for run in compared.values()]
    names = [name for name in dict.fromkeys(name for values in settings for name in values) if name != "started"]
    rows = []
    for name in names:
        values = [values.get(name) for values in settings]
        if any(value != values[0] for value in values):
            rows.append((name, *("-" if value is None else value for value in values)))
    if not rows:
        return page.section("Differences", page.note("none that config.json records"))
    return page.section("Differences", page.table(("setting", *labels), rows))


def _recipe(run: Run) -> dict[str, Any]:
    """The fields of a run's recipe. A field that its version did not have gets the default, which changes nothing."""
    fields = {field.name: field for field in dataclasses.fields(Recipe) if field.name not in ("name", "source")}
    values = {name: run.recipe.get(name, field.default) for name, field in fields.items()}
    return {name: None if value is dataclasses.MISSING else value for name, value in values.items()}


def _data(run: Run) -> str:
    """Identifies the data, by the first digits of the files' hashes."""
    files = run.config["data"].get("files", [])
    return ", ".join(f"{file['name']} {str(file.get('sha256', ''))[:8]}" for file in files)
