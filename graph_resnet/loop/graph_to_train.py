"""What the session loop is told of a graph (`GraphToTrain`), of a run's rhythm (`Cadence`) and of what it shows
(`Shown`). Each checks its values, so that a slip of the pen is one line that names the argument."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError

Feed = dict  # {tensor: value}, as tf.Session.run takes it


@dataclass(frozen=True)
class GraphToTrain:
    """A v1 graph, with all that the loop runs of it.

    Raises:
      UserError: a value is not of the kind that its field is for, or is of another graph than `train_op`.
    """

    train_op: tf.Operation | tf.Tensor  # makes one update. Where it does not move the global step, the loop counts it
    train_loss: tf.Tensor  # scalar, of a training batch
    train_acc: tf.Tensor | None = None  # scalar, in 0..1
    val_loss: tf.Tensor | None = None  # scalar, mean over a validation batch; None: nothing is evaluated
    val_acc: tf.Tensor | None = None  # scalar, mean over a validation batch
    val_confusion: tf.Tensor | None = None  # int [C, C], images of class `row` taken for class `column`, of a batch
    # bool placeholder, fed True for the training op and False for every measurement. None: the towers are static (built
    # with Python bools), and a training line comes from the update's own batch.
    is_training: tf.Tensor | None = None
    learning_rate: float | tf.Tensor | None = None  # written beside the training lines
    # function() or function(step) -> {placeholder: value} for the training op. A StopIteration ends the run.
    feed_fn: Callable[..., Feed] | None = None
    # The same for the evaluation: see `validation.Validation`.
    val_feed_fn: Callable[..., Feed] | None = None
    # Training batches from which batch norm's moving averages are set before an evaluation, at the weights as they are:
    # what is evaluated is what is saved. 0 leaves the averages as the updates have them. See `precise_batch_norm`.
    precise_batch_norm: int = 0
    val_batches: int | None = None  # in an evaluation. None: all of data that ends, one batch of data that does not
    val_logits: tf.Tensor | None = None  # float [B, C], of a validation batch, for `Shown.take_logits`

    def __post_init__(self):
        graph = _graph_of("train_op", self.train_op)
        if graph.finalized:
            raise UserError(
                "this graph is finalized, as a session that could not start leaves it: build it again, after "
                "tf.reset_default_graph()"
            )
        tensors = "train_loss train_acc val_loss val_acc val_confusion val_logits is_training learning_rate"
        for name in tensors.split():
            object.__setattr__(self, name, _checked(name, getattr(self, name), graph))
        if self.train_loss is None:
            raise UserError("train_loss: is None; pass the scalar loss tensor that train_op makes smaller")
        for name in ("val_acc", "val_confusion", "val_logits"):
            if self.val_loss is None and getattr(self, name) is not None:
                raise UserError(f"{name}: needs a val_loss beside it, and that is None")
        if self.is_training is not None and self.is_training.dtype != tf.bool:
            raise UserError(
                f"is_training: is of type {self.is_training.dtype.name}; pass the bool placeholder, or None where the "
                "towers are static"
            )
        for name in ("feed_fn", "val_feed_fn"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise UserError(
                    f"{name}: is a {type(getattr(self, name)).__name__}; pass a function that returns a dict "
                    "{placeholder: value}"
                )
        check_count("precise_batch_norm", self.precise_batch_norm, least=0)
        if self.val_batches is not None:
            check_count("val_batches", self.val_batches)

    @property
    def graph(self) -> tf.Graph:
        return self.train_op.graph


def _graph_of(name, value):
    """The graph of an op, tensor or variable."""
    if isinstance(value, (list, tuple)):
        raise UserError(f"{name}: is a {type(value).__name__} of {len(value)}; pass one op: tf.group(*{name})")
    graph = getattr(value, "graph", None)
    if isinstance(graph, tf.Graph):
        return graph
    what = "None" if value is None else f"a {type(value).__name__}"
    wanted = "what minimize() of a tf.compat.v1.train optimizer returns" if name == "train_op" else "a tensor"
    raise UserError(f"{name}: is {what}; pass {wanted}, built in a v1 graph (with tf.Graph().as_default(): ...)")


def _checked(name, value, graph):
    """`value` as a tensor of `graph`, None as None."""
    if value is None or (name == "learning_rate" and isinstance(value, numbers.Real)):
        return value
    if _graph_of(name, value) is not graph:
        raise UserError(f"{name}: is of another graph than train_op; build both in one graph")
    with graph.as_default():
        try:
            value = tf.convert_to_tensor(value)
        except (TypeError, ValueError) as error:
            raise UserError(f"{name}: is no tensor ({str(error).splitlines()[0]})") from None
    if name in ("val_confusion", "val_logits"):
        if value.shape.rank not in (None, 2):
            wanted = "[classes, classes]" if name == "val_confusion" else "[batch, classes]"
            raise UserError(f"{name}: has shape {value.shape}; pass a matrix {wanted}")
    elif value.shape.rank not in (None, 0):
        raise UserError(f"{name}: has shape {value.shape}, must be a scalar; pass tf.reduce_mean({name})")
    if name != "is_training" and not (value.dtype.is_floating or value.dtype.is_integer):
        raise UserError(f"{name}: is of type {value.dtype.name}, must be a number; pass tf.cast({name}, tf.float32)")
    return value


def check_count(name: str, value: int, least: int = 1) -> None:
    """Refuses what is not a whole number of at least `least`.

    Raises:
      UserError: names the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise UserError(f"{name}: must be a whole number, at least {least}, got {value!r}")


def checked_hooks(hooks: Iterable) -> list:
    """Some hooks as a list.

    Raises:
      UserError: one is not a hook, but its class, say.
    """
    if hooks is None or isinstance(hooks, tf.train.SessionRunHook):
        hooks = [] if hooks is None else [hooks]
    for hook in hooks:
        if not isinstance(hook, tf.train.SessionRunHook):
            name = hook.__name__ if isinstance(hook, type) else repr(hook)
            raise UserError(f"hooks: {name} is no SessionRunHook; pass instances of one, such as StopAtStepHook(5)")
    return list(hooks)


@dataclass(frozen=True)
class Cadence:
    """How often a run does what, in steps."""

    log_every: int = 50
    eval_every: int = 1000
    save_every: int = 500
    eval_at_start: bool = True  # whether the net is evaluated before its first update

    def __post_init__(self):
        for field in ("log_every", "eval_every", "save_every"):
            check_count(field, getattr(self, field))


@dataclass(frozen=True)
class Shown:
    """What is shown of a run beside its lines."""

    summary_op: tf.Tensor | None = None  # serialized summaries, such as histograms of weights, written at evaluations
    first_summary: tf.Summary | None = None  # such as the first images, written where a run begins at step 0
    # function(history, confusion) after each evaluation; confusion is `val_confusion` summed over it, int64 [C, C], or
    # None. It returns a tf.Summary for TensorBoard, or None. A StopIteration ends the run.
    after_evaluation: Callable | None = None
    # function(step, logits) after each evaluation: `val_logits` over all of it, float [images, C], in the data's order.
    take_logits: Callable[[int, np.ndarray], None] | None = None
    resume_command: str | None = None  # the command line that goes on, named where a signal stops the run


def taken(kind: type, options: dict) -> dict:
    """Takes the fields of a dataclass out of `options`, and returns them."""
    return {f.name: options.pop(f.name) for f in dataclasses.fields(kind) if f.name in options}
