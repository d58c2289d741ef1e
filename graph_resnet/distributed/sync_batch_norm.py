"""Batch norm over the images of all workers (synchronized batch norm; C. Peng et al., arXiv:1711.07240, 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow.compat.v1 as tf

import graph_resnet.compat.slim  # noqa: F401  (makes `import tf_slim` work)

import tf_slim as slim  # isort: skip

if TYPE_CHECKING:
    from graph_resnet.distributed.cluster import Cluster

DEFAULTS = {"decay": 0.999, "epsilon": 0.001, "scale": False, "is_training": True}  # as in slim.batch_norm


def synchronized_batch_norm(inputs: tf.Tensor, cluster: Cluster) -> tf.Tensor:
    """`slim.batch_norm` over the whole batch, computed from each worker's part of it, for training.

    It reads decay, epsilon, scale and is_training from the arg_scope of `slim.batch_norm`, which it replaces, and has
    the same variables. Each layer waits for the other workers once in the forward and once in the backward pass and
    cannot use TensorFlow's fused kernel, so it costs time.

    Args:
      inputs: float32 [rows, H, W, C]; the number of rows may differ between workers.
      cluster: the workers.

    Returns:
      float32, of the shape of `inputs`.

    Raises:
      ValueError: the arg_scope has an option that is not supported here.
    """
    options = DEFAULTS | slim.current_arg_scope().get(slim.arg_scope_func_key(slim.batch_norm), {})
    if unknown := sorted(options.keys() - DEFAULTS.keys()):
        raise ValueError(f"synchronized_batch_norm: no option {unknown[0]}; the options are {', '.join(DEFAULTS)}")
    if options["is_training"] is not True:
        raise ValueError(
            f"synchronized_batch_norm: is_training is {options['is_training']!r}; use slim.batch_norm for inference"
        )
    initializers = {"gamma": tf.ones_initializer(), "moving_variance": tf.ones_initializer()}
    shape = inputs.shape[3:]

    def variable(name: str, trainable: bool = True) -> tf.Variable:
        initializer = initializers.get(name, tf.zeros_initializer())
        return slim.model_variable(name, shape, initializer=initializer, trainable=trainable)

    with tf.variable_scope("BatchNorm"):
        beta, gamma = variable("beta"), variable("gamma") if options["scale"] else None
        moving_mean, moving_variance = variable("moving_mean", False), variable("moving_variance", False)
        inputs, axes = _float32(inputs), [0, 1, 2]
        mean, square = cluster.average([tf.reduce_mean(inputs, axes), tf.reduce_mean(tf.square(inputs), axes)])
        variance = tf.maximum(square - tf.square(mean), 0.0)
        count = round(inputs.shape[:3].num_elements() / cluster.share)
        unbiased = variance * (count / max(count - 1, 1))  # as in TensorFlow's kernel
        for moving, value in ((moving_mean, mean), (moving_variance, unbiased)):
            update = tf.assign_sub(moving, (moving - value) * (1 - options["decay"]))
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
        return _float32(tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, options["epsilon"]))


@tf.custom_gradient
def _float32(tensor: tf.Tensor):
    """The identity. TensorFlow's bfloat16 rewrite stops at a bitcast, so the moments stay float32, also in the backward
    pass."""
    return tf.bitcast(tf.bitcast(tensor, tf.int32), tf.float32), _float32
