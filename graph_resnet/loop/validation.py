"""Evaluation of a graph: over the whole validation set, each image once."""

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from graph_resnet.data import batches
from graph_resnet.loop import graphs


class Validation:
    """Evaluation over the whole validation set of `cifar10_input`: from its first image, each image once.

    Args:
      loss, accuracy: scalars, means over a validation batch.
      is_training: placeholder to feed False, or None.
      confusion: int [C, C] of a validation batch, see `train_with_bn`, or None.

    A loss that does not come from `cifar10_input` is measured over one batch.
    """

    def __init__(self, loss, accuracy, is_training=None, confusion=None):
        self._means = [loss, accuracy]
        self._matrix = {} if confusion is None else {"confusion": tf.cast(confusion, tf.int64)}
        self._feed = None if is_training is None else {is_training: False}
        self._labels = graphs.first(batches.VALIDATION_LABELS)
        if self._labels is not None and not self.feeds(loss):
            self._labels = None
        if self._labels is not None:
            self._count = tf.size(self._labels)
            self._restart = graphs.first(batches.VALIDATION_INITIALIZER)
            self._size = int(tf.get_static_value(graphs.first(batches.VALIDATION_SIZE)))

    def feeds(self, consumer):
        """Whether an op or tensor pulls validation batches."""
        return self._labels is not None and self._labels.op in graphs.ancestors(consumer)

    def run(self, session, between_batches=lambda: None):
        """Returns {"loss", "accuracy"}; of a whole set also "images", how many; "confusion" if asked for."""
        if self._labels is None:
            (loss, accuracy), matrix = session.run([self._means, self._matrix], self._feed)
            return {"loss": float(loss), "accuracy": float(accuracy), **matrix}
        session.run(self._restart)
        totals, seen, matrices = [0.0, 0.0], 0, {}
        with tqdm(total=self._size, desc="evaluation", unit="image", leave=False, disable=None) as bar:
            while seen < self._size:
                between_batches()
                means, matrix, count = session.run([self._means, self._matrix, self._count], self._feed)
                totals = [total + float(mean) * int(count) for total, mean in zip(totals, means)]
                matrices = {name: each + matrices.get(name, 0) for name, each in matrix.items()}
                seen += int(count)
                bar.update(int(count))
        if seen != self._size:
            raise RuntimeError(f"evaluated {seen} images of {self._size}")
        loss, accuracy = (total / seen for total in totals)
        return {"loss": loss, "accuracy": accuracy, "images": seen, **matrices}
