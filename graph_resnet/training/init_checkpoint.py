"""Initializes a net with another net's weights: all of them, or those outside some scopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError
from graph_resnet.inference import restore
from graph_resnet.loop import checkpoints
from graph_resnet.training.graph import check_scope

import tf_slim as slim  # isort: skip  (graph_resnet.inference.restore made it importable)


class InitialWeights:
    """Sets the net's variables from a checkpoint when a run starts; call it with a session.

    It sets only the net's variables in the default graph, not the optimizer's or the global step.

    Args:
      checkpoint: a prefix, one of its files, or a train dir.
      exclude_scopes: prefixes of variables that keep their initial values, such as 'resnet/classification'.
      say: called with a line for each newer checkpoint that cannot be read.

    Raises:
      UserError: variables are missing or have another shape (the line names the flag that helps), or a scope to
        exclude has no variables, or has all of them.
    """

    def __init__(self, checkpoint: str, exclude_scopes: Sequence[str] = (), say: Callable[[str], object] = print):
        model = checkpoints.saved_as(slim.get_model_variables())
        for scope in exclude_scopes:
            check_scope(scope, list(model), "--exclude-scopes")
        self.prefix = restore.find_checkpoint(None, checkpoint, say, flag="--init-checkpoint")
        taken = {name: value for name, value in model.items() if not name.startswith(tuple(exclude_scopes))}
        if not taken:
            raise UserError(
                f"--exclude-scopes {' '.join(exclude_scopes)}: that excludes the whole net, so nothing is read from "
                f"{self.prefix}; exclude less, or drop --init-checkpoint"
            )
        checkpoints.check_fit(self.prefix, taken, lambda misfits: _help(set(misfits), set(taken)))
        self._saver, self._taken, self._left = tf.train.Saver(taken), len(taken), sorted(model.keys() - taken.keys())

    def __call__(self, session: tf.Session) -> None:
        checkpoints.restore(session, self._saver, self.prefix)

    def __str__(self):
        left = f"; {len(self._left)} start new: {', '.join(self._left[:4])}" if self._left else ""
        more = f" and {len(self._left) - 4} more" if len(self._left) > 4 else ""
        return f"{self._taken} variables of {self.prefix}{left}{more}"


def _help(misfits, names):
    """Advice if `misfits`, some of the variables `names`, do not fit: the fewest scopes to exclude that hold all of
    them and no variable that fits."""
    fitting = names - misfits
    if not fitting:
        return "It belongs to another net: pass another --init-checkpoint"

    def scope_of(name):
        while "/" in name and not any(other.startswith(name.rpartition("/")[0] + "/") for other in fitting):
            name = name.rpartition("/")[0]
        return name

    scopes = " ".join(sorted({scope_of(name) for name in misfits}))
    return f"To initialize these randomly: --exclude-scopes {scopes}"
