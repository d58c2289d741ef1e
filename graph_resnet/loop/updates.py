"""Runs a graph's training op, tracks the global step, and measures training batches."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.data import steps
from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints, feeds, graphs
from graph_resnet.loop.feeds import FeedFunction
from graph_resnet.loop.graph_to_train import GraphToTrain


@dataclass(frozen=True)
class Update:
    """The result of one update."""

    step: int  # the global step after it
    record: dict  # "loss" of its batch, before the update; if measured, also accuracy, learning rate, images/s
    seconds: float  # duration of the update
    mean_seconds: float  # mean duration since the clock was started
    summary: bytes | None = None  # serialized summaries of its batch


class Updates:
    """Runs the updates of a graph.

    Args:
      graph: built in the default graph, which is not finalized yet.

    Attributes:
      plain: whether each update adds one to the global step. Some training ops do not: one that calls `minimize` twice
        adds two, one that accumulates gradients adds one every few updates.
      images: int, in a training batch; None if not known.
      steps_an_epoch: float, None if not known.
      ops: all ops that an update or a measurement runs.
    """

    def __init__(self, graph: GraphToTrain):
        self._step = steps.global_step()
        step_op = graphs.source(_handle(self._step))
        moves = [always for variable, always in _assignments(graph.train_op) if variable is step_op]
        self.plain = moves in ([], [True])
        # Batches so far; an extra variable (which changes checkpoints) only if the global step does not count them.
        self._made = self._step if self.plain else _counter()
        with tf.control_dependencies([graph.train_op]):
            op = graph.train_op if moves else tf.assign_add(self._step, 1, name="count_step").op
            counted = [] if self.plain else [tf.assign_add(self._made, 1).op]
        with tf.control_dependencies([op]):
            self._fetches = {"op": [op, *counted], "step": self._step.read_value(), "loss": graph.train_loss}
        measured = {"loss": graph.train_loss, "accuracy": graph.train_acc}
        self._measured = {name: tensor for name, tensor in measured.items() if tensor is not None}
        rate = math.nan if graph.learning_rate is None else graph.learning_rate
        self._rate = {"learning_rate": tf.convert_to_tensor(rate)}
        self._is_training, self._feeds = graph.is_training, FeedFunction("feed_fn", graph.feed_fn)
        training, measuring = graphs.ancestors(graph.train_op), graphs.ancestors(*self._measured.values())
        self.ops = training | measuring
        flag = graph.is_training
        self._batch = [] if flag is None else graphs.batch(training, measuring, flag)
        read = graphs.streams(self.ops)
        shuffled = [stream for stream in read if not stream.in_order]
        self._shuffled = [stream for stream in shuffled if stream.start is not None]
        stream = next(iter(shuffled or read), None)
        self.images = stream and stream.batch_size
        self.steps_an_epoch = stream and stream.images / stream.batch_size

    def step_now(self, session: tf.Session) -> int:
        """The global step."""
        return int(session.run(self._step))

    def step_in(self, checkpoint: str) -> int:
        """The global step that a checkpoint of this graph holds."""
        return checkpoints.step_of(checkpoint, self._step.op.name)

    def rewind(self, session: tf.Session) -> None:
        """Moves the shuffled streams to the batch of the next update, after a measurement or a restore."""
        if self._shuffled:
            made = session.run(self._made)
            session.run([stream.restart for stream in self._shuffled], {s.start: made for s in self._shuffled})

    def start_clock(self) -> None:
        self._since, self._updates = time.perf_counter(), 0

    def run(self, session, step: int, measure: bool, summary_op: tf.Tensor | None = None) -> Update:
        """Runs the update of global step `step`.

        Args:
          session: tf.train.SingularMonitoredSession.
          step: the global step.
          measure: whether to measure the batch.
          summary_op: summaries to fetch with the update.

        Raises:
          tf.errors.OutOfRangeError, StopIteration: the data ended.
          UserError: a placeholder is not fed, or a loss is not one number.
        """
        begun, feed, result = time.perf_counter(), self._feeds(step), {}
        training = {} if self._is_training is None else {self._is_training: True}
        fetches = {**self._fetches} if summary_op is None else {**self._fetches, "summary": summary_op}
        if measure:
            fetches |= self._rate
            if self._is_training is None:
                fetches |= self._measured
        with feeds.named("feed_fn"):
            if measure and self._is_training is not None:
                raw = session.raw_session()
                result, batch = raw.run((self._measured, self._batch), {self._is_training: False, **feed})
                self.rewind(raw)  # the update gets the same batch, either anew or fed
                training |= zip(self._batch, batch, strict=True)
            result = {**session.run(fetches, {**training, **feed}), **result}
        now = time.perf_counter()
        self._updates += 1
        del result["op"]
        step, summary = int(result.pop("step")), result.pop("summary", None)
        record = {name: number(f"train_{name}", value) for name, value in result.items()}
        mean = (now - self._since) / self._updates
        if measure:
            self.start_clock()
            rate = record.pop("learning_rate")
            if not math.isnan(rate):
                record["learning_rate"] = float(f"{rate:.6g}")
            if self.images:
                record["images_per_second"] = round(self.images / mean, 2)
        return Update(step, record, now - begun, mean, summary)


def _counter():
    """The int64 variable that counts updates; saved with the others, and created once per graph."""
    with tf.variable_scope(tf.VariableScope(reuse=tf.AUTO_REUSE), auxiliary_name_scope=False):
        return tf.get_variable("session_loop/updates", initializer=tf.zeros([], tf.int64), trainable=False)


def _assignments(train_op):
    return graphs.assignments(graphs.ancestors(train_op))


def _handle(variable):
    """The handle (or reference) tensor of a variable."""
    return variable.handle if hasattr(variable, "handle") else variable.op.outputs[0]


def number(name: str, value: np.ndarray) -> float:
    """A measured value as a number.

    Raises:
      UserError: it is not one number.
    """
    if np.size(value) != 1:
        raise UserError(f"{name}: has shape {np.shape(value)}, must be a scalar; pass tf.reduce_mean of it")
    return float(np.reshape(value, []))
