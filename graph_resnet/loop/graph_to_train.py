"""The session loop's arguments: the graph (`GraphToTrain`), how often it does what (`Cadence`), and extra output
(`Shown`). Each checks its values: a mistake gives one line that names the argument."""

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
    """The ops and tensors of a v1 graph that the loop runs.

    Raises:
      UserError: a value has the wrong type, shape or dtype, or belongs to another graph than `train_op`.
    """

    train_op: tf.Operation | tf.Tensor  # makes one update. If it does not increment the global step, the loop does
    train_loss: tf.Tensor  # scalar, of a training batch
    train_acc: tf.Tensor | None = None  # scalar, in 0..1
    val_loss: tf.Tensor | None = None  # scalar, mean over a validation batch; None: nothing is evaluated
    val_acc: tf.Tensor | None = None  # scalar, mean over a validation batch
    val_confusion: tf.Tensor | None = None  # int [C, C], images of class `row` taken for class `column`, of a batch
    # bool placeholder, fed True for updates and False for measurements. None: the towers are static (built with Python
    # bools), and a training line shows the loss of the update itself.
    is_training: tf.Tensor | None = None
    learning_rate: float | tf.Tensor | None = None  # logged with the training loss
    # function() or function(step) -> {placeholder: value} for the training op. A StopIteration ends the run.
    feed_fn: Callable[..., Feed] | None = None
    # The same for the evaluation: see `validation.Validation`.
    val_feed_fn: Callable[..., Feed] | None = None
    # Number of training batches to recompute batch norm's moving averages from before each evaluation. They are saved
    # too. 0 keeps the averages of the updates. See `precise_batch_norm`.
    precise_batch_norm: int = 0
    val_batches: int | None = None  # per evaluation. None: all of a finite dataset, one batch of an endless one
    val_logits: tf.Tensor | None = None  # float [B, C], of a validation batch, for `Shown.take_logits`

    def __post_init__(self):
        graph = _graph_of("train_op", self.train_op)
        if graph.finalized:
            raise UserError(
                "this graph is finalized (a session that failed to start leaves it so): build it again after "
                "tf.reset_default_graph()"
            )
        tensors = "train_loss train_acc val_loss val_acc val_confusion val_logits is_training learning_rate"
        for name in tensors.split():
            object.__setattr__(self, name, _checked(name, getattr(self, name), graph))
        if self.train_loss is None:
            raise UserError("train_loss: is None; pass the scalar loss tensor that train_op minimizes")
        for name in ("val_acc", "val_confusion", "val_logits"):
            if self.val_loss is None and getattr(self, name) is not None:
                raise UserError(f"{name}: needs val_loss, which is None")
        if self.is_training is not None and self.is_training.dtype != tf.bool:
            raise UserError(
                f"is_training: is of type {self.is_training.dtype.name}; pass the bool placeholder, or None if the "
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
    """`value` as a tensor of `graph`; None stays None."""
    if value is None or (name == "learning_rate" and isinstance(value, numbers.Real)):
        return value
    if _graph_of(name, value) is not graph:
        raise UserError(f"{name}: belongs to another graph than train_op; build both in one graph")
    with graph.as_default():
        try:
            value = tf.convert_to_tensor(value)
        except (TypeError, ValueError) as error:
            raise UserError(f"{name}: is not a tensor ({str(error).splitlines()[0]})") from None
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
    """Checks that `value` is a whole number of at least `least`.

    Raises:
      UserError: names the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise UserError(f"{name}: must be a whole number, at least {least}, got {value!r}")


def checked_hooks(hooks: Iterable) -> list:
    """`hooks` as a list.

    Raises:
      UserError: one is not a hook instance (but the class, for example).
    """
    if hooks is None or isinstance(hooks, tf.train.SessionRunHook):
        hooks = [] if hooks is None else [hooks]
    for hook in hooks:
        if not isinstance(hook, tf.train.SessionRunHook):
            name = hook.__name__ if isinstance(hook, type) else repr(hook)
            raise UserError(f"hooks: {name} is not a SessionRunHook; pass instances, such as StopAtStepHook(5)")
    return list(hooks)


@dataclass(frozen=True)
class Cadence:
    """How often a run logs, evaluates and saves, in steps."""

    log_every: int = 50
    eval_every: int = 1000
    save_every: int = 500
    eval_at_start: bool = True  # whether to evaluate before the first update

    def __post_init__(self):
        for field in ("log_every", "eval_every", "save_every"):
            check_count(field, getattr(self, field))


@dataclass(frozen=True)
class Shown:
    """What a run shows in addition to its printed lines."""

    # Serialized summaries, such as weight histograms, written at each evaluation. If they need a training batch, they
    # show that of the next update, so none is lost to training; the last evaluation then has none.
    summary_op: tf.Tensor | None = None
    first_summary: tf.Summary | None = None  # such as the first images, written when a run starts at step 0
    # function(history, confusion), called after each evaluation; confusion is the sum of `val_confusion`, int64 [C, C],
    # or None. Returns a tf.Summary for TensorBoard, or None. A StopIteration ends the run.
    after_evaluation: Callable | None = None
    # function(step, logits), called after each evaluation with all of `val_logits`: float [images, C], in data order.
    take_logits: Callable[[int, np.ndarray], None] | None = None
    resume_command: str | None = None  # command line that resumes the run, printed when a signal stops it

    def __post_init__(self):
        op = self.summary_op
        if op is not None and not (isinstance(op, tf.Tensor) and op.dtype == tf.string):
            raise UserError(f"summary_op: {op!r} is not a summary; pass tf.summary.merge_all(), or tf.summary.merge")


def taken(kind: type, options: dict) -> dict:
    """Removes the fields of the dataclass `kind` from `options` and returns them."""
    return {f.name: options.pop(f.name) for f in dataclasses.fields(kind) if f.name in options}
