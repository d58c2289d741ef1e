"""Accepts booleans where TensorFlow 1 programs pass them for integers; newer versions of protobuf refuse them."""

import functools

import numpy as np


def _as_integer(value):
    return int(value) if isinstance(value, (bool, np.bool_)) else value


def accept_for_integers(v1):
    """Lets shapes and `tf.train.Int64List` accept booleans, as in `shape=[1, use_noise]`. Called once.

    Args:
        v1: `tensorflow.compat.v1`.
    """
    dimension, int64_list = v1.Dimension.__init__, v1.train.Int64List.__init__

    @functools.wraps(dimension)
    def dimension_init(self, value):
        dimension(self, _as_integer(value))

    @functools.wraps(int64_list)
    def int64_list_init(self, *args, value=None, **kwargs):
        numbers = None if value is None else [_as_integer(number) for number in value]
        int64_list(self, *args, value=numbers, **kwargs)

    v1.Dimension.__init__ = dimension_init
    v1.train.Int64List.__init__ = int64_list_init
