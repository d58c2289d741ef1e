"""Precise batch norm: recomputes the moving averages from training batches at the current weights.

Moving averages lag behind weights that still change fast. Y. Wu, J. Johnson: Rethinking "batch" in batch normalization,
arXiv:2105.07576, 2021, section 3, computes them before an evaluation from N batches at fixed weights instead: the mean
is the mean of the batch means, the variance the mean of the batch variances plus the variance of the batch means.

This works with any graph, whichever op computes the statistics. An update replaces a moving average m by
d * m + (1 - d) * b, with b the batch's statistic. One update from a huge m gives d; an update from m = 0 gives b.
"""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError
from graph_resnet.loop import feeds, graphs
from graph_resnet.loop.graph_to_train import GraphToTrain

_MEAN, _VARIANCE = "moving_mean", "moving_variance"
_HUGE = 2.0**40  # b is negligible compared to it; a power of two loses no digits


class PreciseBatchNorm:
    """Recomputes the moving averages of a graph from `graph.precise_batch_norm` training batches.

    Args:
      graph: built in the default graph, which is not finalized yet. Its training op runs the UPDATE_OPS.
      cluster: `distributed.cluster.Cluster` if each worker reads a part of each batch, or None.

    Raises:
      UserError: the training op updates no moving average.
    """

    def __init__(self, graph: GraphToTrain, cluster=None):
        needed = graphs.ancestors(graph.train_op)
        ops = [tf.group(op) for op in tf.get_collection(tf.GraphKeys.UPDATE_OPS) if _op(op) in needed]
        self._update = tf.group(ops)
        read = graphs.ancestors(self._update)
        updated = {op for op, _ in graphs.assignments(read)}
        variables = {v.op.name: v for v in tf.global_variables() if v.op in updated}
        names = [name.removesuffix(_MEAN) for name in variables if name.endswith(_MEAN)]
        names = [name for name in names if name + _VARIANCE in variables]
        if not names:
            raise UserError(
                "precise_batch_norm: the training op updates no moving averages; run UPDATE_OPS as its control "
                "dependencies, or leave precise_batch_norm at 0"
            )
        self._batches = graph.precise_batch_norm
        self._feeds = feeds.FeedFunction("feed_fn", graph.feed_fn)
        self._training = {} if graph.is_training is None else {graph.is_training: True}
        self._restart = [stream.restart for stream in graphs.streams(read) if not stream.in_order]
        self._averages = [variables[name + kind] for name in names for kind in (_MEAN, _VARIANCE)]
        self._values = [tf.placeholder(tf.float32, v.shape) for v in self._averages]
        self._assign = tf.group(*(tf.assign(v, value) for v, value in zip(self._averages, self._values)))
        self._fills = [tf.group(*(tf.assign(v, tf.fill(v.shape, x)) for v in self._averages)) for x in (0.0, _HUGE)]
        self._over_workers = cluster.average(self._values) if cluster else None

    def run(self, session: tf.Session, step: int) -> None:
        """Sets the averages, then returns the training stream to where it was.

        Batches that come neither from `data.batches` nor from a `feed_fn` are consumed. If they end, or anything else
        fails, the averages stay as they were.

        Args:
          session: a tf.Session.
          step: the global step, for the graph's `feed_fn`.
        """
        before = session.run(self._averages)
        try:
            means = self._measured(session, step)
        except BaseException:
            session.run(self._assign, dict(zip(self._values, before)))
            raise
        session.run(self._assign, dict(zip(self._values, means)))
        session.run(self._restart)

    def _measured(self, session, step):
        """The averages over the batches; the variables have other values afterwards."""
        session.run(self._restart)
        rates = [1 - float(value.flat[0]) / _HUGE for value in self._updated(session, 1, step)]  # 1 - d
        session.run(self._restart)
        total = [np.zeros(v.shape) for v in self._averages]
        square = [np.zeros(v.shape) for v in self._averages[::2]]
        for i in range(self._batches):
            statistics = [value / rate for value, rate in zip(self._updated(session, 0, step + i), rates)]
            total = [a + b for a, b in zip(total, statistics)]
            square = [a + b**2 for a, b in zip(square, statistics[::2])]
        # E[x**2] = variance + mean ** 2 can be averaged over batches and workers; the variance cannot.
        means = [a / self._batches for a in total]
        means[1::2] = [variance + a / self._batches for variance, a in zip(means[1::2], square)]
        if self._over_workers is not None:
            means = session.run(self._over_workers, dict(zip(self._values, means)))
        means[1::2] = [np.maximum(v - np.square(m), 0) for m, v in zip(means[::2], means[1::2])]
        return means

    def _updated(self, session, start, step):
        """The moving averages, float32 arrays, after one batch's update from 0 (`start` 0) or `_HUGE` (`start` 1)."""
        session.run(self._fills[start])
        with feeds.named("feed_fn"):
            session.run(self._update, {**self._training, **self._feeds(step)})
        return session.run(self._averages)


def _op(item):
    """The op of an item of UPDATE_OPS, which may be an op or a tensor."""
    return item if isinstance(item, tf.Operation) else item.op
