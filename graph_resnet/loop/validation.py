"""Evaluates a graph: on the whole validation set, each image once, if the data ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError
from graph_resnet.loop import feeds, graphs
from graph_resnet.loop.feeds import FeedFunction
from graph_resnet.loop.graph_to_train import GraphToTrain
from graph_resnet.loop.iterators import Pass
from graph_resnet.loop.progress import bar_options, tqdm
from graph_resnet.loop.updates import number


class NoBatchError(UserError):
    """The validation data ended before its first batch."""


class Validation:
    """Evaluates `val_loss`, `val_acc` and `val_confusion` of a graph.

    One evaluation covers:
      - a registered stream (`load_data`, or any other: see `data.streams`): one pass, each image once;
      - `val_feed_fn`: its feeds until it ends, see `FeedFunction.batches`;
      - a finite Dataset with its own iterator: one pass. It is restarted for each evaluation;
      - anything else: one batch.
    `val_batches` limits each of them. Means are weighted by the images of each batch if their number is known.

    Args:
      graph: built in the default graph, which is not finalized yet.

    Attributes:
      leaks: whether the training op reads validation batches.
      moves_training: whether an evaluation reads training batches, so that the training streams must be rewound.
    """

    def __init__(self, graph: GraphToTrain):
        self._means = {"loss": graph.val_loss, "accuracy": graph.val_acc}
        self._means = {name: tensor for name, tensor in self._means.items() if tensor is not None}
        matrix = graph.val_confusion
        self._matrix = {} if matrix is None else {"confusion": tf.cast(matrix, tf.int64)}
        # An identity, because TensorFlow's bfloat16 rewrite keeps fetched tensors in float32: fetching the logits
        # themselves would change the loss.
        self._logits = {} if graph.val_logits is None else {"logits": tf.identity(graph.val_logits)}
        self._feed = {} if graph.is_training is None else {graph.is_training: False}
        self._feeds = FeedFunction("val_feed_fn", graph.val_feed_fn)
        self._most, self._passes, self._streams, self._said = graph.val_batches, [], [], False
        ops = graphs.ancestors(*self._means.values(), *self._matrix.values())
        trained, measured = graphs.ancestors(graph.train_op), graphs.ancestors(graph.train_loss)
        read = graphs.streams(ops)
        self._streams = [stream for stream in read if stream.in_order]
        if len({(stream.images, stream.batch_size) for stream in self._streams}) > 1:
            raise UserError(
                "val_loss: depends on validation sets of "
                + " and ".join(f"{stream.images} images" for stream in self._streams)
                + "; evaluate one of them"
            )
        foreign = {op for op in ops if op.type.startswith("IteratorGetNext")} - {s.labels.op for s in read}
        if not self._streams and not self._feeds:
            self._passes = [Pass(op) for op in sorted(foreign - measured, key=lambda op: op.name)]
        validation_only = {stream.labels.op for stream in self._streams} | (foreign - measured)
        self.leaks = bool(validation_only & trained - measured)
        self.moves_training = any(not stream.in_order and stream.labels.op in trained for stream in read)
        self._shared = [Pass(op) for op in sorted(foreign & measured, key=lambda op: op.name)]
        self._restart = [stream.restart for stream in self._streams]
        self._restart += [data.restart for data in self._passes if data.restart is not None]
        sizes = [tf.size(stream.labels) for stream in self._streams[:1]]
        sizes += [data.leading for data in self._passes if data.leading is not None]
        assigned = {variable for variable, _ in graphs.assignments(ops)}
        counters = [v for v in tf.get_collection(tf.GraphKeys.METRIC_VARIABLES) if v.op in assigned]
        # tf.metrics counts on from one evaluation to the next.
        self._reset = [v.initializer for v in counters]
        self._sizes = tf.concat([tf.reshape(size, [-1]) for size in sizes], 0) if sizes else None

    def __bool__(self) -> bool:
        return bool(self._means)

    def run(
        self, session: tf.Session, between_batches: Callable[[], None] = lambda: None, say=print, over=False
    ) -> dict:
        """Runs one evaluation.

        Args:
          session: a tf.Session of the graph.
          between_batches: called before each batch; an exception from it ends the evaluation.
          say: called with a line if only one batch of endless data is measured.
          over: whether training is over. If so, iterators that training uses too may be restarted.

        Returns:
          {"loss": nats, "accuracy": 0..1}, each if the graph has it; "images": how many, if the data ends and it is
          known; "confusion": int64 [C, C]; "logits": float [images, C], in the order of the data.

        Raises:
          NoBatchError: the data ended before the first batch.
          UserError: a feed is wrong.
        """
        ends = self._has_an_end(session, say)
        most = self._most or (None if ends else 1)
        self.restart(session)
        if over:
            session.run([data.restart for data in self._shared if data.restart is not None])
        expected = self._streams[0].images if self._streams and self._most is None else None
        results, counts, matrices, rows = [], [], {}, []
        fetches = [self._means, self._matrix, self._logits, [] if self._sizes is None else self._sizes]
        with tqdm(total=expected, desc="evaluation", unit="image", leave=False, **bar_options()) as bar:
            for feed in itertools.islice(self._batches(), most):
                if expected is not None and sum(counts) >= expected:
                    break
                between_batches()
                if self._reset:
                    session.run(self._reset)
                try:
                    with feeds.named("val_feed_fn"):
                        means, matrix, logits, sizes = session.run(fetches, {**self._feed, **feed})
                except tf.errors.OutOfRangeError:
                    break
                results.append(means)
                rows += logits.values()
                counts.append(feeds.count(feed) if self._feeds else _only(sizes))
                matrices = {name: cells + matrices.get(name, 0) for name, cells in matrix.items()}
                bar.update(counts[-1] or 1)
        if not results:
            raise NoBatchError(
                "val_loss: its data ended before the first batch; it must start again for each evaluation (use an "
                "initializable iterator, or a val_feed_fn that starts again)"
            )
        if expected is not None and sum(counts) != expected:
            raise RuntimeError(f"evaluated {sum(counts)} images of {expected}")
        images = {"images": sum(counts)} if ends and None not in counts else {}
        weights = [1] * len(counts) if None in counts else counts
        means = {name: _mean([number(f"val_{name}", r[name]) for r in results], weights) for name in self._means}
        return {**means, **images, **matrices, **({"logits": np.concatenate(rows)} if rows else {})}

    def restart(self, session: tf.Session) -> None:
        """Lets the validation data begin again."""
        session.run(self._restart)

    def _has_an_end(self, session, say):
        """Whether to evaluate all of the data, not only one batch."""
        if self._streams or self._feeds:
            return True
        ends = [data.ends(session) for data in self._passes]
        if self._passes and not any(ends) and self._most is None and not self._said:
            self._said = True
            say("[val]: the validation data never ends: measuring one batch; pass val_batches=N for more")
        return any(ends)

    def _batches(self):
        return self._feeds.batches(self._most) if self._feeds else itertools.repeat({})


def _mean(values, weights):
    total = 0.0
    for value, weight in zip(values, weights):
        total += value * weight
    return total / sum(weights)


def _only(sizes):
    """The common value of all sizes, None if they differ."""
    return int(sizes[0]) if len(sizes) and (sizes == sizes[0]).all() else None
