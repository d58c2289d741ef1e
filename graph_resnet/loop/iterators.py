"""Iterators that the caller built: how to restart one for another pass, and whether a pass ends."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from graph_resnet.loop import graphs


class Pass:
    """One `get_next` of an iterator that the loop did not build.

    Args:
      get_next: op of type IteratorGetNext.

    Attributes:
      restart: op that restarts the iterator, None if the graph has no initializer for it, or several for different
        datasets.
      leading: int tensor, the first dimension of each component of the current batch; None if a component is a scalar
        (no batch dimension).
    """

    def __init__(self, get_next: tf.Operation):
        iterator = graphs.source(get_next.inputs[0])
        if iterator.type == "OneShotIterator":
            iterator = _initializable(iterator)
        makers = [op for op in tf.get_default_graph().get_operations() if op.type == "MakeIterator"]
        makers = [op for op in makers if graphs.source(op.inputs[1]) is iterator]
        datasets = {op.inputs[0].ref() for op in makers}
        self.restart = makers[0] if len(datasets) == 1 else None
        self._cardinality, self._repeats = None, False
        if self.restart is not None:
            dataset = self.restart.inputs[0]
            self._cardinality = tf.raw_ops.DatasetCardinality(input_dataset=dataset)
            self._repeats = any(map(_repeats_for_ever, graphs.ancestors(dataset)))
        components = [tensor for tensor in get_next.outputs if tensor.dtype != tf.variant]
        self.leading = None
        if components and all(tensor.shape.rank != 0 for tensor in components):
            # A component of unknown rank may be a scalar: 1.
            self.leading = tf.stack([tf.concat([tf.shape(tensor), [1]], 0)[0] for tensor in components])

    def ends(self, session: tf.Session) -> bool:
        """Whether the data ends, as far as TensorFlow can tell."""
        if self.restart is None or self._repeats:
            return False
        return int(session.run(self._cardinality)) != tf.data.experimental.INFINITE_CARDINALITY


def _repeats_for_ever(op):
    if op.type != "RepeatDataset":
        return False
    count = tf.get_static_value(op.inputs[1])
    return count is not None and count < 0


def _initializable(one_shot):
    """Replaces a one-shot iterator, which cannot be restarted, with an initializable one over the same data."""
    dataset = tf.raw_ops.StatefulPartitionedCall(
        args=[], Tout=[tf.variant], f=one_shot.get_attr("dataset_factory").name
    )[0]
    iterator = tf.raw_ops.IteratorV2(
        shared_name="",
        container="",
        output_types=one_shot.get_attr("output_types"),
        output_shapes=one_shot.get_attr("output_shapes"),
    )
    make = tf.raw_ops.MakeIterator(dataset=dataset, iterator=iterator)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, make)
    (handle,) = one_shot.outputs
    for op in handle.consumers():
        for i, tensor in enumerate(op.inputs):
            if tensor is handle:
                op._update_input(i, iterator)  # TensorFlow has no public way
    return iterator.op
