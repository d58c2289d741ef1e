"""Two mistakes with slim's batch norm that no error shows: UPDATE_OPS that never run, and UPDATE_OPS that leak."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from graph_resnet.loop import graphs
from graph_resnet.loop.graph_to_train import GraphToTrain

LEAK = (
    "warning: the training op pulls a validation batch at every step and folds it into batch norm's moving averages: "
    "collect UPDATE_OPS before the validation tower is built"
)
FORGOTTEN = """warning: the training op never updates {} of the moving averages that batch norm evaluates with; fix:
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):  # before the validation tower is built
        train_op = optimizer.minimize(loss, global_step)"""
# What two towers of one net share without one being part of the other.
_SHARED = {"Const", "Placeholder", "PlaceholderWithDefault", "ReadVariableOp", "VarIsInitializedOp"}


def forgotten(graph: GraphToTrain) -> int:
    """How many variables the UPDATE_OPS of the training tower would update while the training op does not.

    A variable counts as updated if any of its update ops runs with the training op. An update op is the training
    tower's if it needs something that the training loss needs too.
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
    """Whether an op only yields a batch, which both towers may be built on."""
    return op.type.startswith("IteratorGetNext")
