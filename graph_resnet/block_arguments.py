"""Checks a block's arguments (input, depths, stride) and the caller's arg_scope."""

from __future__ import annotations

import numbers

import numpy as np
import tensorflow.compat.v1 as tf

import graph_resnet.compat.slim  # noqa: F401  (makes `import tf_slim` work)

import tf_slim as slim  # isort: skip
from tf_slim.ops.arg_scope import arg_scope_func_key, current_arg_scope  # isort: skip


def input_and_depth(x, block):
    """`x` as a tensor, and its number of channels."""
    if not tf.is_tensor(x):
        x = tf.convert_to_tensor(x)
        x = x if x.dtype.is_floating and x.dtype != tf.float64 else tf.cast(x, tf.float32)
    if not x.dtype.is_floating:
        raise ValueError(f"{block}: input must be of a float type, got {x.dtype.name}; pass tf.cast(x, tf.float32)")
    # Under disable_v2_behavior() x.shape[-1] is a Dimension, never None.
    in_depth = tf.dimension_value(x.shape[-1]) if x.shape.rank == 4 else None
    if in_depth is None:
        raise ValueError(f"{block}: input must be [batch, height, width, depth] with a known depth, got {x.shape}")
    return x, in_depth


def whole(block, name, value, least=None):
    """A depth or stride as an int. A stride may be given as [2, 2], and any value as a constant tensor.

    Raises:
      ValueError: names the block and the argument.
    """
    if tf.is_tensor(value):
        known = tf.get_static_value(value)
        if known is None:
            raise ValueError(f"{block}: {name} must be a number, got the tensor {value.name}, which is not a constant")
        value = known
    value = value.value if isinstance(value, tf.Dimension) else value
    values = np.ravel(np.array(value, dtype=object))
    if len(values) not in (1, 2) or (len(values) == 2 and (name not in ("stride", "factor") or values[0] != values[1])):
        raise ValueError(f"{block}: {name} must be one whole number, got {value!r}")
    number = values[0]
    if not isinstance(number, numbers.Real) or isinstance(number, (bool, np.bool_)) or not float(number).is_integer():
        raise ValueError(f"{block}: {name} must be one whole number, got {value!r}")
    if number < (least or 1):
        raise ValueError(f"{block}: {name} must be {f'at least {least}' if least else 'positive'}, got {value}")
    return int(number)


def same_padding(block, stride):
    """An arg_scope with SAME padding, so that both paths through a block end in the same shape.

    Raises:
      ValueError: the caller's arg_scope has a data format or a rate that the block does not support.
    """
    for layer in (slim.conv2d, slim.max_pool2d):
        defaults = current_arg_scope().get(arg_scope_func_key(layer), {})
        if str(defaults.get("data_format") or "NHWC").startswith("NC"):
            raise ValueError(
                f"{block}: data_format {defaults['data_format']!r} of the arg_scope: the block needs NHWC; transpose "
                "its input with tf.transpose(x, [0, 2, 3, 1])"
            )
        if stride > 1 and np.any(np.ravel(defaults.get("rate", 1)) != 1):
            raise ValueError(f"{block}: rate {defaults['rate']} of the arg_scope needs stride 1, not {stride}")
    return slim.arg_scope([slim.conv2d, slim.max_pool2d], padding="SAME")
