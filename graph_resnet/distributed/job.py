"""The training command in a cluster: one worker's part of a run, or the evaluator's."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from graph_resnet import training
from graph_resnet.distributed import tf_config
from graph_resnet.recipes import Recipe
from graph_resnet.training.start import Job, Result, check_length, claimed, records_of


def train(recipe: Recipe, directory: str | Path, *, seed: int, show: training.Show, **rows: Any) -> Result | None:
    """Runs the task that TF_CONFIG gives to this process.

    Args:
      recipe, directory, seed, show: as for `training.train`.
      **rows: `data`, `start`, `output` and `machine` of `training.train`.

    Returns:
      A `Result`; None for a worker that is not the chief.

    Raises:
      UserError: TF_CONFIG is not a valid cluster, another worker was lost, or as for `training.train`.
    """
    place = tf_config.place()
    if place is None:
        return training.train(recipe, directory, seed=seed, show=show, **rows)
    check_length(recipe)
    directory, data, machine = Path(directory), rows["data"], rows["machine"]
    with claimed(directory, data.dataset_dir) if place.is_chief else contextlib.nullcontext():
        records = records_of(recipe, data, show)
        if show.before_tensorflow is not None:
            show.before_tensorflow()
        if place.is_evaluator:
            from graph_resnet.distributed import evaluator

            last = evaluator.run(
                place,
                directory,
                records,
                recipe.total_steps(records.num_train),
                timeout=machine.cluster_timeout,
                allow_other_data=data.allow_other_data,
                threads=machine.threads,
            )
            return Result(directory, *(last[name] for name in ("step", "loss", "accuracy", "images")), seconds=0.0)
        from graph_resnet.training import run, towers

        towers.check(recipe, len(place.members))  # before this process waits for the others
        own_dir = directory if place.is_chief else None
        options = {name: rows[name] for name in ("start", "output", "machine")}
        return run.run(
            Job(recipe, records, own_dir, seed, data.allow_other_data, **options, show=show, join=place.join)
        )
