"""Starting from another net's weights: all of them, or those outside some scopes."""

import re

import tensorflow.compat.v1 as tf

from graph_resnet.inference import restore
from graph_resnet.loop import checkpoints
from graph_resnet.training.graph import check_scope

import tf_slim as slim  # isort: skip  (graph_resnet.inference.restore made it importable)


def initializer(checkpoint, exclude_scopes=()):
    """What sets the variables of the default graph's net from a checkpoint when a run begins.

    Args:
      checkpoint: a prefix, one of its files, or a train dir.
      exclude_scopes: prefixes of variables that start anew, such as 'resnet/classification'.

    Returns:
      function(session).

    Raises:
      UserError: variables are missing or have another shape (with the flag that helps), or a scope to exclude is of
        no variable.
    """
    model = [variable.op.name for variable in slim.get_model_variables()]
    for scope in exclude_scopes:
        check_scope(scope, model, "--exclude-scopes")
    prefix = restore.find_checkpoint(None, checkpoint, flag="--init-checkpoint")
    # Of the net alone: neither the optimizer's variables nor the global step.
    patterns = [re.escape(scope) for scope in exclude_scopes]
    wanted = slim.filter_variables(slim.get_model_variables(), exclude_patterns=patterns, reg_search=False)
    names = {variable.op.name for variable in wanted}
    checkpoints.check_fit(prefix, wanted, lambda misfits: _mend(set(misfits), names))
    saver = tf.train.Saver(wanted)
    return lambda session: checkpoints.restore(session, saver, prefix)


def _mend(misfits, names):
    """What helps where `misfits`, of the variables `names`, do not fit: the fewest scopes with all of them in it and
    nothing that fits."""
    fitting = names - misfits
    if not fitting:
        return "It is of another net: pass another --init-checkpoint"

    def scope_of(name):
        while "/" in name and not any(other.startswith(name.rpartition("/")[0] + "/") for other in fitting):
            name = name.rpartition("/")[0]
        return name

    return f"To start these anew: --exclude-scopes {' '.join(sorted({scope_of(name) for name in misfits}))}"
