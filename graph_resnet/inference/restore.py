"""A trained net, brought back: which checkpoint, the tower that evaluates, and its weights."""

from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet import tower
from graph_resnet.data import batches
from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints


def find_checkpoint(directory, path=None, say=print, flag="--checkpoint"):
    """The prefix of the checkpoint to load: such as 'runs/notebook/model.ckpt-20000'.

    Args:
      directory: the train dir, whose newest whole checkpoint is taken where `path` is None.
      path: a prefix, one of the files that begin with it, or another directory.
      say: called with a line for each newer one that cannot be read.
      flag: by which a user gives `path`, for the errors.

    Raises:
      UserError: there is none, or none that can be read.
    """
    if path is None or Path(path).is_dir():
        directory = directory if path is None else path
        newest = checkpoints.newest_whole(directory, say)
        if newest is None:
            raise UserError(f"{directory}: it holds no checkpoint; train longer, or pass {flag} PATH")
        return newest
    prefix = str(path)
    for ending in (".index", ".meta", ".data-00000-of-00001"):
        prefix = prefix.removesuffix(ending)
    if not Path(prefix + ".index").is_file():
        raise UserError(
            f"checkpoint {path}: no file {prefix}.index; pass a prefix such as runs/notebook/model.ckpt-20000"
        )
    why = checkpoints.fault(prefix)
    if why is not None:
        raise UserError(f"checkpoint {prefix}: cannot be read ({why}); pass another {flag}")
    return prefix


def step_of(checkpoint):
    """The global step at which a checkpoint was written, None where it does not say."""
    with checkpoints.reading(checkpoint) as reader:
        step = reader.get_tensor("global_step") if reader.has_tensor("global_step") else None
    return int(step) if isinstance(step, np.integer) else None


def logits(trained, images, reuse=None):
    """The net of a `config.TrainedNet` on prepared images, as evaluation has it: float32 [B, num_classes]."""
    return tower.logits(trained.recipe, images, len(trained.class_names), is_training=False, reuse=reuse)


def logits_of_pictures(trained, images):
    """The same, of pictures: uint8 [B, H, W, 3] of any one size, which need not be known."""
    recipe = trained.recipe
    return logits(trained, batches.prepared(images, recipe.image_size, recipe.mean, recipe.std))


def load(session, checkpoint):
    """Restores the variables of the session's graph, and of the checkpoint nothing else.

    Raises:
      UserError: one line with variables that are missing or have another shape.
    """
    with session.graph.as_default():
        variables = tf.global_variables()
        checkpoints.check_fit(checkpoint, variables, lambda names: "Pass a --checkpoint of this train dir's net")
        try:
            checkpoints.restore(session, tf.train.Saver(variables), checkpoint)
        except (tf.errors.OpError, ValueError) as error:
            raise UserError(f"checkpoint {checkpoint}: cannot be restored ({str(error).splitlines()[0]})") from error
