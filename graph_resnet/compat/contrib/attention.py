"""The attention of `tf.contrib.seq2seq`: the mechanisms.

Sources: [1] D. Bahdanau et al., 2014 (additive score); [2] M.-T. Luong et al., 2015 (multiplicative score);
[3] C. Raffel et al., Online and Linear-Time Attention by Enforcing Monotonic Alignments, 2017.
"""

import functools

import tensorflow as tf

from ..one_keras import layers
from .attention_scores import _bahdanau_score, _luong_score, _maybe_mask_score, _prepare_memory

_v1 = tf.compat.v1
Dense = layers.Dense


class AttentionMechanism:
    """The class of all mechanisms, for `isinstance`."""


class _BaseAttentionMechanism(AttentionMechanism):
    """Computes alignments for an `AttentionWrapper`.

    Attributes:
        keys: the projected memory, [B, T, units].
        values: the memory, zero after each sequence's end, [B, T, D].
    """

    def __init__(
        self,
        query_layer,
        memory,
        probability_fn,
        memory_sequence_length=None,
        memory_layer=None,
        check_inner_dims_defined=True,
        score_mask_value=None,
        custom_key_value_fn=None,
        name=None,
    ):
        self._query_layer, self._memory_layer = query_layer, memory_layer
        self._lengths = None if memory_sequence_length is None else tf.convert_to_tensor(memory_sequence_length)
        memory = _prepare_memory(memory, self._lengths, check_inner_dims_defined=check_inner_dims_defined)
        self.dtype, self._name = memory.dtype, name
        steps = _v1.dimension_value(memory.shape[1])
        self._alignments_size = steps if steps is not None else tf.shape(memory)[1]
        self._values = memory
        self._keys = memory_layer(memory) if memory_layer is not None else memory
        if custom_key_value_fn is not None:
            self._keys, self._values = custom_key_value_fn(self._keys, self._values)
        size = _v1.dimension_value(memory.shape[0])
        self._batch_size = size if size is not None else tf.shape(memory)[0]
        self._mask_value = score_mask_value
        self._of_score = probability_fn

    query_layer = property(lambda self: self._query_layer)
    memory_layer = property(lambda self: self._memory_layer)
    alignments_size = property(lambda self: self._alignments_size)
    batch_size = property(lambda self: self._batch_size)
    keys = property(lambda self: self._keys)
    values = property(lambda self: self._values)
    state_size = property(lambda self: self.alignments_size)

    def initial_alignments(self, batch_size, dtype):
        """[B, T] of zeros."""
        return tf.zeros(tf.stack([batch_size, self.alignments_size]), dtype)

    initial_state = initial_alignments

    def _probability_fn(self, score, state):
        """Alignments [B, T] of a score, 0 after each sequence's end. Subclasses of TensorFlow 1 programs call it."""
        return self._of_score(_maybe_mask_score(score, self._lengths, score_mask_value=self._mask_value), state)

    def __call__(self, query, state):
        """Returns (alignments [B, T], the next state) for a query [B, D]."""
        with _v1.variable_scope(None, self.scope, [query]):
            alignments = self._probability_fn(self._score(query), state)
        return alignments, alignments


def _ignore_state(probability_fn):
    return lambda score, state: (probability_fn or tf.nn.softmax)(score)


class LuongAttention(_BaseAttentionMechanism):
    """Multiplicative attention [2]; `scale` multiplies the score by a learned `attention_g`."""

    scope = "luong_attention"

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length=None,
        scale=False,
        probability_fn=None,
        score_mask_value=None,
        dtype=None,
        custom_key_value_fn=None,
        name="LuongAttention",
    ):
        super().__init__(
            None,
            memory,
            _ignore_state(probability_fn),
            memory_sequence_length,
            Dense(num_units, name="memory_layer", use_bias=False, dtype=dtype or tf.float32),
            score_mask_value=score_mask_value,
            custom_key_value_fn=custom_key_value_fn,
            name=name,
        )
        self._num_units, self._scale = num_units, scale

    def _score(self, query):
        return _luong_score(query, self._keys, bool(self._scale))


class BahdanauAttention(_BaseAttentionMechanism):
    """Additive attention [1]; `normalize` uses weight normalization, with `attention_g` and `attention_b`."""

    scope = "bahdanau_attention"

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length=None,
        normalize=False,
        probability_fn=None,
        score_mask_value=None,
        dtype=None,
        custom_key_value_fn=None,
        name="BahdanauAttention",
    ):
        dtype = dtype or tf.float32
        super().__init__(
            Dense(num_units, name="query_layer", use_bias=False, dtype=dtype),
            memory,
            _ignore_state(probability_fn),
            memory_sequence_length,
            Dense(num_units, name="memory_layer", use_bias=False, dtype=dtype),
            score_mask_value=score_mask_value,
            custom_key_value_fn=custom_key_value_fn,
            name=name,
        )
        self._num_units, self._normalize = num_units, normalize

    def _score(self, query):
        return _bahdanau_score(self.query_layer(query), self._keys, bool(self._normalize))


def safe_cumprod(x, *args, **kwargs):
    """tf.cumprod in log space, which stays finite and differentiable."""
    x = tf.convert_to_tensor(x)
    tiny = x.dtype.as_numpy_dtype(2.0**-126)
    return tf.exp(tf.cumsum(tf.math.log(tf.clip_by_value(x, tiny, 1)), *args, **kwargs))


def monotonic_attention(p_choose_i, previous_attention, mode):
    """The alignments [B, T] of monotonic attention [3], from the probabilities to stop at each memory entry.

    Args:
        mode: "recursive", "parallel" or "hard".
    """
    p, previous = tf.convert_to_tensor(p_choose_i), tf.convert_to_tensor(previous_attention)
    if mode == "recursive":
        shifted = tf.concat([tf.ones_like(p[:, :1]), 1 - p[:, :-1]], 1)
        rows = tf.scan(
            lambda x, yz: tf.reshape(yz[0] * x + yz[1], [-1]),
            (tf.transpose(shifted), tf.transpose(previous)),
            tf.zeros_like(p[:, 0]),
        )
        return p * tf.transpose(rows)
    if mode == "parallel":
        cumulative = safe_cumprod(1 - p, axis=1, exclusive=True)
        return p * cumulative * tf.cumsum(previous / tf.clip_by_value(cumulative, 1e-10, 1.0), axis=1)
    if mode == "hard":
        p = p * tf.cumsum(previous, axis=1)
        return p * tf.math.cumprod(1 - p, axis=1, exclusive=True)
    raise ValueError(f"mode must be 'recursive', 'parallel', or 'hard', not {mode!r}.")


def _monotonic_probability_fn(score, previous_alignments, sigmoid_noise, mode, seed=None):
    """The alignments [B, T] of a score [B, T]; see `monotonic_attention`."""
    if sigmoid_noise > 0:
        score = score + sigmoid_noise * tf.random.normal(tf.shape(score), dtype=score.dtype, seed=seed)
    p = tf.cast(score > 0, score.dtype) if mode == "hard" else tf.sigmoid(score)
    return monotonic_attention(p, previous_alignments, mode)


class _BaseMonotonicAttentionMechanism(_BaseAttentionMechanism):
    """A mechanism that starts at the first memory entry."""

    def initial_alignments(self, batch_size, dtype):
        size = self.alignments_size
        return tf.one_hot(tf.zeros([batch_size], tf.int32), size, dtype=dtype)

    initial_state = initial_alignments


class _Monotonic(_BaseMonotonicAttentionMechanism):
    """Monotonic alignments instead of a softmax."""

    def __init__(
        self, *args, sigmoid_noise=0.0, sigmoid_noise_seed=None, score_bias_init=0.0, mode="parallel", **kwargs
    ):
        super().__init__(*args, **kwargs)
        self._bias_init, self._mask_value = score_bias_init, None
        self._of_score = functools.partial(
            _monotonic_probability_fn, sigmoid_noise=sigmoid_noise, mode=mode, seed=sigmoid_noise_seed
        )

    def _score(self, query):
        score = super()._score(query)
        start = _v1.constant_initializer(self._bias_init)
        return score + _v1.get_variable("attention_score_bias", [], score.dtype, start)


class LuongMonotonicAttention(_Monotonic, LuongAttention):
    """Monotonic attention [3] with the multiplicative score."""

    scope = "luong_monotonic_attention"


class BahdanauMonotonicAttention(_Monotonic, BahdanauAttention):
    """Monotonic attention [3] with the additive score."""

    scope = "bahdanau_monotonic_attention"
