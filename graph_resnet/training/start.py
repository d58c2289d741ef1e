"""`train`: the call behind the command. Imports TensorFlow only when a graph has to be built."""

from __future__ import annotations

import contextlib
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


@dataclass(frozen=True)
class Result:
    """A finished run, evaluated with its last weights on each validation image once.

    Attributes:
      train_dir: pathlib.Path.
      step: the global step.
      loss: mean cross entropy, nats.
      accuracy: 0..1.
      images: number of images evaluated.
      seconds: duration of the last start of the run.
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
    """The arguments of `run.run`; the data is found and the train dir locked.

    Attributes:
      directory: the train dir; None for a worker that is not the chief.
      join: function(batch size, ConfigProto) -> `distributed.cluster.Cluster`, if several workers train synchronously.
      minutes: length of the run in minutes, None if it is given in steps or epochs. The recipe has neither until its
        steps are counted.
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
    """Trains a recipe, or resumes, until the last step.

    Args:
      recipe: `recipes.Recipe`, or the name of one of `recipes.RECIPES`.
      directory: the train dir, default runs/NAME. The same call again resumes from its newest checkpoint.
      seed: of initial weights, shuffling and augmentation.
      data: which images to use.
      start: the initial weights, and the variables to train.
      output: what the run keeps.
      machine: precision, threads.
      show: what to print; by default nothing.
      minutes: length of the run, evaluations included, instead of the recipe's. The steps are computed once, after a
        speed measurement; a run that resumes with the same minutes keeps them.

    Raises:
      UserError: one line: bad arguments, no data, a train dir of another run, no memory, a loss that is not finite, ...
      Interrupted: SIGINT, SIGTERM or SIGHUP came; the run is saved.
    """
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise UserError(f"recipe {recipe!r}: not one of {', '.join(RECIPES)}")
        recipe = RECIPES[recipe]
    recipe, data, start, output, machine = map(checked, (recipe, data, start, output, machine))
    try:
        SEED.check(seed)
    except ValueError:
        raise UserError(f"seed is {seed!r:.60}, not {SEED}") from None
    try:
        minutes = minutes if minutes is None else MINUTES.check(minutes)
    except ValueError:
        raise UserError(f"minutes is {minutes!r:.60}, not {MINUTES}") from None
    if output.keep_best and not data.hold_out:
        raise UserError("keep_best needs hold_out, so that the checkpoint is not chosen on the test images")
    if minutes is None:
        check_length(recipe)
    directory = Path(directory or train_dir.default(recipe.name))
    with _goes_on(show.command), claimed(directory, data.dataset_dir):
        records = records_of(recipe, data, show)
        if minutes is not None:
            recipe = replace(recipe, steps=_steps_counted(directory, minutes), epochs=None)
        counted = recipe.steps or recipe.epochs
        done = finished.find(directory, recipe, records, seed, start) if counted else None
        if done is not None:
            show.line(f"[train dir]: {directory}, finished already; to train longer, raise the number of steps")
            return Result(directory, **done)
        if show.before_tensorflow is not None:
            show.before_tensorflow()
        from graph_resnet.training import run

        rows = {"start": start, "output": output, "machine": machine, "show": show}
        return run.run(Job(recipe, records, directory, seed, data.allow_other_data, **rows, minutes=minutes))


def check_length(recipe: Recipe) -> None:
    """Refuses a recipe without a length."""
    if not (recipe.steps or recipe.epochs):
        raise UserError(f"recipe {recipe.name}: it has neither steps nor epochs; pass --steps N")


@contextlib.contextmanager
def _goes_on(command: str | None) -> Iterator[None]:
    """Adds the command that resumes the run to an `Interrupted`, also before the first step and after the last."""
    try:
        yield
    except Interrupted as stop:
        if command is None or command in str(stop):
            raise
        raise Interrupted(stop.signum, f"{stop}; to go on: {command}") from None


def _steps_counted(directory, minutes):
    """The steps that the run was begun with for these minutes, None if it has no checkpoint yet or had others."""
    before = config.read_json(directory) or {}
    begun = any(directory.glob("model.ckpt-*.index"))
    return before["recipe"].get("steps") if begun and before.get("minutes") == minutes else None


def records_of(recipe: Recipe, data: Data, show: Show) -> find.Records:
    """Finds the images of a run and prints a line about them.

    Raises:
      UserError: there are no images, or they are damaged.
    """
    records = of_runs.for_recipe(recipe, data.data_dir, data.dataset_dir, data.hold_out)
    kind = "validation" if records.held_out else "test"
    show.line(f"[data]: {records.title}, {records.num_train:,} training and {records.num_val:,} {kind} images")
    for note in records.notes:
        show.line(f"[data]: {printable(note)}")
    return records


@contextlib.contextmanager
def claimed(directory: Path, dataset_dir: str | os.PathLike | None) -> Iterator[None]:
    """Locks a train dir that holds no images of `dataset_dir`.

    If the block fails, removes the directories that it created if they are empty.
    """
    whole = Path(os.path.abspath(directory))
    missing = [path for path in (whole, *whole.parents) if not os.path.lexists(path)]
    train_dir.check_apart(directory, dataset_dir)
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
    """Lines about allowed changes since the run began: see `config.check_same_run`."""
    difference = None if allow_other_data else find.same_data(before["data"], now["data"])
    return config.check_same_run(directory, before, now, difference)
