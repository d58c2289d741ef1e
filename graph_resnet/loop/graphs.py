"""What is looked up in a v1 graph."""

import tensorflow.compat.v1 as tf


def first(collection):
    """The first item of a collection of the default graph, or None."""
    return next(iter(tf.get_collection(collection)), None)


def ancestors(fetch):
    """All ops that have to run for an op or tensor."""
    todo, seen = [fetch if isinstance(fetch, tf.Operation) else fetch.op], set()
    while todo:
        op = todo.pop()
        if op not in seen:
            seen.add(op)
            todo += [tensor.op for tensor in op.inputs]
            todo += op.control_inputs
    return seen
