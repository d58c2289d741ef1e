"""Where a run starts: from the newest checkpoint of its train dir, or at step 0; refuses if neither is right."""

from __future__ import annotations

from pathlib import Path

from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints, metrics_log
from graph_resnet.loop.progress import say
from graph_resnet.loop.saves import Checkpoints
from graph_resnet.loop.updates import Updates


def checkpoint(saves: Checkpoints, updates: Updates, max_step: int, save_every: int, initialized: bool) -> str | None:
    """Path of the checkpoint to resume from, None to start at step 0; prints which, and why.

    Args:
      saves: the run's checkpoints.
      updates: the run's updates.
      max_step: the global step at which the run ends.
      save_every: steps between two checkpoints.
      initialized: whether a run that starts at step 0 starts from the weights of another net.

    Raises:
      UserError: no checkpoint fits, the newest is beyond the end, or all have been deleted.
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

    Not where one update advances the step by more than one: the last update may then pass the end.

    Raises:
      UserError: the checkpoint is beyond the end.
    """
    step = updates.step_in(checkpoint)
    if updates.plain and step > max_step:
        raise UserError(
            f"{checkpoint}: is beyond the end at step {max_step}; train to a later step than {step}, or pass another "
            "train dir"
        )
    if step != checkpoints.step_in(checkpoint):
        say(f"[checkpoint]: {checkpoint} holds step {step}, unlike its name: going on from step {step}")


def _start_over(train_dir, save_every):
    """Prints that an earlier run ended before its first checkpoint; refuses if that run must have written one.

    Raises:
      UserError: the checkpoints have been deleted; starting over would truncate the log of that training.
    """
    path = Path(train_dir) / metrics_log.FILE
    records, _ = metrics_log.read(path)
    if not records:
        return
    last = records[-1]["step"]
    if last - (records[-1]["split"] == "val") >= save_every:  # an evaluation is recorded before its step is saved
        raise UserError(
            f"{path}: goes to step {last}, but there is no checkpoint; restore one, remove this file to start over, or "
            "pass another --train-dir"
        )
    say("[checkpoint]: the earlier run ended before its first checkpoint: starting at step 0")
