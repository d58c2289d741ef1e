"""The cells of `tf.contrib.rnn` that wrap another cell, with TensorFlow 1's variable names."""

import tensorflow as tf
from tensorflow.python.util import nest

from ..one_keras import rnn_cell
from .rnn import _linear

_v1 = tf.compat.v1
RNNCell = rnn_cell.RNNCell


class AttentionCellWrapper(RNNCell):
    """Attends to the last `attn_length` outputs of a cell (D. Bahdanau et al., 2014)."""

    def __init__(
        self, cell, attn_length, attn_size=None, attn_vec_size=None, input_size=None, state_is_tuple=True, reuse=None
    ):
        super().__init__(_reuse=reuse)
        if nest.is_nested(cell.state_size) and not state_is_tuple:
            raise ValueError(f"Cell returns tuple of states, but state_is_tuple is not set: {cell.state_size}.")
        if attn_length <= 0:
            raise ValueError(f"attn_length should be greater than zero, got {attn_length}")
        self._cell, self._length, self._state_is_tuple = cell, attn_length, state_is_tuple
        self._size = attn_size or cell.output_size
        self._vector_size = attn_vec_size or self._size
        self._input_size = input_size

    @property
    def state_size(self):
        size = (self._cell.state_size, self._size, self._size * self._length)
        return size if self._state_is_tuple else sum(nest.flatten(size))

    @property
    def output_size(self):
        return self._size

    def call(self, inputs, state):
        if self._state_is_tuple:
            state, attention, memory = state
        else:
            state, attention, memory = tf.split(state, nest.flatten(self.state_size), 1)
        memory = tf.reshape(memory, [-1, self._length, self._size])
        width = self._input_size or _v1.dimension_value(inputs.shape[1])
        inputs = _linear([inputs, attention], width, True)
        output, state = self._cell(inputs, state)
        query = tf.concat(nest.flatten(state), 1) if self._state_is_tuple else state
        attention, memory = self._attend(query, memory)
        with _v1.variable_scope("attn_output_projection"):
            output = _linear([output, attention], self._size, True)
        memory = tf.reshape(tf.concat([memory, output[:, None]], 1), [-1, self._length * self._size])
        state = (state, attention, memory)
        return output, state if self._state_is_tuple else tf.concat(nest.flatten(state), 1)

    def _attend(self, query, memory):
        with _v1.variable_scope("attention"):
            k = _v1.get_variable("attn_w", [1, 1, self._size, self._vector_size])
            v = _v1.get_variable("attn_v", [self._vector_size])
            hidden = tf.reshape(memory, [-1, self._length, 1, self._size])
            features = tf.nn.conv2d(hidden, k, [1, 1, 1, 1], "SAME")
            y = tf.reshape(_linear(query, self._vector_size, True), [-1, 1, 1, self._vector_size])
            weights = tf.nn.softmax(tf.reduce_sum(v * tf.tanh(features + y), [2, 3]))
            attention = tf.reduce_sum(weights[:, :, None, None] * hidden, [1, 2])
            return attention, memory[:, 1:]


class _ProjectionWrapper(RNNCell):
    """Wraps a cell and has the same state."""

    def __init__(self, cell, reuse=None):
        super().__init__(_reuse=reuse)
        self._cell = cell

    @property
    def state_size(self):
        return self._cell.state_size

    @property
    def output_size(self):
        return self._cell.output_size

    def zero_state(self, batch_size, dtype):
        return self._cell.zero_state(batch_size, dtype)


class InputProjectionWrapper(_ProjectionWrapper):
    """Projects the inputs to `num_proj` before the cell."""

    def __init__(self, cell, num_proj, activation=None, input_size=None, reuse=None):
        super().__init__(cell, reuse)
        self._num_proj, self._activation = num_proj, activation

    def call(self, inputs, state):
        projected = _linear(inputs, self._num_proj, True)
        return self._cell(self._activation(projected) if self._activation else projected, state)


class OutputProjectionWrapper(_ProjectionWrapper):
    """Projects the outputs of a cell to `output_size`."""

    def __init__(self, cell, output_size, activation=None, reuse=None):
        super().__init__(cell, reuse)
        self._projected, self._activation = output_size, activation

    @property
    def output_size(self):
        return self._projected

    def call(self, inputs, state):
        output, state = self._cell(inputs, state)
        projected = _linear(output, self._projected, True)
        return self._activation(projected) if self._activation else projected, state


class EmbeddingWrapper(_ProjectionWrapper):
    """Embeds the integer inputs [B] or [B, 1] before the cell."""

    def __init__(self, cell, embedding_classes, embedding_size, initializer=None, reuse=None):
        super().__init__(cell, reuse)
        self._classes, self._size, self._initializer = embedding_classes, embedding_size, initializer

    def call(self, inputs, state):
        initializer = self._initializer or _v1.get_variable_scope().initializer
        initializer = initializer or _v1.random_uniform_initializer(-(3**0.5), 3**0.5)
        dtype = nest.flatten(state)[0].dtype
        embedding = _v1.get_variable("embedding", [self._classes, self._size], dtype, initializer)
        return self._cell(tf.nn.embedding_lookup(embedding, tf.reshape(inputs, [-1])), state)


class HighwayWrapper(_ProjectionWrapper):
    """Mixes a cell's output and input by a gate (R. K. Srivastava et al., Highway Networks, 2015)."""

    def __init__(self, cell, couple_carry_transform_gates=True, carry_bias_init=1.0):
        super().__init__(cell)
        self._couple, self._bias = couple_carry_transform_gates, carry_bias_init

    def __call__(self, inputs, state, scope=None):  # no variable scope of its own
        output, state = self._cell(inputs, state, scope=scope)
        size = _v1.dimension_value(inputs.shape[-1])

        def gate(name, bias):
            weights = _v1.get_variable(f"{name}_w", [size, size], inputs.dtype)
            offset = _v1.get_variable(f"{name}_b", [size], inputs.dtype, _v1.constant_initializer(bias))
            return tf.sigmoid(inputs @ weights + offset)

        carry = gate("carry", self._bias)
        transform = 1 - carry if self._couple else gate("transform", -self._bias)
        return inputs * carry + output * transform, state
