"""Checkpoints of a train dir, `model.ckpt-N`: which there are, and whether they are whole. `saves` writes them."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet import files
from graph_resnet.errors import UserError, reason

SHOWN = 6  # variables in an error
STATE = "checkpoint"
STEP = "(0|[1-9][0-9]{0,18})"  # in a name: an int64
BEST = "best"  # model.ckpt-best-N: no other tool counts it among the newest


def steps(train_dir: str | Path) -> list[int]:
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


def prefix(train_dir: str | Path, step: int | str) -> str:
    """The path by which TensorFlow knows a checkpoint."""
    return str(Path(train_dir) / f"model.ckpt-{step}")


def step_in(prefix: str) -> int:
    """The step in such a path."""
    return int(prefix.rpartition("-")[2])


def step_of(path: str, name: str = "global_step") -> int | None:
    """The global step that a checkpoint holds, None where it has none. Its file may have been renamed."""
    with reading(path) as reader:
        step = reader.get_tensor(name) if reader.has_tensor(name) else None
    return int(step) if isinstance(step, np.integer) else None


def saved_as(variables: Iterable[tf.Variable], scope: str = "") -> dict[str, tf.Variable | list[tf.Variable]]:
    """Some variables by the names under which tf.train.Saver keeps them, as it takes them in place of a list.

    A partitioned variable is kept whole, under its own name; its value here is the list of its parts.

    Args:
      variables: whole ones and parts.
      scope: what the names begin with in the graph and not in the checkpoint, such as 'mine/'.
    """
    saved = {}
    for variable in variables:
        part = variable._get_save_slice_info()  # no public name; the Saver asks it too
        if part is None:
            saved[variable.op.name.removeprefix(scope)] = variable
        else:
            saved.setdefault(part.full_name.removeprefix(scope), []).append(variable)
    return saved


def _shape_and_dtype(variable):
    """What a checkpoint holds of a value of `saved_as`: (list of int, tf.DType)."""
    if isinstance(variable, list):
        return list(variable[0]._get_save_slice_info().full_shape), variable[0].dtype.base_dtype
    return variable.shape.as_list(), variable.dtype.base_dtype


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
def reading(path: str) -> Iterator[tf.train.NewCheckpointReader]:
    """A tf.train.NewCheckpointReader of the checkpoint `path`, whatever its name."""
    with _plain(path) as plain:
        yield tf.train.NewCheckpointReader(plain)


def restore(session: tf.Session, saver: tf.train.Saver, path: str) -> None:
    """`saver.restore`, whatever the name of `path`."""
    with _plain(path) as plain:
        saver.restore(session, plain)


def fault(path: str) -> str | None:
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


def newest_whole(
    train_dir: str | Path, say: Callable[[str], object] = print, step_name: str = "global_step"
) -> str | None:
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


def best(train_dir: str | Path, say: Callable[[str], object] = print) -> str | None:
    """Path of the checkpoint that was best on the validation images, None if none was kept (see `keep_if_best`)."""
    for step in best_steps(train_dir):
        path = prefix(train_dir, f"{BEST}-{step}")
        why = fault(path)
        if why is None:
            return path
        say(f"[checkpoint]: {path} cannot be used ({why})")
    return None


def best_steps(train_dir: str | Path) -> list[int]:
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


def check_fit(
    path: str, variables: dict[str, tf.Variable | list[tf.Variable]], advice: Callable[[list[str]], str]
) -> None:
    """Refuses a checkpoint that has not all of some variables, each in its shape and dtype.

    Args:
      path: of the checkpoint.
      variables: those to restore, of `saved_as`.
      advice: function(names of the variables that do not fit) -> what to do about it.

    Raises:
      UserError: one line with the first of them, and the advice.
    """
    with reading(path) as reader:
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    misfits = {}
    for name, variable in variables.items():
        shape, dtype = _shape_and_dtype(variable)
        if name not in shapes:
            misfits[name] = f"{name} is not in it"
        elif shapes[name] != shape:
            misfits[name] = f"{name} is {shapes[name]} there, {shape} here"
        elif dtypes[name] != dtype:
            misfits[name] = f"{name} is {dtypes[name].name} there, {dtype.name} here"
    if misfits:
        more = f"; and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
        listed = "; ".join(list(misfits.values())[:SHOWN])
        raise UserError(f"checkpoint {path} does not fit: {listed}{more}. {advice(list(misfits))}")
