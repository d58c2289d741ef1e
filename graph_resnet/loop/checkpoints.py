"""Finds and checks the checkpoints `model.ckpt-N` of a train dir. `saves` writes them."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet import files
from graph_resnet.errors import UserError, printable, reason

SHOWN = 6  # variables listed in an error
STATE = "checkpoint"
STEP = "(0|[1-9][0-9]{0,18})"  # the step in a file name, an int64
BEST = "best"  # model.ckpt-best-N: other tools do not mistake it for the newest checkpoint


def steps(train_dir: str | Path) -> list[int]:
    """Global steps of the checkpoints in a train dir, newest first. They are not checked."""
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
    """The path prefix that TensorFlow uses for a checkpoint."""
    return str(Path(train_dir) / f"model.ckpt-{step}")


def step_in(prefix: str) -> int:
    """The step in a checkpoint's path."""
    return int(prefix.rpartition("-")[2])


def step_of(path: str, name: str = "global_step") -> int | None:
    """The global step stored in a checkpoint, None if it has none. The file name may differ."""
    with reading(path) as reader:
        step = reader.get_tensor(name) if reader.has_tensor(name) else None
    return int(step) if isinstance(step, np.integer) else None


def saved_as(variables: Iterable[tf.Variable], scope: str = "") -> dict[str, tf.Variable | list[tf.Variable]]:
    """{name in a checkpoint: variable}, as tf.train.Saver accepts it in place of a list of variables.

    A partitioned variable is saved whole, under its own name; its value here is the list of its parts.

    Args:
      variables: variables, and parts of partitioned ones.
      scope: prefix of the names in the graph that is not in the checkpoint, such as 'mine/'.
    """
    saved = {}
    for variable in variables:
        part = variable._get_save_slice_info()  # private; the Saver uses it too
        if part is None:
            saved[variable.op.name.removeprefix(scope)] = variable
        else:
            saved.setdefault(part.full_name.removeprefix(scope), []).append(variable)
    return saved


def _shape_and_dtype(variable):
    """(list of int, tf.DType) in a checkpoint of a value of `saved_as`."""
    if isinstance(variable, list):
        return list(variable[0]._get_save_slice_info().full_shape), variable[0].dtype.base_dtype
    return variable.shape.as_list(), variable.dtype.base_dtype


@contextlib.contextmanager
def _plain(path):
    """Yields a path to the same checkpoint without glob characters.

    TensorFlow writes 'runs/[1]/model.ckpt-5' but cannot read it back: it takes '[1]' for a pattern.
    """
    path = os.path.abspath(path)
    with contextlib.ExitStack() as stack:
        if any(character in path for character in "*?[\\"):
            plain = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "checkpoint")
            for part in _parts(path):
                os.symlink(part, plain + part.removeprefix(path))
            path = plain
        yield path


@contextlib.contextmanager
def reading(path: str) -> Iterator[tf.train.NewCheckpointReader]:
    """Yields a tf.train.NewCheckpointReader for `path`, which may contain glob characters.

    Raises:
      UserError: it cannot be read; a run that trains may have removed it meanwhile.
    """
    try:
        with _plain(path) as plain:
            yield tf.train.NewCheckpointReader(plain)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"checkpoint {path}: cannot be read ({reason(error)}); if its run removed it, run the same command again"
        ) from error


def restore(session: tf.Session, saver: tf.train.Saver, path: str) -> None:
    """`saver.restore` for a `path` that may contain glob characters."""
    with _plain(path) as plain:
        saver.restore(session, plain)


def fault(path: str, maybe_infinite: Container[str] | None = ()) -> str | None:
    """None if every tensor of a checkpoint can be read (each has a checksum) and is finite, else what is wrong.

    Args:
      path: of the checkpoint.
      maybe_infinite: names of the tensors that may hold infinities; None: all may.
    """
    try:
        for part in _parts(path):
            files.open_regular(part).close()  # TensorFlow would wait forever on a named pipe
        with _plain(path) as plain:
            reader = tf.train.NewCheckpointReader(plain)
            for name in sorted(reader.get_variable_to_shape_map()):
                value = reader.get_tensor(name)
                # The loss may not show it: a ReLU turns NaN into 0.
                if not tf.as_dtype(value.dtype).is_floating:
                    continue
                finite = maybe_infinite is not None and name not in maybe_infinite
                if np.isnan(value).any() or (finite and np.isinf(value).any()):
                    return printable(f"{name} is not finite: the net diverged")
    except Exception as error:  # a damaged file raises OpError, IndexError, ValueError, ...
        return printable(reason(error))
    return None


def _parts(path):
    """The files of a checkpoint that TensorFlow reads."""
    directory, name = os.path.split(os.path.abspath(path))
    return [f"{path}.index"] + [f"{directory}/{n}" for n in os.listdir(directory) if n.startswith(f"{name}.data-")]


def newest_whole(
    train_dir: str | Path,
    say: Callable[[str], object] = print,
    step_name: str = "global_step",
    maybe_infinite: Container[str] = (),
) -> str | None:
    """Path of the newest checkpoint in a train dir that can be read, None if there never was one.

    The newest is the one that holds the highest step, even if its name says otherwise.

    Args:
      train_dir: str or path.
      say: called with a line for each newer checkpoint that cannot be read.
      step_name: name of the variable that holds the step.
      maybe_infinite: see `fault`.

    Raises:
      UserError: none of the checkpoints can be read; or the state file is not a regular file.
    """
    saved_steps, named = steps(train_dir), _named_newest(train_dir)
    if named is not None and named > max(saved_steps, default=-1):
        say(f"[checkpoint]: {prefix(train_dir, named)} is missing: trying the one before")
    newest = None
    for step in saved_steps:
        path = prefix(train_dir, step)
        why = fault(path, maybe_infinite)
        if why is not None:
            say(f"[checkpoint]: {path} cannot be used ({why}): trying the one before")
            continue
        stored_step = step_of(path, step_name)
        stored_step = step if stored_step is None else stored_step
        if newest is None or stored_step > newest[0]:  # a renamed file may be older than the ones after it
            newest = stored_step, path
        if newest[0] >= step:
            break
    if newest is not None:
        return newest[1]
    if saved_steps or (Path(train_dir) / STATE).exists():
        raise UserError(f"{train_dir}: none of its checkpoints can be read; restore one, or pass another directory")
    return None


def best(train_dir: str | Path, say: Callable[[str], object] = print) -> str | None:
    """Path of the best checkpoint on the validation images, None if none was kept (see `Checkpoints.keep_if_best`)."""
    for step in best_steps(train_dir):
        path = prefix(train_dir, f"{BEST}-{step}")
        why = fault(path, maybe_infinite=None)  # its weights were finite when it was written
        if why is None:
            return path
        say(f"[checkpoint]: {path} cannot be used ({why})")
    return None


def best_steps(train_dir: str | Path) -> list[int]:
    """Steps of the checkpoints kept as best, newest first. The newest is the best."""
    return _steps_named(train_dir, f"{BEST}-")


def _named_newest(train_dir):
    """The newest step according to the state file, None if it names none."""
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
    """Checks that a checkpoint holds all of `variables`, with the same shapes and dtypes.

    Args:
      path: of the checkpoint.
      variables: those to restore, from `saved_as`.
      advice: function(names of the variables that do not fit) -> what to do about it.

    Raises:
      UserError: one line with the first variables that do not fit, and the advice.
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
