"""The global step of a v1 graph, which names a run's checkpoints and gives its place in the training data."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError


def global_step() -> tf.Variable:
    """The default graph's global step; created if there is none.

    It is the one in the collection GLOBAL_STEP, else the one that is named `global_step`, else the one that is named so
    in a scope. Afterwards it is the only one in the collection, so that TensorFlow's hooks find the same one.

    Raises:
      UserError: several variables qualify, or it is not a saved whole number.
    """
    graph = tf.get_default_graph()
    collection = graph.get_collection_ref(tf.GraphKeys.GLOBAL_STEP)
    variables = {variable.op: variable for variable in tf.global_variables()}
    for step in collection:
        if not hasattr(step, "op"):
            raise UserError(f"global step: {step!r} in the collection tf.GraphKeys.GLOBAL_STEP is not a variable")
    ops = {step.op for step in collection} or _named(variables)
    if not ops:
        return tf.train.get_or_create_global_step()
    names = sorted(op.name for op in ops)
    if len(ops) > 1:
        raise UserError(
            f"global step: {' and '.join(names)} could be it; pass one of them to minimize() and leave only that one "
            "in the collection tf.GraphKeys.GLOBAL_STEP (create it before the data)"
        )
    step = variables.get(*ops)
    if step is None:
        raise UserError(f"global step: {names[0]} is not among tf.global_variables(), so it would not be saved")
    if not step.dtype.is_integer or step.shape.rank != 0:
        raise UserError(
            f"global step: {names[0]} is {step.dtype.base_dtype.name} of shape {step.shape}; make it a tf.int64 scalar"
        )
    collection[:] = [step]
    return step


def _named(variables):
    """The ops of the variables that are named like a global step."""
    known = [*variables, *(variable.op for variable in tf.local_variables())]
    named = {op for op in known if op.name.rpartition("/")[2] == "global_step"}
    return {op for op in named if op.name == "global_step"} or named
