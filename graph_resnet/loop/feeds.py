"""Feeds for a graph with placeholders: calls the caller's feed functions and checks what they return."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError

ENDLESS = 10_000  # batches after which an evaluation is assumed never to end


class FeedFunction:
    """A caller's function() or function(number) -> {placeholder: value}.

    Args:
      name: of the argument, for errors: 'feed_fn' or 'val_feed_fn'.
      function: None feeds nothing.

    Raises:
      UserError: the function takes something else.
    """

    def __init__(self, name: str, function: Callable | None):
        self.name, self._function = name, function
        self._numbered = function is not None and _takes_a_number(name, function)

    def __bool__(self) -> bool:
        return self._function is not None

    def __call__(self, number: int) -> dict:
        """The feed for update (or batch) `number`; StopIteration is passed on."""
        return self._checked(self._call(number)) if self else {}

    def batches(self, most: int | None = None) -> Iterator[dict]:
        """The feeds of one evaluation.

        The function is called for batch 0, 1, ... until it raises StopIteration. A function that returns an iterable
        (a generator function) is called once. If a call returns the same array objects as the one before, the function
        has a single batch.

        Args:
          most: how many are read; None: all.

        Raises:
          UserError: a returned value is not a feed, or the function never ends.
        """
        for number, feed in enumerate(self._all()):
            if number == ENDLESS and most is None:
                raise UserError(f"{self.name}: has not ended after {ENDLESS:,} batches; pass val_batches=N, or raise "
                                "StopIteration at the end")  # fmt: skip
            yield self._checked(feed)

    def _all(self):
        previous = None
        for number in itertools.count():
            try:
                result = self._call(number)
            except StopIteration:
                return
            if not isinstance(result, Mapping):
                yield from result if hasattr(result, "__iter__") else [result]
                return
            if previous is not None and _same(previous, result):
                return
            previous = dict(result)
            yield result

    def _call(self, number):
        return self._function(number) if self._numbered else self._function()

    def _checked(self, feed):
        if not isinstance(feed, Mapping):
            raise UserError(f"{self.name}: returned a {type(feed).__name__}, not a dict {{placeholder: value}}")
        graph, fed = tf.get_default_graph(), set()
        for key, value in feed.items():
            if isinstance(key, (tf.SparseTensor, tf.IndexedSlices)):
                continue
            try:
                tensor = graph.as_graph_element(key, allow_operation=False)
            except (TypeError, ValueError, KeyError) as error:
                reason = str(error.args[0]).splitlines()[0] if error.args else type(error).__name__
                raise UserError(f"{self.name}: {key!r} is not a tensor of this graph ({reason})") from None
            if tensor.name in fed:
                raise UserError(f"{self.name}: feeds {tensor.name} twice, as a tensor and by its name")
            fed.add(tensor.name)
            try:
                shape = _shape_as(value, tensor.dtype)
            except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
                why = str(error).partition("\n")[0]
                raise UserError(f"{self.name}: the value for {tensor.name} does not fit ({why})") from None
            if not tensor.shape.is_compatible_with(shape):
                raise UserError(f"{self.name}: a value of shape {shape} for {tensor.name}, which is {tensor.shape}")
        return dict(feed)


def _shape_as(value, dtype):
    """The shape of a value that is fed as `dtype`.

    Raises:
      TypeError, ValueError, OverflowError, NotImplementedError: it cannot be converted.
      ValueError: the conversion, which TensorFlow makes without a word, would change it.
    """
    given, wanted = np.asarray(value), np.dtype(dtype.as_numpy_dtype)
    changed = f"{given.dtype.name} values would change as {dtype.name}"
    if given.dtype.kind == "c" != wanted.kind:
        raise ValueError(changed)
    with np.errstate(invalid="ignore"):
        converted = np.asarray(given, wanted)
    whole = wanted.kind in "iub" and given.dtype.kind in "iuf"
    if whole and not np.can_cast(given.dtype, wanted) and not np.array_equal(given, converted):
        raise ValueError(changed)
    return converted.shape


def _takes_a_number(name, function):
    """Whether a function has a positional parameter without a default, for the step or batch number."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    numbered = any(p.kind in positional and p.default is p.empty for p in signature.parameters.values())
    try:
        signature.bind(*([0] if numbered else []))
    except TypeError as error:
        raise UserError(
            f"{name}: takes {signature}; it is called with the number of the batch, or nothing ({error})"
        ) from None
    return numbered


def _same(first, second):
    """Whether two feeds hold the same array objects."""
    return first.keys() == second.keys() and all(first[key] is second[key] for key in first)


def count(feed: dict) -> int | None:
    """Images in a fed batch: the first dimension of its arrays, None if they differ."""
    shapes = [value[2] if isinstance(value, tf.SparseTensorValue) else np.shape(value) for value in feed.values()]
    lengths = {int(shape[0]) for shape in shapes if len(shape)}
    return lengths.pop() if len(lengths) == 1 else None


@contextlib.contextmanager
def named(function: str):
    """Turns a session's error about a missing feed into one line that names the argument.

    Raises:
      UserError: a placeholder was not fed, or also by a hook, or an iterator was not initialized.
    """
    try:
        yield
    except RuntimeError as error:
        if "Same tensor is fed" not in str(error):
            raise
        tensors = ", ".join(re.findall(r"<tf\.Tensor '([^']+)'", str(error)))
        raise UserError(f"hooks: one feeds {tensors}, as {function}, is_training or another hook does too") from None
    except tf.errors.InvalidArgumentError as error:
        placeholder = re.search(r"feed a value for placeholder tensor '([^']+)'", str(error))
        if placeholder is None:
            raise
        raise UserError(
            f"placeholder {placeholder[1]!r} got no value: pass {function}=, a function that returns "
            "{placeholder: value} for each batch (or is_training=, if it is the training flag)"
        ) from None
    except tf.errors.FailedPreconditionError as error:
        if "iterator has not been initialized" not in str(error):
            raise
        raise UserError(
            "an iterator of the graph was never initialized: add its initializer, "
            "tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)"
        ) from None
