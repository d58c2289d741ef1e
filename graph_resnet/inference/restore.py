"""A trained net again: which checkpoint, the tower that evaluates, its weights, the session to run it in."""

from __future__ import annotations

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
    """The prefix of the checkpoint to load: such as 'runs/notebook/model.ckpt-20000'.

    Args:
      directory: the train dir, whose newest whole checkpoint is taken where `path` is None.
      path: a prefix, one of the files that begin with it, another directory, or 'best', that of `--keep-best`.
      say: called with a line for each newer one that cannot be read.
      flag: by which a user gives `path`, for the errors.

    Raises:
      UserError: there is none, or none that can be read.
    """
    if str(path) == BEST and directory is not None:
        return _best(directory, say)
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
    return _whole(prefix, flag)


def _best(directory: str | Path, say: Callable[[str], object]) -> str:
    """The checkpoint that is best on held-out images."""
    kept = checkpoints.best(directory, say)
    if kept is None:
        raise UserError(f"train dir {directory}: it holds no best checkpoint; train with --hold-out N --keep-best")
    return kept


def _whole(prefix: str, flag: str) -> str:
    why = checkpoints.fault(prefix)
    if why is not None:
        raise UserError(f"checkpoint {prefix}: cannot be used ({why}); pass another {flag}")
    return prefix


def session(precision: str = "float32", *, threads: int | None = None) -> tf.Session:
    """A session of the default graph, with a pool of threads of its own.

    TensorFlow's sessions share one pool, as large as the first of them asked for: without this, our one thread would
    be all that a caller's own sessions had.
    """
    options = session_config(precision, threads=threads)
    options.use_per_session_threads = True
    return tf.Session(config=options)


def net_of_batches(net: TrainedNet, images: tf.Tensor, reuse: bool | None = None) -> tf.Tensor:
    """A trained net on what `data.batches` yields, float32 [B, S, S, 3]: logits float32 [B, num_classes]."""
    return tower.logits(net.recipe, images, len(net.class_names), is_training=False, reuse=reuse)


def net_of_images(net: TrainedNet, images: tf.Tensor, reuse: bool | None = None) -> tf.Tensor:
    """The same, of images in 0..255: uint8 or float32 [B, H, W, 3] of any one size, which need not be known."""
    recipe = net.recipe
    return net_of_batches(net, batches.prepared(images, recipe.image_size, recipe.mean, recipe.std), reuse)


def load(session: tf.Session, checkpoint: str) -> None:
    """Restores the variables of the session's graph, and of the checkpoint nothing else.

    Raises:
      UserError: one line with variables that are missing or have another shape.
    """
    with session.graph.as_default():
        restorer(checkpoints.saved_as(tf.global_variables()), checkpoint)(session)


def restorer(variables: dict[str, tf.Variable | list[tf.Variable]], checkpoint: str) -> Callable[[tf.Session], None]:
    """Checks a checkpoint against the default graph's `variables`, of `checkpoints.saved_as`.

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
    """A trained net in a v1 graph of the caller's, as a layer of it:

        logits, restore = inference.logits("runs/notebook", images)
        session.run(tf.global_variables_initializer())
        restore(session)  # or tf.train.Scaffold(init_fn=lambda scaffold, session: restore(session))

    Normalization and the resize to the net's size are in it, batch norm uses its moving averages, and no regularizer or
    update op joins the graph's collections. The variables have the names of training, below the current variable scope.

    Args:
      train_dir: of a run of `graph_resnet.train`.
      images: uint8 or float32 [B, H, W, 3] in 0..255, of any one size, which need not be known; a tensor of a graph.
      checkpoint: as in `evaluation.evaluate`.
      reuse: True for a second tower with the same weights in the same scope.

    Returns:
      (float32 [B, num_classes], function(session) that restores the weights).

    Raises:
      UserError: no such train dir, a checkpoint that does not fit, `images` that are no such tensor, or variables of
        these names in the graph already.
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
                f"train dir {net.directory}: its net cannot be built in this graph ({reason(error)}); call it within a "
                "tf.variable_scope of its own, or with reuse=True for the second time"
            ) from error
        start = f"{scope}/" if scope else ""
        own = f"{start}{net.recipe.architecture.scope}/"
        variables = [v for v in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES) if v.op.name.startswith(own)]
        return result, restorer(checkpoints.saved_as(variables, start), prefix)


def check_images(images: object) -> None:
    """Refuses what is no tensor of images in a graph.

    Raises:
      UserError: names what it is, and what is wanted.
    """
    wanted = "pass a tensor uint8 or float32 [B, H, W, 3] of a tf.Graph"
    if not isinstance(images, tf.Tensor) or hasattr(images, "numpy"):  # the latter is eager
        raise UserError(f"images: {type(images).__name__}; {wanted}")
    if images.dtype not in (tf.uint8, tf.float32) or not images.shape.is_compatible_with([None, None, None, 3]):
        raise UserError(f"images: {images.dtype.name} {images.shape}; {wanted}")
