"""Shared by all peers: recipe, batches and weights. Uses only NumPy, because some peers have no TensorFlow.

The batches are drawn images (`graph_resnet.data.synthetic`), normalized and enlarged in advance, so that input costs no
peer anything. A weight is a function of its name in our graph and its shape, so peers exchange no files.
"""

import dataclasses
import zlib

import numpy as np

from graph_resnet import recipes
from graph_resnet.data import find

CLASSES = 10
WORK = {
    "bottleneck": recipes.RECIPES["notebook"],
    "resnet18": dataclasses.replace(recipes.RECIPES["resnet18-flip"], batch_size=128),
    "fast": recipes.RECIPES["fast"],
}


def recipe(net, image_size=None, batch_size=None):
    """The recipe of 'bottleneck' (64 images of 96x96), 'resnet18' (128 of 32x32) or 'fast' (2,000), optionally with
    other sizes."""
    row = WORK[net]
    return dataclasses.replace(row, image_size=image_size or row.image_size, batch_size=batch_size or row.batch_size)


def pictures(row, count):
    """`count` batches for a recipe whose image size is a multiple of 32.

    Returns:
      (uint8 [count, B, S, S, 3], int32 [count, B]).
    """
    records = find.cifar("synthetic")
    rows = np.fromfile(records.train[0], np.uint8).reshape(-1, records.record_bytes)
    rows = np.resize(rows, (count, row.batch_size, records.record_bytes))
    images = rows[..., records.label_bytes :].reshape(count, row.batch_size, 3, records.side, records.side)
    times = row.image_size // records.side
    images = np.moveaxis(images, 2, -1).repeat(times, axis=2).repeat(times, axis=3)
    return images, rows[..., records.label_offset].astype(np.int32)


def batches(row, count=4):
    """The same images, normalized: (float32 [count, B, S, S, 3], int32 [count, B])."""
    images, labels = pictures(row, count)
    return (images / np.float32(255) - np.float32(row.mean)) / np.float32(row.std), labels


def weight(name, shape):
    """The initial value of a variable: float32; biases and moving averages look like those of a trained net.

    Args:
      name: in our graph, such as 'resnet18/block1/unit1/conv1/weights'.
      shape: of the variable in TensorFlow's order, [height, width, in, out] for a convolution.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kind = name.rpartition("/")[2]
    if kind == "weights":
        value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
    elif kind in ("gamma", "moving_variance"):
        value = rng.uniform(0.5, 1.5, shape)
    else:
        value = rng.normal(0, 0.1, shape)
    return value.astype(np.float32)
