"""Residual blocks for v1 graphs. `net` builds nets of them.

Implemented from
[1] K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, arXiv:1512.03385, 2015.
[2] K. Jordan: 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498, 2024.

Typical use, in any v1 graph, with the normalizer and activation of the caller's arg_scope:

    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm):
        net = residual_block(net, bottleneck_depth=32, out_depth=128, stride=2)
"""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

import graph_resnet.compat.slim  # noqa: F401  (makes `import tf_slim` work)
from graph_resnet import block_arguments

import tf_slim as slim  # isort: skip
from tf_slim.ops.arg_scope import arg_scope_func_key, current_arg_scope  # isort: skip


def subsample(x, factor, scope=None):
    """Keeps every `factor`-th row and column.

    Args:
      x: float tensor [B, H, W, C].
      factor: int, at least 1.
      scope: name of the op.

    Returns:
      `x` itself for factor 1, else a 1x1 max pool with that stride: [B, ceil(H / factor), ceil(W / factor), C].

    Raises:
      ValueError: `factor` is below 1.
    """
    factor = block_arguments.whole("subsample", "factor", factor, least=1)
    if factor == 1:
        return x
    return slim.max_pool2d(x, [1, 1], stride=factor, padding="SAME", scope=scope)


def residual_block(x, bottleneck_depth, out_depth, stride=1, scope="residual_block"):
    """A bottleneck residual block [1, fig. 5]: 1x1, 3x3 (carries the stride), 1x1, plus the shortcut, ReLU.

    The convolutions take normalizer, activation and initializer from the caller's arg_scope, except that the last one
    and the shortcut have no activation, because the ReLU comes after the sum. Variables:
    `<scope>/{shortcut,conv1,conv2,conv3}/weights`, with `biases` or `BatchNorm/...` depending on the arg_scope.

    Args:
      x: float tensor or array [B, H, W, C]; C must be known, the other dimensions may be unknown.
      bottleneck_depth: int, channels of the first two convolutions.
      out_depth: int, channels of the output. If C equals it the shortcut is `subsample`, else a 1x1 convolution.
      stride: int, at least 1.
      scope: variable scope of the block; None uses the first free one of 'residual_block', 'residual_block_1', ...

    Returns:
      float tensor [B, ceil(H / stride), ceil(W / stride), out_depth], at least 0. Padding is always SAME, also if the
      arg_scope says otherwise.

    Raises:
      ValueError: C is unknown, a depth or the stride is not a whole number of at least 1, or the arg_scope sets NCHW,
        or a rate together with a stride.
    """
    block = "residual_block" if scope is None else scope
    x, in_depth = block_arguments.input_and_depth(x, block)
    stride = block_arguments.whole(block, "stride", stride, least=1)
    bottleneck_depth = block_arguments.whole(block, "bottleneck_depth", bottleneck_depth)
    out_depth = block_arguments.whole(block, "out_depth", out_depth)
    with tf.variable_scope(scope, "residual_block"), block_arguments.same_padding(block, stride):
        if in_depth == out_depth:
            shortcut = subsample(x, stride, "shortcut")
        else:
            shortcut = _strided(x, out_depth, stride, activation_fn=None, scope="shortcut")
        residual = slim.conv2d(x, bottleneck_depth, [1, 1], stride=1, scope="conv1")
        residual = slim.conv2d(residual, bottleneck_depth, [3, 3], stride=stride, scope="conv2")
        residual = slim.conv2d(residual, out_depth, [1, 1], stride=1, activation_fn=None, scope="conv3")
        return tf.nn.relu(shortcut + residual)


def _strided(x, out_depth, stride, **options):
    """A 1x1 convolution with a stride, by `slim.conv2d`: [B, ceil(H / stride), ceil(W / stride), out_depth].

    With several threads, TensorFlow's gradient of its filter writes beyond its memory if x has fewer than 16 channels
    (oneDNN on a CPU with AVX-512, TensorFlow 2.21): the process dies within a few steps. For those, the pixels that the
    stride leaves out are cut away first. Other convolutions stay as they are, because one more op would change the
    seeds of the initial weights.
    """
    if stride > 1 and tf.dimension_value(x.shape[-1]) < 16:
        x, stride = x[:, ::stride, ::stride], 1
    return slim.conv2d(x, out_depth, [1, 1], stride=stride, **options)


def basic_block(x, out_depth, stride=1, scope="basic_block", *, normalize_shortcut=True):
    """A basic residual block [1, fig. 5]: 3x3 (carries the stride), 3x3, plus the shortcut, ReLU.

    The shortcut is the identity, or a 1x1 convolution if the stride or the depth changes. Normalizer, activation and
    initializer come from the caller, as in `residual_block`. Variables: `<scope>/{conv1,conv2,shortcut}/...`.

    Args:
      x: float tensor [B, H, W, C]; C must be known.
      out_depth: int, channels of both convolutions.
      stride: int, at least 1.
      scope: variable scope of the block; None uses the first free one of 'basic_block', 'basic_block_1', ...
      normalize_shortcut: False gives a convolutional shortcut a bias instead of a normalizer, as in the Keras
        tutorials.

    Returns:
      float tensor [B, ceil(H / stride), ceil(W / stride), out_depth], at least 0.

    Raises:
      ValueError: as `residual_block`.
    """
    block = "basic_block" if scope is None else scope
    x, in_depth = block_arguments.input_and_depth(x, block)
    stride = block_arguments.whole(block, "stride", stride, least=1)
    out_depth = block_arguments.whole(block, "out_depth", out_depth)
    bare = {} if normalize_shortcut else {"normalizer_fn": None}
    with tf.variable_scope(scope, "basic_block"), block_arguments.same_padding(block, stride):
        if in_depth == out_depth and stride == 1:
            shortcut = x
        else:
            shortcut = _strided(x, out_depth, stride, activation_fn=None, scope="shortcut", **bare)
        residual = slim.conv2d(x, out_depth, [3, 3], stride=stride, scope="conv1")
        residual = slim.conv2d(residual, out_depth, [3, 3], stride=1, activation_fn=None, scope="conv2")
        return tf.nn.relu(shortcut + residual)


def pooled_block(x, out_depth, pool=2, scope="pooled_block", shortcut=True):
    """A block that shrinks the image within [2]: 3x3, max pool, then a second 3x3 plus its input, activation.

    The pool is between the first convolution and its normalizer, so the second convolution and the shortcut work on the
    smaller image. Normalizer, initializer and activation (here also the one after the sum) come from the caller, as in
    `residual_block`. Variables: `<scope>/{conv1,conv2}/...`.

    Args:
      x: float tensor [B, H, W, C]; C must be known.
      out_depth: int, channels of both convolutions.
      pool: int, side and stride of the VALID max pool.
      scope: variable scope of the block.
      shortcut: adds the second convolution's input to its output; False builds a plain block, as in [2].

    Returns:
      float tensor [B, H // pool, W // pool, out_depth].

    Raises:
      ValueError: C is unknown, or `out_depth` or `pool` is not positive.
    """
    block = "pooled_block" if scope is None else scope
    x, _ = block_arguments.input_and_depth(x, block)
    out_depth, pool = block_arguments.whole(block, "out_depth", out_depth), block_arguments.whole(block, "pool", pool)
    options = current_arg_scope().get(arg_scope_func_key(slim.conv2d), {})
    normalizer, activation = options.get("normalizer_fn"), options.get("activation_fn", tf.nn.relu)
    first = "normalizer_fn" if normalizer else "activation_fn"

    def pooled(images, **params):
        smaller = slim.max_pool2d(images, [pool, pool], stride=pool, padding="VALID")
        following = normalizer or activation
        return following(smaller, **params) if following else smaller

    with tf.variable_scope(scope, "pooled_block"), block_arguments.same_padding(block, 1):
        smaller = slim.conv2d(x, out_depth, [3, 3], scope="conv1", **{first: pooled})  # [B, H // pool, ...]
        if not shortcut:
            return slim.conv2d(smaller, out_depth, [3, 3], scope="conv2")
        residual = slim.conv2d(smaller, out_depth, [3, 3], activation_fn=None, scope="conv2")
        total = smaller + residual
        return activation(total) if activation else total


def identity_initializer(shape, dtype=tf.float32, partition_info=None):
    """Filters whose output channel i is input channel i; further output channels are random.

    S. Zagoruyko, N. Komodakis: DiracNets, arXiv:1706.00388, 2017. Random filters are uniform within 1 / sqrt(fan_in),
    as in [2].

    Args:
      shape: (height, width, in, out); height and width are odd.
    """
    height, width, inputs, outputs = map(int, shape)
    passed = min(inputs, outputs)
    identity = np.zeros([height, width, inputs, passed], np.float32)
    identity[height // 2, width // 2, range(passed), range(passed)] = 1
    draw = tf.variance_scaling_initializer(1 / 3, "fan_in", "uniform")
    return tf.concat([tf.constant(identity, dtype), draw([height, width, inputs, outputs - passed], dtype)], axis=3)
