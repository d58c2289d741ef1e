"""Writes a run's checkpoints, `model.ckpt-N`, with TensorFlow's Saver and keeps the newest `KEEP`.

The data, index and meta files are synced to disk before the state file names the checkpoint as the newest, and the
directory is synced last. A power cut leaves the previous checkpoint or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow.compat.v1 as tf

from graph_resnet import files, locks
from graph_resnet.data import steps
from graph_resnet.errors import UserError, reason
from graph_resnet.loop import checkpoints, metrics_log

KEEP = 5


class Checkpoints:
    """The checkpoints of a run. Create it before the graph is finalized.

    A checkpoint is written only if every weight is finite, so a diverged run keeps its last good one.

    Args:
      train_dir: str or path; None keeps nothing.
      keep_best: whether `keep_if_best` keeps any.

    Attributes:
      last_step: step of the newest checkpoint, None if there is none.
      resumed: whether the run resumes from a checkpoint.
    """

    def __init__(self, train_dir: str | Path | None, *, keep_best: bool = False):
        self.train_dir, self._keeps_best = train_dir, keep_best
        # We delete old checkpoints ourselves: the Saver takes '[' in a path for a pattern and deletes nothing.
        self.saver = tf.train.Saver(max_to_keep=0)
        if not tf.get_collection(tf.GraphKeys.SAVERS):  # where a CheckpointSaverHook looks for its only saver
            tf.add_to_collection(tf.GraphKeys.SAVERS, self.saver)
        self._variables = tf.global_variables()
        floats = [v for v in self._variables if v.dtype.base_dtype.is_floating]
        net = {v.ref() for v in (*tf.trainable_variables(), *tf.model_variables())}
        weights, others = [v for v in floats if v.ref() in net], [v for v in floats if v.ref() not in net]
        self._finite = {v.op.name: tf.reduce_all(tf.math.is_finite(v)) for v in weights}
        # A best loss so far begins at infinity, a mask has it.
        self._finite |= {v.op.name: tf.logical_not(tf.reduce_any(tf.math.is_nan(v))) for v in others}
        self._maybe_infinite = set(checkpoints.saved_as(others))
        self._step_name = steps.global_step().op.name
        self.last_step, self.resumed, self._last_path = None, False, None

    def newest_whole(self, say: Callable[[str], object] = print) -> str | None:
        """Path of the newest checkpoint that can be read, None if there never was one.

        Raises:
          UserError: none of the checkpoints can be read, or the newest belongs to another net.
        """
        if self.train_dir is None:
            return None
        path = checkpoints.newest_whole(self.train_dir, say, self._step_name, self._maybe_infinite)
        if path is not None:
            saved = checkpoints.saved_as(self._variables)
            checkpoints.check_fit(path, saved, lambda names: "It belongs to another net: pass another --train-dir")
        return path

    def continue_from(self, path: str | None, step: int) -> None:
        """Notes the checkpoint that the run resumes from and removes what a killed run left.

        Args:
          path: of the checkpoint, None if there is none.
          step: int, stored in it. If its name says otherwise, that step counts as not saved.
        """
        self.resumed, self._last_path = path is not None, path
        if path is not None and step == checkpoints.step_in(path):
            self.last_step = step
        self._remove_drafts()

    def _remove_drafts(self):
        """Removes the unfinished files of a killed run, also those of earlier versions."""
        if self.train_dir is not None:
            files.remove_drafts(self.train_dir)
            for pattern in ("model.ckpt-*.tempstate*", "model.ckpt-*.meta.tmp*", "checkpoint.tmp*", "graph.pbtxt.tmp*"):
                for draft in Path(self.train_dir).glob(pattern):
                    draft.unlink(missing_ok=True)

    def save(self, session: tf.Session, step: int) -> None:
        """Writes `model.ckpt-<step>` unless it is the newest already; keeps the newest `KEEP`.

        Raises:
          UserError: a weight is not finite, the file cannot be written (disk full), or the train dir is gone.
        """
        if self.train_dir is None or step == self.last_step:
            return
        self.check_finite(session, step)
        older = [other for other in checkpoints.steps(self.train_dir) if other < step]
        with self._writing(checkpoints.prefix(self.train_dir, step)):
            if os.path.exists(Path(self.train_dir) / metrics_log.FILE):
                files.sync(Path(self.train_dir) / metrics_log.FILE)  # the records up to this step
            self._write(session, "model.ckpt", step)
            self._name([*reversed(older[: KEEP - 1]), step])
            self.last_step, self._last_path = step, checkpoints.prefix(self.train_dir, step)
            for other in older[KEEP - 1 :]:
                self._remove(other)

    def changed(self, step: int) -> None:
        """Notes that variables differ from those in the checkpoint of `step`, so that `save` writes it again."""
        if self.last_step == step:
            self.last_step = None

    def keep_if_best(self, session: tf.Session, history: Sequence[dict]) -> None:
        """Writes `model.ckpt-best-<step>` if the last evaluation in `history` is the best so far; removes the previous
        best.

        Better means a higher accuracy, or a lower loss if there is no accuracy.

        Raises:
          UserError: the checkpoint cannot be written.
        """
        if self.train_dir is None or not self._keeps_best:
            return
        *earlier, newest = (record for record in history if record["split"] == "val")
        kept = checkpoints.best_steps(self.train_dir)
        # A best checkpoint of a later step is from before a kill: this run has not reached that step again.
        since = kept[0] if kept and kept[0] <= newest["step"] else 0
        rivals = [record for record in earlier if record["step"] >= since] if kept else []
        if any(("accuracy" in newest) < ("accuracy" in record) for record in rivals):  # its accuracy is undefined
            return
        rivals = [record for record in rivals if ("accuracy" in record) == ("accuracy" in newest)]
        if not all(_merit(newest) > _merit(record) for record in rivals):
            return
        with self._writing(checkpoints.prefix(self.train_dir, f"{checkpoints.BEST}-{newest['step']}")):
            self._write(session, f"model.ckpt-{checkpoints.BEST}", newest["step"])
            for step in kept:
                if step != newest["step"]:
                    self._remove(f"{checkpoints.BEST}-{step}")

    def check_finite(self, session: tf.Session, step: int) -> None:
        """Checks every weight: a ReLU can hide a NaN from the loss.

        Raises:
          UserError: a weight is not finite.
        """
        bad = [name for name, finite in session.run(self._finite).items() if not finite]
        if bad:
            raise UserError(
                f"a weight is not finite after step {step} ({bad[0]}), not saved: {self.last_good()}; try a lower "
                "learning rate"
            )

    def _write(self, session, name, step):
        """Writes the checkpoint `<name>-<step>`, its index last."""
        with files.draft_directory(self.train_dir) as draft:
            # TensorFlow's temporary files have predictable names and are not synced.
            self.saver.save(session, str(draft / name), global_step=step, write_state=False)
            files.publish(draft, self.train_dir, last=".index")

    @contextlib.contextmanager
    def _writing(self, path):
        """Turns errors while writing the checkpoint `path` into one line.

        Raises:
          UserError: another run has taken the train dir, or the file cannot be written.
        """
        locks.check(self.train_dir)
        try:
            yield
        except (tf.errors.OpError, OSError, ValueError) as error:
            raise UserError(
                f"cannot write checkpoint {path} ({reason(error)}): {self.last_good()}; "
                "make room and run the same command"
            ) from error

    def _name(self, kept):
        """Writes the state file that names checkpoints by their steps, the newest last."""
        names = [f"model.ckpt-{step}" for step in kept]
        state = tf.train.generate_checkpoint_state_proto("/", names[-1], names)
        files.write(Path(self.train_dir) / checkpoints.STATE, str(state).encode())

    def _remove(self, step):
        # The index last: if a kill comes in between, it still marks what is left to remove.
        for path in sorted(Path(self.train_dir).glob(f"model.ckpt-{step}.*"), key=lambda path: path.suffix == ".index"):
            path.unlink(missing_ok=True)

    def last_good(self) -> str:
        """A phrase that names the newest checkpoint."""
        if self.train_dir is None:
            return "nothing was saved: there is no train dir"
        if self._last_path is None:
            return "no checkpoint was written yet"
        return f"the last good checkpoint is {self._last_path}"


def _merit(record):
    """Score of an evaluation; higher is better."""
    return record["accuracy"] if "accuracy" in record else -record["loss"]
