"""Checkpoints of a train dir: `model.ckpt-N`, written by TensorFlow's Saver, read back only if whole.

A checkpoint is announced when it is on the disk: its data, index and meta file, then the state file that names it as
the newest, then the names of all in the directory. A power cut leaves the one before, or this one.
"""

import contextlib
import os
import re
import tempfile
from pathlib import Path

import tensorflow.compat.v1 as tf

from graph_resnet import files, locks
from graph_resnet.errors import UserError, reason
from graph_resnet.loop import metrics_log

KEEP = 5
SHOWN = 6  # variables in an error
STATE = "checkpoint"
STEP = "(0|[1-9][0-9]{0,18})"  # in a name: an int64


def steps(train_dir):
    """Global steps of the checkpoints in a train dir, whole or not, newest first."""
    try:
        names = os.listdir(train_dir)
    except OSError:
        return []
    matches = (re.fullmatch(rf"model\.ckpt-{STEP}\.index", name) for name in names)
    return sorted((int(match[1]) for match in matches if match), reverse=True)


def prefix(train_dir, step):
    """The path by which TensorFlow knows a checkpoint."""
    return str(Path(train_dir) / f"model.ckpt-{step}")


def step_in(prefix):
    """The step in such a path."""
    return int(prefix.rpartition("-")[2])


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
    """None if the checkpoint `path` can be read to its last byte (a checksum guards each tensor), else a phrase."""
    try:
        for part in _parts(path):
            files.open_regular(part).close()  # TensorFlow would wait for a pipe for ever
        with reading(path) as reader:
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
    except Exception as error:  # what is wrong with a file comes as any of OpError, IndexError, ValueError, ...
        return reason(error)
    return None


def _parts(path):
    """The files that TensorFlow reads of a checkpoint."""
    directory, name = os.path.split(os.path.abspath(path))
    return [f"{path}.index"] + [f"{directory}/{n}" for n in os.listdir(directory) if n.startswith(f"{name}.data-")]


def newest_whole(train_dir, say=print):
    """Path of the newest checkpoint in a train dir that can be read whole, None if there never was one.

    Args:
      train_dir: str or path.
      say: called with a line for each newer one that cannot be read.

    Raises:
      UserError: there were checkpoints and none can be read; or the state file is no file.
    """
    found, named = steps(train_dir), _named_newest(train_dir)
    if named is not None and named > max(found, default=-1):
        say(f"[checkpoint]: {prefix(train_dir, named)} is missing: trying the one before")
    for step in found:
        path = prefix(train_dir, step)
        why = fault(path)
        if why is None:
            return path
        say(f"[checkpoint]: {path} cannot be read ({why}): trying the one before")
    if found or (Path(train_dir) / STATE).exists():
        raise UserError(f"{train_dir}: none of its checkpoints can be read; restore one, or pass another directory")
    return None


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
      variables: list of variables.
      mend: function(names of the variables that do not fit) -> str, what to do about it.

    Raises:
      UserError: one line with the first of them, and the mend.
    """
    with reading(path) as reader:
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    misfits = {}
    for variable in variables:
        name, shape, dtype = variable.op.name, variable.shape.as_list(), variable.dtype.base_dtype
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
    """

    def __init__(self, train_dir):
        self.train_dir = train_dir
        # The rotation is ours: the Saver's takes a '[' in a path for a pattern, and deletes nothing.
        self.saver = tf.train.Saver(max_to_keep=0)
        floats = [v for v in tf.global_variables() if v.dtype.base_dtype.is_floating]
        self._finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(v)) for v in floats])
        self._variables = tf.global_variables()
        self.last_step = None

    def newest_whole(self, say=print):
        """Path of the newest checkpoint that can be read whole, None if there never was one.

        Raises:
          UserError: there were checkpoints and none can be read, or the newest is of another net.
        """
        if self.train_dir is None:
            return None
        path = newest_whole(self.train_dir, say)
        if path is not None:
            check_fit(path, self._variables, lambda names: "It is of another net: pass another --train-dir")
        return path

    def continue_from(self, path, step=None):
        """Counts from the checkpoint at `path`, None for none, and tidies up after a kill.

        Args:
          path: of the checkpoint.
          step: int, what it holds, whatever its name is.
        """
        if path is not None and step in (None, step_in(path)):
            self.last_step = step_in(path)
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
        if not session.run(self._finite):
            raise UserError(f"a weight is not finite after step {step}, not saved: {self.last_good()}")
        older = [other for other in steps(self.train_dir) if other < step]
        locks.check(self.train_dir)
        try:
            if os.path.exists(Path(self.train_dir) / metrics_log.FILE):
                files.sync(Path(self.train_dir) / metrics_log.FILE)  # what led to these weights
            with files.draft_directory(self.train_dir) as draft:
                # TensorFlow's own drafts have names that can be foreseen, and it waits for no disk.
                self.saver.save(session, str(draft / "model.ckpt"), global_step=step, write_state=False)
                files.publish(draft, self.train_dir, last=".index")
            self._name([*reversed(older[: KEEP - 1]), step])
            self.last_step = step
            for other in older[KEEP - 1 :]:
                self._remove(other)
        except (tf.errors.OpError, OSError, ValueError) as error:
            raise UserError(
                f"cannot write checkpoint {prefix(self.train_dir, step)} ({reason(error)}): {self.last_good()}; "
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
        if self.last_step is None:
            return "no checkpoint was written yet"
        return f"the last good checkpoint is {prefix(self.train_dir, self.last_step)}"
