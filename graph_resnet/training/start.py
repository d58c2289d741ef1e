"""`train`: what the command does. TensorFlow-free up to the point where a graph has to be built."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from graph_resnet import config, locks
from graph_resnet.data import find, of_runs
from graph_resnet.errors import UserError, printable
from graph_resnet.loop.signals import Interrupted
from graph_resnet.recipes import MINUTES, RECIPES, SEED, Recipe
from graph_resnet.training import finished, train_dir
from graph_resnet.training.options import Data, Machine, Output, Show, Start, checked
from graph_resnet.training.work import default_threads


@dataclass(frozen=True)
class Result:
    """A finished run: the evaluation of its last weights, each validation image once.

    Attributes:
      train_dir: pathlib.Path.
      step: the global step, the number of updates.
      loss: mean cross entropy, nats.
      accuracy: 0..1.
      images: how many were evaluated.
      seconds: wall time of the run's last start.
    """

    train_dir: Path
    step: int
    loss: float
    accuracy: float
    images: int
    seconds: float

    @property
    def checkpoint(self) -> str:
        """The prefix of the last checkpoint, such as 'runs/notebook/model.ckpt-20000'."""
        return str(self.train_dir / f"model.ckpt-{self.step}")

    @property
    def history(self) -> list[dict]:
        """The records of metrics.jsonl, oldest first: {"step", "split", "loss", "accuracy", ...}."""
        from graph_resnet.loop import metrics_log

        return metrics_log.read(self.train_dir / metrics_log.FILE)[0]

    def __str__(self):
        return f"step {self.step} loss = {self.loss:.4f} acc = {self.accuracy:.4f} ({self.images} images)"


@dataclass(frozen=True)
class Job:
    """All that `run.run` is told, its data found and its train dir claimed.

    Attributes:
      directory: the train dir; None for a worker that is not the chief.
      join: function(batch size, ConfigProto) -> `distributed.cluster.Cluster` where several workers train in step.
      minutes: the run's length in minutes, None where it has another. Until its steps are counted, once, the recipe has
        neither steps nor epochs.
    """

    recipe: Recipe
    records: find.Records
    directory: Path | None
    seed: int = 0
    allow_other_data: bool = False
    start: Start = Start()
    output: Output = Output()
    machine: Machine = Machine()
    show: Show = Show()
    join: Callable[[int, typing.Any], typing.Any] | None = None
    minutes: float | None = None


def train(
    recipe: Recipe | str,
    directory: str | Path | None = None,
    *,
    seed: int = 0,
    data: Data = Data(),
    start: Start = Start(),
    output: Output = Output(),
    machine: Machine = Machine(),
    show: Show = Show(),
    minutes: float | None = None,
) -> Result:
    """Trains a recipe, or goes on with it, until its last step.

    Args:
      recipe: `recipes.Recipe`, or the name of one of `recipes.RECIPES`.
      directory: the train dir, runs/NAME where None. The same call, made again, goes on from its newest checkpoint.
      seed: of initial weights, order and augmentation.
      data: which images.
      start: the weights to begin with, and those to train.
      output: what is kept of the run.
      machine: precision, threads.
      show: what is shown of it: nothing, unless asked.
      minutes: the length of the run, evaluations included, in the place of the recipe's. Its steps are counted once,
        from the speed of some of them; a train dir that was begun with the same minutes keeps them.

    Raises:
      UserError: one line: bad arguments, no data, a train dir of another run, no memory, a loss that is not finite, ...
      Interrupted: SIGINT, SIGTERM or SIGHUP came; what was trained is saved.
    """
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise UserError(f"recipe {recipe!r}: not one of {', '.join(RECIPES)}")
        recipe = RECIPES[recipe]
    recipe, data, start, output, machine = map(checked, (recipe, data, start, output, machine))
    machine = dataclasses.replace(machine, threads=machine.threads or default_threads(recipe))
    try:
        SEED.check(seed)
    except ValueError:
        raise UserError(f"seed is {seed!r:.60}, not {SEED}") from None
    try:
        minutes = minutes if minutes is None else MINUTES.check(minutes)
    except ValueError:
        raise UserError(f"minutes is {minutes!r:.60}, not {MINUTES}") from None
    if output.keep_best and not data.hold_out:
        raise UserError("keep_best goes with hold_out; the test images are not there to select by")
    if minutes is None and not (recipe.steps or recipe.epochs):
        raise UserError(f"recipe {recipe.name}: it has neither steps nor epochs; pass --steps N")
    directory = Path(directory or train_dir.default(recipe.name))
    with _goes_on(show.command), claimed(directory):
        records = records_of(recipe, data, show)
        if minutes is not None:
            recipe = replace(recipe, steps=_steps_counted(directory, minutes), epochs=None)
        counted = recipe.steps or recipe.epochs
        done = finished.find(directory, recipe, records, seed, start) if counted else None
        if done is not None:
            show.line(f"[train dir]: {directory}, finished already; for more, raise the number of steps")
            return Result(directory, **done)
        if show.before_tensorflow is not None:
            show.before_tensorflow()
        from graph_resnet.training import run

        rows = {"start": start, "output": output, "machine": machine, "show": show}
        return run.run(Job(recipe, records, directory, seed, data.allow_other_data, **rows, minutes=minutes))


@contextlib.contextmanager
def _goes_on(command: str | None) -> Iterator[None]:
    """Adds the command that goes on to what stops a run, before its first step and after its last as well."""
    try:
        yield
    except Interrupted as stop:
        if command is None or command in str(stop):
            raise
        raise Interrupted(stop.signum, f"{stop}; to go on: {command}") from None


def _steps_counted(directory, minutes):
    """The steps that an earlier start counted for these minutes, None if there was none."""
    before = config.read_json(directory) or {}
    return before["recipe"].get("steps") if before.get("minutes") == minutes else None


def records_of(recipe: Recipe, data: Data, show: Show) -> find.Records:
    """The images of a run, with a line about them.

    Raises:
      UserError: there are none, or they are damaged.
    """
    records = of_runs.for_recipe(recipe, data.data_dir, data.dataset_dir, data.hold_out)
    kind = "validation" if records.held_out else "test"
    show.line(f"[data]: {records.title}, {records.num_train:,} training and {records.num_val:,} {kind} images")
    for note in records.notes:
        show.line(f"[data]: {printable(note)}")
    return records


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Locks a train dir. What a start that failed made of it is removed again, as long as it holds nothing."""
    whole = Path(os.path.abspath(directory))
    missing = [path for path in (whole, *whole.parents) if not os.path.lexists(path)]
    lock = train_dir.claim(directory)
    try:
        with lock:
            yield
    except BaseException:
        with contextlib.suppress(OSError):
            if missing and os.listdir(whole) == [locks.LOCK]:
                os.unlink(whole / locks.LOCK)
            for path in missing:
                os.rmdir(path)
        raise


def same_run(directory: Path, before: dict, now: dict, allow_other_data: bool) -> list[str]:
    """Lines about what changed: see `config.check_same_run`."""
    difference = None if allow_other_data else find.same_data(before["data"], now["data"])
    return config.check_same_run(directory, before, now, difference)
