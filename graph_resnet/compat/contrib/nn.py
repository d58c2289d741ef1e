"""`tf.contrib.nn`, `tf.contrib.sparsemax` and `tf.contrib.stateless`."""

import types

import tensorflow as tf

_v1 = tf.compat.v1

conv1d_transpose = tf.nn.conv1d_transpose
nth_element = _v1.raw_ops.NthElement

stateless = types.ModuleType("tensorflow.contrib.stateless")
stateless.stateless_random_uniform = tf.random.stateless_uniform
stateless.stateless_random_normal = tf.random.stateless_normal
stateless.stateless_truncated_normal = tf.random.stateless_truncated_normal
stateless.stateless_multinomial = _v1.random.stateless_multinomial


def deprecated_flipped_softmax_cross_entropy_with_logits(logits, labels, dim=-1, name=None):
    """The softmax cross entropy with the argument order of TensorFlow 0.12."""
    return _v1.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits, dim=dim, name=name)


def deprecated_flipped_sparse_softmax_cross_entropy_with_logits(logits, labels, name=None):
    """The sparse softmax cross entropy with the argument order of TensorFlow 0.12."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits, name=name)


def deprecated_flipped_sigmoid_cross_entropy_with_logits(logits, targets, name=None):
    """The sigmoid cross entropy with the argument order of TensorFlow 0.12."""
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits, name=name)


def alpha_dropout(x, keep_prob, noise_shape=None, seed=None, name=None):
    """Dropout that keeps mean and variance of a SELU's output (G. Klambauer et al., 2017)."""
    with _v1.name_scope(name, "alpha_dropout", [x]):
        x = tf.convert_to_tensor(x)
        keep = tf.convert_to_tensor(keep_prob, x.dtype)
        if tf.get_static_value(keep) == 1:
            return x
        shape = tf.shape(x) if noise_shape is None else noise_shape
        mask = tf.floor(tf.random.uniform(shape, seed=seed, dtype=x.dtype) + keep)
        alpha = -1.7580993408473766
        a = (keep + alpha**2 * keep * (1 - keep)) ** -0.5
        b = -a * alpha * (1 - keep)
        return a * (x * mask + alpha * (1 - mask)) + b


def scaled_softplus(x, alpha, clip=None, name=None):
    """alpha softplus(x / alpha), clipped at `clip`."""
    result = alpha * tf.nn.softplus(tf.convert_to_tensor(x) / alpha)
    return result if clip is None else tf.minimum(result, clip)


def sampled_sparse_softmax_loss(
    weights,
    biases,
    labels,
    inputs,
    num_sampled,
    num_classes,
    sampled_values=None,
    remove_accidental_hits=True,
    **kwargs,
):
    """tf.nn.sampled_softmax_loss for one label per row, [B]."""
    return _v1.nn.sampled_softmax_loss(
        weights=weights,
        biases=biases,
        labels=tf.reshape(labels, [-1, 1]),
        inputs=inputs,
        num_sampled=num_sampled,
        num_classes=num_classes,
        sampled_values=sampled_values,
        remove_accidental_hits=remove_accidental_hits,
        **kwargs,
    )


def sparsemax(logits, name=None):
    """The projection of each row [B, K] on the simplex (A. Martins, R. Astudillo, From Softmax to Sparsemax, 2016)."""
    with _v1.name_scope(name, "sparsemax", [logits]):
        z = tf.convert_to_tensor(logits)
        z = z - tf.reduce_mean(z, 1, keepdims=True)
        ordered = tf.sort(z, direction="DESCENDING")
        sums = tf.cumsum(ordered, 1)
        k = tf.range(1, tf.cast(tf.shape(z)[1], z.dtype) + 1, dtype=z.dtype)
        support = 1 + k * ordered > sums
        count = tf.reduce_sum(tf.cast(support, tf.int32), 1)
        tau = (tf.gather(sums, count - 1, batch_dims=1) - 1) / tf.cast(count, z.dtype)
        return tf.maximum(z - tau[:, None], 0)


def sparsemax_loss(logits, sparsemax, labels, name=None):
    """The loss of a sparsemax output against labels [B, K] that sum to one: [B]."""
    with _v1.name_scope(name, "sparsemax_loss", [logits, sparsemax, labels]):
        z = logits - tf.reduce_mean(logits, 1, keepdims=True)
        sum_s = tf.where(sparsemax > 0, sparsemax * (z - 0.5 * sparsemax), tf.zeros_like(sparsemax))
        return tf.reduce_sum(sum_s + labels * (0.5 * labels - z), 1)
