"""The forward pass of a trained net over a whole split."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from graph_resnet.config import TrainedNet
from graph_resnet.data import batches
from graph_resnet.data.find import Records
from graph_resnet.errors import UserError, reason
from graph_resnet.inference import restore


def over_split(
    net: TrainedNet,
    checkpoint: str,
    records: Records,
    *,
    split: str = "val",
    tta: bool = False,
    precision: str = "float32",
    threads: int | None = None,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of every image of a split, in order, in a new graph.

    Args:
      net: read from a train dir.
      checkpoint: prefix.
      records: the data.
      split, tta, threads, progress: as in `evaluation.evaluate`.
      precision: 'bfloat16' or 'float32'.

    Returns:
      (float32 [N, C], int32 [N]).

    Raises:
      UserError: the checkpoint does not fit, or the net diverged.
    """
    try:
        logits, labels = _run(net, checkpoint, records, split, tta, precision, threads, progress)
    except (tf.errors.OpError, MemoryError) as error:
        raise UserError(f"checkpoint {checkpoint}: cannot be evaluated ({reason(error)})") from error
    wrong = np.count_nonzero(~np.isfinite(logits).all(axis=1))
    if wrong:
        raise UserError(f"checkpoint {checkpoint}: the net's output is not finite for {wrong:,} images: it diverged")
    return logits, labels


def _run(
    net: TrainedNet,
    checkpoint: str,
    records: Records,
    split: str,
    tta: bool,
    precision: str,
    threads: int | None,
    progress: bool,
) -> tuple[np.ndarray, np.ndarray]:
    recipe = net.recipe
    with tf.Graph().as_default(), restore.session(precision, threads=threads) as session:
        # Some kernels depend on the batch size: with the one of training the results are the same to the last bit.
        images, labels = batches.in_order(
            records, recipe.image_size, recipe.batch_size, split=split, mean=recipe.mean, std=recipe.std
        )
        logits = restore.net_of_batches(net, images)
        if tta:
            logits = (logits + restore.net_of_batches(net, tf.reverse(images, [2]), reuse=True)) / 2
        # TensorFlow's bfloat16 rewrite keeps fetched tensors in float32. Training does not fetch the last layer; the
        # identity keeps it from being fetched here, so both compute the same.
        logits = tf.identity(logits)
        restore.load(session, checkpoint)
        session.run(tf.local_variables_initializer())
        session.run(tf.tables_initializer())
        _, _, total = records.split(split)
        parts, seen = [], 0
        hidden = None if progress else True  # None hides it if stderr is not a terminal
        with tqdm(total=total, desc="evaluation", unit="image", leave=False, disable=hidden) as bar:
            while seen < total:
                parts.append(session.run([logits, labels]))
                seen += len(parts[-1][1])
                bar.update(len(parts[-1][1]))
    if seen != total:
        raise RuntimeError(f"evaluated {seen} images of {total}")
    all_logits, all_labels = (np.concatenate(column) for column in zip(*parts))
    return all_logits, all_labels
