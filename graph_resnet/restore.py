"""A trained net, brought back: which checkpoint, the tower that evaluates, and its weights."""

from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet import graph
from utils import checkpoints, cifar10_input
from utils.errors import UserError

SHOWN = 4  # keys of each kind in an error


def find_checkpoint(directory, path=None, say=print):
    """The prefix of the checkpoint to load: such as 'runs/notebook/model.ckpt-20000'.

    Args:
      directory: the train dir, whose newest whole checkpoint is taken where `path` is None.
      path: a prefix, one of the files that begin with it, or another directory.
      say: called with a line for each newer one that cannot be read.

    Raises:
      UserError: there is none, or none that can be read.
    """
    if path is None or Path(path).is_dir():
        return _newest_whole(directory if path is None else path, say)
    prefix = str(path)
    for ending in (".index", ".meta", ".data-00000-of-00001"):
        prefix = prefix.removesuffix(ending)
    if not Path(prefix + ".index").is_file():
        raise UserError(
            f"checkpoint {path}: no file {prefix}.index; pass a prefix such as runs/notebook/model.ckpt-20000"
        )
    why = checkpoints.fault(prefix)
    if why is not None:
        raise UserError(f"checkpoint {prefix}: cannot be read ({why}); pass another --checkpoint")
    return prefix


def _newest_whole(directory, say):
    steps = checkpoints.steps(directory)
    for step in steps:
        prefix = checkpoints.prefix(directory, step)
        why = checkpoints.fault(prefix)
        if why is None:
            return prefix
        say(f"[checkpoint]: {prefix} cannot be read ({why}): trying the one before")
    what = "none of its checkpoints can be read" if steps else "it holds no checkpoint"
    raise UserError(f"{directory}: {what}; train longer, or pass --checkpoint PATH")


def step_of(checkpoint):
    """The global step at which a checkpoint was written, None where it does not say."""
    with checkpoints.reading(checkpoint) as reader:
        step = reader.get_tensor("global_step") if reader.has_tensor("global_step") else None
    return int(step) if isinstance(step, np.integer) else None


def logits(trained, images, reuse=None):
    """The net of a `Trained` on what `cifar10_input` yields, as evaluation has it: float32 [B, num_classes]."""
    return graph.logits(trained.recipe, images, len(trained.class_names), is_training=False, reuse=reuse)


def logits_of_pictures(trained, images):
    """The same, of pictures: uint8 [B, H, W, 3] of any one size, which need not be known."""
    recipe = trained.recipe
    return logits(trained, cifar10_input.prepared(images, recipe.image_size, recipe.mean, recipe.std))


def load(session, checkpoint):
    """Restores the variables of the session's graph, and of the checkpoint nothing else.

    Raises:
      UserError: one line with the variables that are missing or have another shape.
    """
    with session.graph.as_default():
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        with checkpoints.reading(checkpoint) as reader:
            shapes = reader.get_variable_to_shape_map()
        missing = sorted(variables.keys() - shapes.keys())
        others = [
            f"{name} ({_by(shapes[name])} instead of {_by(variables[name].shape)})"
            for name in sorted(variables.keys() & shapes.keys())
            if shapes[name] != variables[name].shape
        ]
        if missing or others:
            lines = [("lacks", missing), ("has another shape for", others)]
            why = " and ".join(f"{what} {_some(names)}" for what, names in lines if names)
            raise UserError(f"checkpoint {checkpoint}: {why}; pass a --checkpoint of this train dir's net")
        try:
            checkpoints.restore(session, tf.train.Saver(variables), checkpoint)
        except (tf.errors.OpError, ValueError) as error:
            raise UserError(f"checkpoint {checkpoint}: cannot be restored ({str(error).splitlines()[0]})") from error


def _some(names):
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _by(shape):
    return "x".join(map(str, shape)) or "scalar"
