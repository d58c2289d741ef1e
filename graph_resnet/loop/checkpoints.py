"""Checkpoints of a train dir: `model.ckpt-N`, written by TensorFlow's Saver, read back only if whole.

A checkpoint is announced when it is on the disk: its data, index and meta file, then the state file that names it as
the newest, then the names of all in the directory. A power cut leaves the one before, or this one.
"""

import contextlib
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet import files, locks
from graph_resnet.errors import UserError, reason
from graph_resnet.loop import metrics_log

KEEP = 5
SHOWN = 6  # variables in an error
STATE = "checkpoint"
STEP = "(0|[1-9][0-9]{0,18})"  # in a name: an int64
BEST = "best"  # model.ckpt-best-N: no other tool counts it among the newest


def steps(train_dir):
    """Global steps of the checkpoints in a train dir, whole or not, newest first."""
    return _steps_named(train_dir)


def _steps_named(train_dir, kind=""):
    """The steps N, highest first, of the checkpoints `model.ckpt-<kind>N`."""
    try:
        names = os.listdir(train_dir)
    except OSError:
        return []
    matches = (re.fullmatch(rf"model\.ckpt-{kind}{STEP}\.index", name) for name in names)
    return sorted((int(match[1]) for match in matches if match), reverse=True)


def prefix(train_dir, step):
    """The path by which TensorFlow knows a checkpoint."""
    return str(Path(train_dir) / f"model.ckpt-{step}")


def step_in(prefix):
    """The step in such a path."""
    return int(prefix.rpartition("-")[2])


def step_of(path: str, name: str = "global_step") -> int | None:
    """The global step that a checkpoint holds, None where it has none. Its file may have been renamed."""
    with reading(path) as reader:
        step = reader.get_tensor(name) if reader.has_tensor(name) else None
    return int(step) if isinstance(step, np.integer) else None


def saved_as(variable) -> tuple[str, list]:
    """(name, shape) under which tf.train.Saver keeps a variable: those of the whole one, where it is a part of it."""
    part = variable._get_save_slice_info()  # no public name; the Saver asks it too
    return (part.full_name, list(part.full_shape)) if part else (variable.op.name, variable.shape.as_list())


@contextlib.contextmanager
def _plain(path):
    """A path to the same checkpoint without the characters that TensorFlow takes for a pattern.

    It writes 'runs/[1]/model.ckpt-5', and cannot find it when it is to read it.
    """
    directory, name = os.path.split(os.path.abspath(path))
    with contextlib.ExitStack() as stack:
        if any(character in directory for character in "*?[\\"):
            link = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "train_dir"
            link.symlink_to(directory)
            path = link / name
        yield str(path)


@contextlib.contextmanager
def reading(path):
    """A tf.train.NewCheckpointReader of the checkpoint `path`, whatever its name."""
    with _plain(path) as plain:
        yield tf.train.NewCheckpointReader(plain)


def restore(session, saver, path):
    """`saver.restore`, whatever the name of `path`."""
    with _plain(path) as plain:
        saver.restore(session, plain)


def fault(path):
    """None if the checkpoint `path` can be read to its last byte (a checksum guards each tensor) and all its numbers
    are finite, else a phrase."""
    try:
        for part in _parts(path):
            files.open_regular(part).close()  # TensorFlow would wait for a pipe for ever
        with reading(path) as reader:
            for name in sorted(reader.get_variable_to_shape_map()):
                value = reader.get_tensor(name)
                # Not seen in the loss: a ReLU makes 0 of NaN.
                if tf.as_dtype(value.dtype).is_floating and not np.isfinite(value).all():
                    return f"{name} is not finite: the net diverged"
    except Exception as error:  # what is wrong with a file comes as any of OpError, IndexError, ValueError, ...
        return reason(error)
    return None


def _parts(path):
    """The files that TensorFlow reads of a checkpoint."""
    directory, name = os.path.split(os.path.abspath(path))
    return [f"{path}.index"] + [f"{directory}/{n}" for n in os.listdir(directory) if n.startswith(f"{name}.data-")]


def newest_whole(train_dir, say=print, step_name="global_step"):
    """Path of the newest checkpoint in a train dir that can be read whole, None if there never was one.

    The newest is that which holds the highest step, whatever its name says.

    Args:
      train_dir: str or path.
      say: called with a line for each newer one that cannot be read.
      step_name: of the variable that holds the step.

    Raises:
      UserError: there were checkpoints and none can be read; or the state file is no file.
    """
    found, named = steps(train_dir), _named_newest(train_dir)
    if named is not None and named > max(found, default=-1):
        say(f"[checkpoint]: {prefix(train_dir, named)} is missing: trying the one before")
    newest = None
    for step in found:
        path = prefix(train_dir, step)
        why = fault(path)
        if why is not None:
            say(f"[checkpoint]: {path} cannot be used ({why}): trying the one before")
            continue
        held = step_of(path, step_name)
        held = step if held is None else held
        if newest is None or held > newest[0]:  # a file that was renamed may be older than those behind it
            newest = held, path
        if newest[0] >= step:
            break
    if newest is not None:
        return newest[1]
    if found or (Path(train_dir) / STATE).exists():
        raise UserError(f"{train_dir}: none of its checkpoints can be read; restore one, or pass another directory")
    return None


def best(train_dir, say=print):
    """Path of the checkpoint that was best on the validation images, None if none was kept (see `keep_if_best`)."""
    for step in _best_steps(train_dir):
        path = prefix(train_dir, f"{BEST}-{step}")
        why = fault(path)
        if why is None:
            return path
        say(f"[checkpoint]: {path} cannot be used ({why})")
    return None


def _best_steps(train_dir):
    """Steps of the checkpoints that were kept as best, the newest, which is the best, first."""
    return _steps_named(train_dir, f"{BEST}-")


def _named_newest(train_dir):
    """The step that the state file names as newest, None if it names none."""
    path = Path(train_dir) / STATE
    try:
        state = files.read(path, most=1 << 20)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); remove it") from None
    named = re.match(rb'model_checkpoint_path: "[^"\n]*\bmodel\.ckpt-%s"' % STEP.encode(), state)
    return named and int(named[1])


def check_fit(path, variables, mend):
    """Refuses a checkpoint that has not all of some variables, each in its shape and dtype.

    Args:
      path: of the checkpoint.
      variables: list of variables, or dict of them by their names in the checkpoint.
      mend: function(names of the variables that do not fit) -> str, what to do about it.

    Raises:
      UserError: one line with the first of them, and the mend.
    """
    with reading(path) as reader:
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    if not isinstance(variables, dict):
        variables = {saved_as(variable)[0]: variable for variable in variables}
    misfits = {}
    for name, variable in variables.items():
        (_, shape), dtype = saved_as(variable), variable.dtype.base_dtype
        if name not in shapes:
            misfits[name] = f"{name} is not in it"
        elif shapes[name] != shape:
            misfits[name] = f"{name} is {shapes[name]} there, {shape} here"
        elif dtypes[name] != dtype:
            misfits[name] = f"{name} is {dtypes[name].name} there, {dtype.name} here"
    if misfits:
        more = f"; and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
        listed = "; ".join(list(misfits.values())[:SHOWN])
        raise UserError(f"checkpoint {path} does not fit: {listed}{more}. {mend(list(misfits))}")


class Checkpoints:
    """The checkpoints of a run. Made before the graph is finalized; a `train_dir` of None keeps none.

    One is written only if every weight is finite, so that a run that diverged leaves its last good one whole.

    Args:
      train_dir: str or path.
      keep_best: whether `keep_if_best` keeps any.

    Attributes:
      last_step: of the newest checkpoint, None where there is none.
      resumed: whether the run goes on from a checkpoint.
    """

    def __init__(self, train_dir, *, keep_best=False):
        self.train_dir, self._keeps_best = train_dir, keep_best
        # The rotation is ours: the Saver's takes a '[' in a path for a pattern, and deletes nothing.
        self.saver = tf.train.Saver(max_to_keep=0)
        self._variables = tf.global_variables()
        floats = [v for v in self._variables if v.dtype.base_dtype.is_floating]
        self._finite = {v.op.name: tf.reduce_all(tf.math.is_finite(v)) for v in floats}
        self._step_name = tf.train.get_or_create_global_step().op.name
        self.last_step, self.resumed, self._last_path = None, False, None

    def newest_whole(self, say=print):
        """Path of the newest checkpoint that can be read whole, None if there never was one.

        Raises:
          UserError: there were checkpoints and none can be read, or the newest is of another net.
        """
        if self.train_dir is None:
            return None
        path = newest_whole(self.train_dir, say, self._step_name)
        if path is not None:
            check_fit(path, self._variables, lambda names: "It is of another net: pass another --train-dir")
        return path

    def continue_from(self, path, step):
        """Counts from the checkpoint at `path`, None for none, and tidies up after a kill.

        Args:
          path: of the checkpoint.
          step: int, what it holds. Where its name says otherwise, that step counts as not saved.
        """
        self.resumed, self._last_path = path is not None, path
        if path is not None and step == step_in(path):
            self.last_step = step
        self._remove_drafts()

    def _remove_drafts(self):
        """Removes the halves of files that a kill left: ours, and those of earlier versions."""
        if self.train_dir is not None:
            files.remove_drafts(self.train_dir)
            for pattern in ("model.ckpt-*.tempstate*", "model.ckpt-*.meta.tmp*", "checkpoint.tmp*", "graph.pbtxt.tmp*"):
                for draft in Path(self.train_dir).glob(pattern):
                    draft.unlink(missing_ok=True)

    def save(self, session, step):
        """Writes `model.ckpt-<step>`, unless the run went on from just that; removes the oldest beyond `KEEP`.

        Raises:
          UserError: a weight is not finite, the file cannot be written (a full disk, say), or the train dir is gone.
        """
        if self.train_dir is None or step == self.last_step:
            return
        self.check_finite(session, step)
        older = [other for other in steps(self.train_dir) if other < step]
        with self._writing(prefix(self.train_dir, step)):
            if os.path.exists(Path(self.train_dir) / metrics_log.FILE):
                files.sync(Path(self.train_dir) / metrics_log.FILE)  # what led to these weights
            self._write(session, "model.ckpt", step)
            self._name([*reversed(older[: KEEP - 1]), step])
            self.last_step, self._last_path = step, prefix(self.train_dir, step)
            for other in older[KEEP - 1 :]:
                self._remove(other)

    def keep_if_best(self, session, history):
        """Writes `model.ckpt-best-<step>` after an evaluation, the last in `history`, that is better than all since the
        best one so far; then removes that.

        The better one has the higher accuracy, the lower loss where there is no accuracy.

        Raises:
          UserError: it cannot be written.
        """
        if self.train_dir is None or not self._keeps_best:
            return
        *earlier, newest = (record for record in history if record["split"] == "val")
        kept = _best_steps(self.train_dir)
        # A best one of a later step is from before a kill: this run has not come so far again.
        since = kept[0] if kept and kept[0] <= newest["step"] else 0
        rivals = [record for record in earlier if record["step"] >= since] if kept else []
        if not all(_merit(newest) > _merit(record) for record in rivals):
            return
        with self._writing(prefix(self.train_dir, f"{BEST}-{newest['step']}")):
            self._write(session, f"model.ckpt-{BEST}", newest["step"])
            for step in kept:
                if step != newest["step"]:
                    self._remove(f"{BEST}-{step}")

    def check_finite(self, session, step):
        """Looks at every weight: a loss need not show what a ReLU hides.

        Raises:
          UserError: one is not finite.
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
            # TensorFlow's own drafts have names that can be foreseen, and it waits for no disk.
            self.saver.save(session, str(draft / name), global_step=step, write_state=False)
            files.publish(draft, self.train_dir, last=".index")

    @contextlib.contextmanager
    def _writing(self, path):
        """Turns what comes while the checkpoint `path` is written into one line.

        Raises:
          UserError: the train dir is another run's by now, or the file cannot be written.
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
        files.write(Path(self.train_dir) / STATE, str(state).encode())

    def _remove(self, step):
        # The index last: without it nobody would know of the rest after a kill in between.
        for path in sorted(Path(self.train_dir).glob(f"model.ckpt-{step}.*"), key=lambda path: path.suffix == ".index"):
            path.unlink(missing_ok=True)

    def last_good(self):
        """A phrase that names the newest checkpoint."""
        if self.train_dir is None:
            return "nothing was saved: there is no train dir"
        if self._last_path is None:
            return "no checkpoint was written yet"
        return f"the last good checkpoint is {self._last_path}"


def _merit(record):
    """What makes one evaluation better than another: the higher, the better."""
    return record["accuracy"] if "accuracy" in record else -record["loss"]
