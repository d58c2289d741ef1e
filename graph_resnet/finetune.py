"""Starting from another net's weights: all of them, or those outside some scopes."""

import re

import tensorflow.compat.v1 as tf

from graph_resnet import restore
from graph_resnet.graph import check_scope
from utils import checkpoints
from utils.errors import UserError

import tf_slim as slim  # isort: skip  (graph_resnet.restore made it importable)


def initializer(checkpoint, exclude_scopes=()):
    """What sets the variables of the default graph's net from a checkpoint when a run begins.

    Args:
      checkpoint: a prefix, one of its files, or a train dir.
      exclude_scopes: prefixes of variables that start anew, such as 'resnet/classification'.

    Returns:
      function(session).

    Raises:
      UserError: a variable is missing or has another shape (all are listed, with the flag that helps), or a scope to
        exclude is of no variable.
    """
    model = [variable.op.name for variable in slim.get_model_variables()]
    for scope in exclude_scopes:
        check_scope(scope, model, "--exclude-scopes")
    prefix = restore.find_checkpoint(None, checkpoint)
    # Of the net alone: neither the optimizer's variables nor the global step.
    patterns = [re.escape(scope) for scope in exclude_scopes]
    wanted = slim.filter_variables(slim.get_model_variables(), exclude_patterns=patterns, reg_search=False)
    with checkpoints.reading(prefix) as reader:
        shapes = reader.get_variable_to_shape_map()
    faults = []
    for variable in wanted:
        name, shape = variable.op.name, variable.shape.as_list()
        if name not in shapes:
            faults.append(f"{name} is not in it")
        elif shapes[name] != shape:
            faults.append(f"{name} is {shapes[name]} there, {shape} here")
    if faults:
        scopes = sorted({fault.split(" ")[0].rpartition("/")[0] for fault in faults})
        raise UserError(
            f"checkpoint {prefix} does not fit: {'; '.join(faults)}. To start these anew: "
            f"--exclude-scopes {' '.join(scopes)}"
        )
    saver = tf.train.Saver(wanted)
    return lambda session: checkpoints.restore(session, saver, prefix)
