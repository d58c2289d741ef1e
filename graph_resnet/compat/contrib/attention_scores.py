"""The functions inside the attention of `tf.contrib.seq2seq`: masks and scores.

Sources: [1] D. Bahdanau et al., 2014 (additive score); [2] M.-T. Luong et al., 2015 (multiplicative score). Programs
that define mechanisms of their own import the names with an underscore from
`tensorflow.contrib.seq2seq.python.ops.attention_wrapper`; they are called as in TensorFlow 1.15 and as before 1.14.
"""

import numpy as np
import tensorflow as tf
from tensorflow.python.util import nest

_v1 = tf.compat.v1


def hardmax(logits, name=None):
    """One-hot vector of the maximum along the last axis; shape and dtype of `logits`."""
    with _v1.name_scope(name, "Hardmax", [logits]):
        logits = tf.convert_to_tensor(logits)
        return tf.one_hot(tf.argmax(logits, -1), tf.shape(logits)[-1], dtype=logits.dtype)


def _prepare_memory(memory, memory_sequence_length=None, memory_mask=None, check_inner_dims_defined=True):
    """The memory [B, T, ...], or a structure of them, with zeros after each sequence's end.

    Args:
        memory_sequence_length: int [B], or None.
        memory_mask: bool [B, T] instead of the lengths, or None.
        check_inner_dims_defined: whether to refuse a memory whose dimensions after [B, T] are not known. Before
            TensorFlow 1.14 it was the third argument, so a bool there is this one.
    """
    if isinstance(memory_mask, bool):
        memory_mask, check_inner_dims_defined = None, memory_mask

    def mask(x):
        if check_inner_dims_defined and not x.shape[2:].is_fully_defined():
            raise ValueError(f"Expected memory {x.name} to have fully defined inner dims, but saw shape: {x.shape}")
        inside = _inside(x, memory_sequence_length, memory_mask)
        if inside is None:
            return x
        return x * tf.cast(tf.reshape(inside, tf.concat([tf.shape(x)[:2], [1] * (x.shape.ndims - 2)], 0)), x.dtype)

    return nest.map_structure(lambda m: mask(tf.convert_to_tensor(m, name="memory")), memory)


def _inside(x, lengths, mask):
    """bool [B, T]: what of x [B, T, ...] is inside the sequences; None for all."""
    if lengths is not None and mask is not None:
        raise ValueError("memory_sequence_length and memory_mask can't be provided at same time.")
    return mask if lengths is None else tf.sequence_mask(lengths, tf.shape(x)[1])


def _maybe_mask_score(score, memory_sequence_length=None, memory_mask=None, score_mask_value=None):
    """The score [B, T], with `score_mask_value` after each sequence's end; its default is minus infinity.

    Before TensorFlow 1.14 the third argument was the value, so a number there is one.
    """
    if isinstance(memory_mask, (float, np.number)):
        memory_mask, score_mask_value = None, memory_mask
    inside = _inside(score, memory_sequence_length, memory_mask)
    if inside is None:
        return score
    value = -np.inf if score_mask_value is None else score_mask_value
    return tf.where(inside, score, tf.ones_like(score) * tf.cast(value, score.dtype))


def _luong_score(query, keys, scale):
    """The multiplicative score [2], [B, T], of a query [B, units] and keys [B, T, units].

    Args:
        scale: the factor, a scalar tensor, or None. Before TensorFlow 1.14 it was whether to make a variable for it.
    """
    depth, width = query.shape[-1], keys.shape[-1]
    if depth != width:
        raise ValueError(f"The query has {depth} units, the keys {width}; give the attention {depth} units.")
    score = tf.squeeze(tf.matmul(query[:, None], keys, transpose_b=True), [1])
    if isinstance(scale, bool):
        scale = _v1.get_variable("attention_g", [], query.dtype, _v1.ones_initializer()) if scale else None
    return score if scale is None else scale * score


def _bahdanau_variables(units, dtype, normalize):
    """Returns (attention_v [units], attention_g [], attention_b [units]), the last two None without `normalize`."""
    v = _v1.get_variable("attention_v", [units], dtype)
    if not normalize:
        return v, None, None
    start = _v1.constant_initializer((1.0 / units) ** 0.5)
    g = _v1.get_variable("attention_g", [], dtype, start)
    return v, g, _v1.get_variable("attention_b", [units], dtype, _v1.zeros_initializer())


def _bahdanau_score(processed_query, keys, attention_v, attention_g=None, attention_b=None):
    """The additive score [1], [B, T], of a query [B, units] and keys [B, T, units].

    Args:
        attention_v: [units]. Before TensorFlow 1.14 this argument was a bool, `normalize`, and the function made the
            variables.
        attention_g, attention_b: the factor [] and bias [units] of weight normalization, or None.
    """
    v, g, b = attention_v, attention_g, attention_b
    if isinstance(v, bool):
        v, g, b = _bahdanau_variables(_v1.dimension_value(keys.shape[2]), processed_query.dtype, normalize=v)
    together = keys + processed_query[:, None]
    if g is not None:
        v, together = g * v * tf.math.rsqrt(tf.reduce_sum(tf.square(v))), together + b
    return tf.reduce_sum(v * tf.tanh(together), [2])
