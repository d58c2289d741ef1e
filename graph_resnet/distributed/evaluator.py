"""The evaluator of a cluster: evaluates the newest checkpoint of a train dir again and again, until the run's last.

It does not train and only needs to see the train dir. Its results go to `eval/` in that directory.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from graph_resnet import config
from graph_resnet.data.find import Records
from graph_resnet.distributed.peers import Peers
from graph_resnet.distributed.tf_config import Place
from graph_resnet.errors import UserError
from graph_resnet.inference import evaluation
from graph_resnet.loop import checkpoints, metrics_log

PERIOD = 1  # seconds between checks of the train dir


def run(
    place: Place,
    directory: str | Path,
    records: Records,
    steps: int,
    *,
    timeout: float,
    allow_other_data: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """Evaluates until the run's last step is done.

    Args:
      place: this process's place in the cluster.
      directory: the chief's train dir; it may not exist yet.
      records: the data of the run.
      steps: length of the run. A finished run of fewer steps may be about to go on: its chief has `timeout` to start.
      timeout: seconds to wait for a chief that does not answer.
      allow_other_data: allows data that the run did not begin with.
      threads: of one op, default all cores.

    Returns:
      The last record: {"step", "split", "loss", "accuracy", "images"}.

    Raises:
      UserError: the chief did not start or did not come back, or the train dir or the data belong to another run.
    """
    name, address = place.members[0].name, place.members[0].address
    chief = Peers({name: address})
    past, _ = metrics_log.read(Path(directory) / "eval" / metrics_log.FILE)
    last, seen = past[-1] if past else {"step": None}, time.monotonic()
    while True:
        step = next(iter(checkpoints.steps(directory)), None) if config.read_json(directory) else None
        if step not in (None, last["step"]):
            last = _evaluate(directory, step, records, allow_other_data, threads) or last
            seen = time.monotonic()
        measured = step is not None and step == last["step"]
        finished = measured and step >= config.read(directory).recipe.total_steps(records.num_train)
        if finished and step >= steps:
            return last
        if not chief.absent():
            seen = time.monotonic()
        elif time.monotonic() - seen > timeout:
            if finished:
                return last
            where = "no checkpoint" if step is None else f"the newest checkpoint is of step {step}"
            raise UserError(
                f"train dir {directory}: {where}, and {name} ({address}) has not answered for {timeout:g} s; "
                "start the workers, or allow more time with --cluster-timeout"
            )
        time.sleep(PERIOD)


def _evaluate(directory, step, records, allow_other_data, threads):
    """Evaluates a checkpoint and returns its record; None if it is damaged, or the chief has removed it meanwhile."""
    net = config.read(directory)
    if net.held_out != records.held_out:
        raise UserError(
            f"train dir {directory}: {net.held_out} records are held out, {records.held_out} for this evaluator; pass "
            "the same --hold-out"
        )
    prefix = checkpoints.prefix(directory, step)
    try:
        result = evaluation.evaluate(
            directory, checkpoint=prefix, data=records, allow_other_data=allow_other_data, threads=threads
        )
    except UserError:
        if checkpoints.fault(prefix) is None:
            raise
        return None
    values = {"loss": result.loss, "accuracy": result.accuracy, "images": result.images}
    with contextlib.closing(metrics_log.MetricsLog(Path(directory) / "eval", step)) as log:
        record = log.add("val", step, **values)
    print(f"[val]: step {step} loss = {values['loss']:.4f} acc = {values['accuracy']:.4f}")
    return record
