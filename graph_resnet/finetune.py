"""Starting from another net's weights: all of them, or those outside some scopes; and training only some scopes."""

import tensorflow.compat.v1 as tf

from graph_resnet import restore
from utils.errors import UserError

import tf_slim as slim  # isort: skip  (graph_resnet.restore made it importable)


def initializer(checkpoint, exclude_scopes=()):
    """What sets a net's variables from a checkpoint when a run begins. Call it before the optimizer adds its own.

    Args:
      checkpoint: a prefix, one of its files, or a train dir.
      exclude_scopes: prefixes of variables that start anew, such as 'resnet/classification'.

    Returns:
      function(session).

    Raises:
      UserError: a variable is missing or has another shape (all are listed, with the flag that helps), or a scope to
        exclude is of no variable.
    """
    known = [variable.op.name for variable in slim.get_model_variables()]
    for scope in exclude_scopes:
        check_scope(scope, known, "--exclude-scopes")
    prefix = restore.find_checkpoint(None, checkpoint)
    wanted = slim.get_variables_to_restore(exclude=["global_step", *exclude_scopes])
    shapes = tf.train.NewCheckpointReader(prefix).get_variable_to_shape_map()
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
    return slim.assign_from_checkpoint_fn(prefix, wanted)


def trainable(scopes):
    """The trainable variables under some scopes, all of them for no scopes.

    Raises:
      UserError: a scope has none.
    """
    variables = tf.trainable_variables()
    for scope in scopes:
        check_scope(scope, [variable.op.name for variable in variables], "--trainable-scopes")
    return [v for v in variables if not scopes or v.op.name.startswith(tuple(scopes))]


def check_scope(scope, names, flag):
    """Refuses a scope under which there is no variable: a typing error would pass unnoticed otherwise."""
    if not any(name.startswith(scope) for name in names):
        tops = sorted({"/".join(name.split("/")[:2]) for name in names})
        raise UserError(f"{flag} {scope}: no variable begins with it; there are {', '.join(tops)}")
