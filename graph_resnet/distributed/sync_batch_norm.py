"""Batch norm over the rows of all workers (synchronized batch norm; C. Peng et al., arXiv:1711.07240, 2017)."""

import tensorflow.compat.v1 as tf

import graph_resnet.compat.slim  # noqa: F401  (makes `import tf_slim` work)

import tf_slim as slim  # isort: skip


@slim.add_arg_scope
def synchronized_batch_norm(inputs, cluster, decay=0.999, epsilon=0.001, scale=False, is_training=True):
    """What `slim.batch_norm` of the whole batch gives, for one worker's rows of it, in training.

    Each layer waits for the other workers once on the way forward and once on the way back, and its normalization is
    not TensorFlow's fused kernel: it costs time. The variables are those of `slim.batch_norm`.

    Args:
      inputs: float32 [rows, H, W, C], all but C may differ between workers.
      cluster: `cluster.Cluster`.
      decay, epsilon, scale: as in `slim.batch_norm`.
      is_training: True; for inference there is `slim.batch_norm`.

    Returns:
      float32, of the shape of `inputs`.
    """
    if is_training is not True:
        raise ValueError(f"synchronized_batch_norm: is_training is {is_training!r}; use slim.batch_norm for inference")
    initializers = {"gamma": tf.ones_initializer(), "moving_variance": tf.ones_initializer()}
    shape = inputs.shape[3:]

    def variable(name, trainable=True):
        initializer = initializers.get(name, tf.zeros_initializer())
        return slim.model_variable(name, shape, initializer=initializer, trainable=trainable)

    with tf.variable_scope("BatchNorm"):
        beta, gamma = variable("beta"), variable("gamma") if scale else None
        moving_mean, moving_variance = variable("moving_mean", False), variable("moving_variance", False)
        inputs, axes = _float32(inputs), [0, 1, 2]
        mean, square = cluster.average([tf.reduce_mean(inputs, axes), tf.reduce_mean(tf.square(inputs), axes)])
        variance = tf.maximum(square - tf.square(mean), 0.0)
        count = round(inputs.shape[:3].num_elements() / cluster.share)
        unbiased = variance * (count / max(count - 1, 1))  # as TensorFlow's kernel has it
        for moving, value in ((moving_mean, mean), (moving_variance, unbiased)):
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_sub(moving, (moving - value) * (1 - decay)))
        return _float32(tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, epsilon))


@tf.custom_gradient
def _float32(tensor):
    """`tensor`, where TensorFlow's rewrite to bfloat16 stops, on the way back, too: moments need all their digits."""
    return tf.bitcast(tf.bitcast(tensor, tf.int32), tf.float32), _float32
