"""Checkpoints of a train dir: `model.ckpt-N`, kept by TensorFlow's Saver, read back only if whole."""

import re
from pathlib import Path

import tensorflow.compat.v1 as tf

from utils.errors import UserError

KEEP = 5


def steps(train_dir):
    """Global steps of the checkpoints in a train dir, whole or not, newest first."""
    names = (
        re.fullmatch(r"model\.ckpt-(\d+)\.index", path.name) for path in Path(train_dir).glob("model.ckpt-*.index")
    )
    return sorted((int(name[1]) for name in names if name), reverse=True)


def prefix(train_dir, step):
    """The path by which TensorFlow knows a checkpoint."""
    return str(Path(train_dir) / f"model.ckpt-{step}")


def fault(path):
    """None if the checkpoint `path` can be read to its last byte (a checksum guards each tensor), else a phrase."""
    try:
        reader = tf.train.NewCheckpointReader(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception as error:  # what is wrong with a file comes as any of OpError, IndexError, ValueError, ...
        return (str(error) or type(error).__name__).splitlines()[0]
    return None


class Checkpoints:
    """The checkpoints of a run. Made before the graph is finalized; a `train_dir` of None keeps none.

    One is written only if every weight is finite, so that a run that diverged leaves its last good one whole.
    """

    def __init__(self, train_dir):
        self.train_dir = train_dir
        self.saver = tf.train.Saver(max_to_keep=KEEP, save_relative_paths=True)
        floats = [v for v in tf.global_variables() if v.dtype.base_dtype.is_floating]
        self._finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(v)) for v in floats])
        self.last_step = None

    def newest_whole(self, say=print):
        """Path of the newest checkpoint that can be read whole, None if there never was one.

        Raises:
          UserError: there were checkpoints and none can be read.
        """
        if self.train_dir is None:
            return None
        found = steps(self.train_dir)
        for step in found:
            path = prefix(self.train_dir, step)
            why = fault(path)
            if why is None:
                return path
            say(f"[checkpoint]: {path} cannot be read ({why}): trying the one before")
        if found or (Path(self.train_dir) / "checkpoint").exists():
            raise UserError(
                f"{self.train_dir}: none of its checkpoints can be read; put one back, or pass another --train-dir"
            )
        return None

    def continue_from(self, path):
        """Takes over the checkpoints up to `path`, so that rotation counts them too, and tidies up after a kill."""
        if path is None:
            return
        self.last_step = int(path.rpartition("-")[2])
        older = [step for step in steps(self.train_dir) if step <= self.last_step]
        self.saver.recover_last_checkpoints([prefix(self.train_dir, step) for step in reversed(older)])
        for leftover in Path(self.train_dir).glob("model.ckpt-*.tempstate*"):
            leftover.unlink(missing_ok=True)

    def save(self, session, step):
        """Writes `model.ckpt-<step>`, unless the run went on from just that.

        Raises:
          UserError: a weight is not finite, or the file cannot be written (a full disk, say).
        """
        if self.train_dir is None or step == self.last_step:
            return
        if not session.run(self._finite):
            raise UserError(f"a weight is not finite after step {step}, not saved: {self.last_good()}")
        try:
            self.saver.save(session, str(Path(self.train_dir) / "model.ckpt"), global_step=step)
        except (tf.errors.OpError, OSError, ValueError) as error:
            why = str(error).splitlines()[0]
            raise UserError(
                f"cannot write checkpoint {prefix(self.train_dir, step)} ({why}): {self.last_good()}; make room and "
                "run the same command"
            ) from error
        self.last_step = step

    def last_good(self):
        """A phrase that names the newest checkpoint."""
        if self.train_dir is None:
            return "nothing was saved, for want of a train dir"
        if self.last_step is None:
            return "no checkpoint was written yet"
        return f"the last good checkpoint is {prefix(self.train_dir, self.last_step)}"
