"""Two silent mistakes with slim's batch norm: UPDATE_OPS that never run, and UPDATE_OPS that leak validation data."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from graph_resnet.loop import graphs
from graph_resnet.loop.graph_to_train import GraphToTrain

LEAK = (
    "warning: each training step also reads a validation batch and adds it to batch norm's moving averages: "
    "collect UPDATE_OPS before the validation tower is built"
)
FORGOTTEN = """warning: the training op never updates {} of batch norm's moving averages, which evaluation uses; fix:
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):  # before the validation tower is built
        train_op = optimizer.minimize(loss, global_step)"""
# Op types that two towers of one net may share.
_SHARED = {"Const", "Placeholder", "PlaceholderWithDefault", "ReadVariableOp", "VarIsInitializedOp"}


def warnings(graph: GraphToTrain, leaks: bool) -> list[str]:
    """What to tell the user; `leaks` is whether the training op reads validation batches."""
    missing = forgotten(graph)
    return [*([LEAK] if leaks else []), *([FORGOTTEN.format(missing)] if missing else [])]


def forgotten(graph: GraphToTrain) -> int:
    """The number of variables that the training tower's UPDATE_OPS update but the training op does not.

    A variable counts as updated if any of its update ops runs with the training op. An update op belongs to the
    training tower if it depends on an op that the training loss also depends on.
    """
    with graph.graph.as_default():
        trained, measured = graphs.ancestors(graph.train_op), graphs.ancestors(graph.train_loss)
        tower = {op for op in measured if op.inputs and op.type not in _SHARED and not _reads_input(op)}
        updated, missing = {op for op, _ in graphs.assignments(trained)}, set()
        for update in tf.get_collection(tf.GraphKeys.UPDATE_OPS):
            ops = graphs.ancestors(update)
            if ops & tower:
                missing |= {op for op, _ in graphs.assignments(ops)} - updated
    return len(missing)


def _reads_input(op):
    """Whether an op only reads a batch, which both towers may use."""
    return op.type.startswith("IteratorGetNext")
