"""Accepts booleans where TensorFlow 1 programs pass them for integers; newer versions of protobuf refuse them."""

import functools
from collections.abc import Iterable, Mapping

import numpy as np


def _as_integer(value):
    return int(value) if isinstance(value, (bool, np.bool_)) else value


def _with_integers(value):
    """The value of a message's field, with integers for the booleans that it is or holds."""
    if isinstance(value, Mapping):
        return {key: _as_integer(each) for key, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [_as_integer(each) for each in value]
    return _as_integer(value)


def accept_for_integers(v1):
    """Lets shapes, as in `shape=[1, use_noise]`, and some messages accept booleans. Called once.

    The messages are `tf.train.Int64List` and `tf.ConfigProto`, as in `device_count={"GPU": use_gpu}`; of others no
    program is known that does.

    Args:
        v1: `tensorflow.compat.v1`.
    """
    dimension = v1.Dimension.__init__

    @functools.wraps(dimension)
    def dimension_init(self, value):
        dimension(self, _as_integer(value))

    v1.Dimension.__init__ = dimension_init
    _accept(v1.train.Int64List)
    _accept(v1.ConfigProto)


def _accept(message):
    """Lets the constructor of a message accept booleans. As numbers they are right for its boolean fields, too."""
    init = message.__init__

    @functools.wraps(init)
    def message_init(self, *args, **kwargs):
        init(self, *args, **{name: _with_integers(value) for name, value in kwargs.items()})

    message.__init__ = message_init
