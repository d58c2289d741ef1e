"""Restores a trained net: finds the checkpoint, builds the evaluation tower, loads the weights."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import tensorflow.compat.v1 as tf

from graph_resnet import config, tower
from graph_resnet.config import TrainedNet
from graph_resnet.data import batches
from graph_resnet.errors import UserError, reason
from graph_resnet.loop import checkpoints
from graph_resnet.session import session_config

BEST = "best"


def find_checkpoint(
    directory: str | Path | None,
    path: str | Path | None = None,
    say: Callable[[str], object] = print,
    flag: str = "--checkpoint",
) -> str:
    """The prefix of the checkpoint to load, such as 'runs/notebook/model.ckpt-20000'.

    Args:
      directory: the train dir; its newest readable checkpoint is used if `path` is None.
      path: a prefix, one of its files, another directory, or 'best', the one of `--keep-best`.
      say: called with a line for each newer checkpoint that cannot be read.
      flag: the flag for `path`, named in errors.

    Raises:
      UserError: there is no checkpoint, or none can be read.
    """
    if str(path) == BEST and directory is not None:
        return _best(directory, say)
    if path is None or os.path.isdir(path):
        directory = directory if path is None else path
        newest = checkpoints.newest_whole(directory, say)
        if newest is None:
            raise UserError(f"{directory}: it holds no checkpoint; train longer, or pass {flag} PATH")
        return newest
    prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", str(path))
    if not os.path.isfile(f"{prefix}.index"):
        raise UserError(
            f"checkpoint {path}: no file {prefix}.index; pass a prefix such as runs/notebook/model.ckpt-20000"
        )
    return _whole(prefix, flag)


def _best(directory: str | Path, say: Callable[[str], object]) -> str:
    """The checkpoint that was best on held-out images."""
    kept = checkpoints.best(directory, say)
    if kept is None:
        raise UserError(f"train dir {directory}: it holds no best checkpoint; train with --hold-out N --keep-best")
    return kept


def _whole(prefix: str, flag: str) -> str:
    why = checkpoints.fault(prefix)
    if why is not None:
        raise UserError(f"checkpoint {prefix}: cannot be used ({why}); pass another {flag}")
    return prefix


def session(precision: str = "float32", *, threads: int | None = None, inline: bool = False) -> tf.Session:
    """A session of the default graph, with its own thread pool.

    By default TensorFlow's sessions share one pool, sized by the first of them: our single thread would then be all
    that the caller's sessions get.

    Args:
      precision, threads: see `session_config`.
      inline: runs the ops on the thread that calls `run`, which need not wake another one.
    """
    options = session_config(precision, threads=threads)
    if inline:
        options.inter_op_parallelism_threads = -1
    options.use_per_session_threads = True
    return tf.Session(config=options)


def net_of_batches(net: TrainedNet, images: tf.Tensor, reuse: bool | None = None) -> tf.Tensor:
    """A trained net on batches of `data.batches`, float32 [B, S, S, 3]: logits float32 [B, num_classes]."""
    return tower.logits(net.recipe, images, len(net.class_names), is_training=False, reuse=reuse)


def net_of_images(net: TrainedNet, images: tf.Tensor, reuse: bool | None = None) -> tf.Tensor:
    """A trained net on images in 0..255, uint8 or float32 [B, H, W, 3]; H and W may be unknown. Returns logits."""
    recipe = net.recipe
    return net_of_batches(net, batches.prepared(images, recipe.image_size, recipe.mean, recipe.std), reuse)


def load(session: tf.Session, checkpoint: str) -> None:
    """Restores the variables of the session's graph; the checkpoint may hold more.

    Raises:
      UserError: names variables that are missing or have another shape.
    """
    with session.graph.as_default():
        restorer(checkpoints.saved_as(tf.global_variables()), checkpoint)(session)


def restorer(variables: dict[str, tf.Variable | list[tf.Variable]], checkpoint: str) -> Callable[[tf.Session], None]:
    """Checks a checkpoint against the default graph's `variables`, from `checkpoints.saved_as`.

    Returns:
      function(session) that restores them.

    Raises:
      UserError: see `load`.
    """
    checkpoints.check_fit(checkpoint, variables, lambda names: "Pass a --checkpoint of this train dir's net")
    saver = tf.train.Saver(variables)

    def restore(session: tf.Session) -> None:
        try:
            checkpoints.restore(session, saver, checkpoint)
        except (tf.errors.OpError, ValueError) as error:
            raise UserError(f"checkpoint {checkpoint}: cannot be restored ({reason(error)})") from error

    return restore


def logits(
    train_dir: str | Path, images: tf.Tensor, *, checkpoint: str | Path | None = None, reuse: bool | None = None
) -> tuple[tf.Tensor, Callable[[tf.Session], None]]:
    """A trained net as a layer of your own v1 graph:

        logits, restore = inference.logits("runs/notebook", images)
        session.run(tf.global_variables_initializer())
        restore(session)  # or tf.train.Scaffold(init_fn=lambda scaffold, session: restore(session))

    The layer includes normalization and the resize to the net's size. Batch norm uses its moving averages, and no
    regularizer or update op joins the graph's collections. Variables are named as in training, inside the current
    scope.

    Args:
      train_dir: of a run of `graph_resnet.train`.
      images: uint8 or float32 [B, H, W, 3] in 0..255; H and W may be unknown; a graph tensor.
      checkpoint: as in `evaluation.evaluate`.
      reuse: True for a second tower with the same weights in the same scope.

    Returns:
      (float32 [B, num_classes], function(session) that restores the weights).

    Raises:
      UserError: no such train dir, a checkpoint that does not fit, `images` of the wrong type or shape, or the graph
        has variables of these names already.
    """
    net = config.read(train_dir)
    check_images(images)
    prefix = find_checkpoint(train_dir, checkpoint, say=lambda line: None)
    with images.graph.as_default():
        scope = tf.get_variable_scope().name
        try:
            result = net_of_images(net, images, reuse)
        except ValueError as error:
            raise UserError(
                f"train dir {net.directory}: its net cannot be built in this graph ({reason(error)}); call it inside a "
                "new tf.variable_scope, or with reuse=True the second time"
            ) from error
        start = f"{scope}/" if scope else ""
        own = f"{start}{net.recipe.architecture.scope}/"
        variables = [v for v in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES) if v.op.name.startswith(own)]
        return result, restorer(checkpoints.saved_as(variables, start), prefix)


def check_images(images: object) -> None:
    """Refuses anything but a graph tensor of images.

    Raises:
      UserError: names the type or shape, and the expected one.
    """
    wanted = "pass a tensor uint8 or float32 [B, H, W, 3] of a tf.Graph"
    if not isinstance(images, tf.Tensor) or hasattr(images, "numpy"):  # the latter is eager
        raise UserError(f"images: {type(images).__name__}; {wanted}")
    if images.dtype not in (tf.uint8, tf.float32) or not images.shape.is_compatible_with([None, None, None, 3]):
        raise UserError(f"images: {images.dtype.name} {images.shape}; {wanted}")
