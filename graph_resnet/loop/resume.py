"""Where a run begins: at the newest checkpoint of its train dir, at step 0, or not at all."""

from __future__ import annotations

from pathlib import Path

from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints, metrics_log
from graph_resnet.loop.progress import say
from graph_resnet.loop.saves import Checkpoints
from graph_resnet.loop.updates import Updates


def checkpoint(saves: Checkpoints, updates: Updates, max_step: int, save_every: int, initialized: bool) -> str | None:
    """Path of the checkpoint to go on from, None for step 0; says which, and why.

    Args:
      saves, updates: of the run.
      max_step: the global step at which it ends.
      save_every: steps between its checkpoints.
      initialized: whether it would begin with the weights of another net.

    Raises:
      UserError: there are checkpoints and none fits, the newest is beyond the end, or all are gone.
    """
    restored = saves.newest_whole(say)
    if restored:
        _check_end(restored, updates, max_step)
        instead = ", and not from the initial checkpoint" if initialized else ""
        say(f"[checkpoint]: going on from {restored}{instead}")
    elif saves.train_dir is not None:
        _start_over(saves.train_dir, save_every)
    return restored


def _check_end(checkpoint, updates, max_step):
    """Refuses a checkpoint that is beyond the end of the run.

    Raises:
      UserError: it is. (Where one update moves the step by more than one, the last one may have passed the end.)
    """
    step = updates.step_in(checkpoint)
    if updates.plain and step > max_step:
        raise UserError(
            f"{checkpoint}: is beyond the end at step {max_step}; train to a later one than {step}, or pass another "
            "train dir"
        )
    if step != checkpoints.step_in(checkpoint):
        say(f"[checkpoint]: {checkpoint} holds step {step}, whatever its name: that counts")


def _start_over(train_dir, save_every):
    """Says that an earlier start was stopped before its first checkpoint; refuses where there must have been one.

    Raises:
      UserError: going on would cut off the record of a training whose checkpoints are gone.
    """
    path = Path(train_dir) / metrics_log.FILE
    records, _ = metrics_log.read(path)
    if not records:
        return
    last = records[-1]["step"]
    if last >= save_every:
        raise UserError(
            f"{path}: goes to step {last}, but there is no checkpoint; restore one, remove this file to start over, or "
            "pass another --train-dir"
        )
    say("[checkpoint]: none was written before the earlier start ended: starting at step 0")
