"""The most used cells of `tf.contrib.rnn`, with TensorFlow 1's variable names.

Each is a cell for `tf.nn.static_rnn`, `tf.nn.dynamic_rnn` and `MultiRNNCell`: `cell(inputs [B, D], state)` returns
(outputs [B, U], the next state).
"""

import tensorflow as tf

from ..one_keras import rnn_cell
from .rnn import Linear

_v1 = tf.compat.v1
GRUCell, LSTMStateTuple, RNNCell = rnn_cell.GRUCell, rnn_cell.LSTMStateTuple, rnn_cell.RNNCell


class LayerNormBasicLSTMCell(RNNCell):
    """An LSTM with layer normalization of the gates and of the state, and recurrent dropout of the new input.

    Sources: J. L. Ba et al., Layer Normalization, 2016; S. Semeniuta et al., Recurrent Dropout, 2016.
    """

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        input_size=None,
        activation=tf.tanh,
        layer_norm=True,
        norm_gain=1.0,
        norm_shift=0.0,
        dropout_keep_prob=1.0,
        dropout_prob_seed=None,
        reuse=None,
    ):
        super().__init__(_reuse=reuse)
        self._num_units, self._forget_bias, self._activation = num_units, forget_bias, activation
        self._layer_norm, self._gain, self._shift = layer_norm, norm_gain, norm_shift
        self._keep_prob, self._seed = dropout_keep_prob, dropout_prob_seed

    @property
    def state_size(self):
        return LSTMStateTuple(self._num_units, self._num_units)

    @property
    def output_size(self):
        return self._num_units

    def _norm(self, values, scope):
        if not self._layer_norm:
            return values
        with _v1.variable_scope(scope):
            shape = [self._num_units]
            gamma = _v1.get_variable("gamma", shape, values.dtype, _v1.constant_initializer(self._gain))
            beta = _v1.get_variable("beta", shape, values.dtype, _v1.constant_initializer(self._shift))
        mean, variance = tf.nn.moments(values, [1], keepdims=True)
        return tf.nn.batch_normalization(values, mean, variance, beta, gamma, 1e-12)

    def call(self, inputs, state):
        c, h = state
        width = _v1.dimension_value(inputs.shape[1]) + self._num_units
        kernel = _v1.get_variable("kernel", [width, 4 * self._num_units], inputs.dtype)
        gates = tf.matmul(tf.concat([inputs, h], 1), kernel)
        if not self._layer_norm:
            bias = _v1.get_variable("bias", [4 * self._num_units], inputs.dtype, _v1.zeros_initializer())
            gates = tf.nn.bias_add(gates, bias)
        i, j, f, o = tf.split(gates, 4, 1)
        i, j = self._norm(i, "input"), self._norm(j, "transform")
        f, o = self._norm(f, "forget"), self._norm(o, "output")
        g = self._activation(j)
        if not isinstance(self._keep_prob, float) or self._keep_prob < 1:
            g = _v1.nn.dropout(g, self._keep_prob, seed=self._seed)
        c = self._norm(c * tf.sigmoid(f + self._forget_bias) + tf.sigmoid(i) * g, "state")
        h = self._activation(c) * tf.sigmoid(o)
        return h, LSTMStateTuple(c, h)


class UGRNNCell(RNNCell):
    """The update gate RNN (J. Collins et al., Capacity and Trainability in Recurrent Neural Networks, 2016)."""

    def __init__(self, num_units, initializer=None, forget_bias=1.0, activation=tf.tanh, reuse=None):
        super().__init__(_reuse=reuse)
        self._num_units, self._initializer, self._bias = num_units, initializer, forget_bias
        self._activation = activation

    state_size = output_size = property(lambda self: self._num_units)

    def call(self, inputs, state):
        with _v1.variable_scope(_v1.get_variable_scope(), initializer=self._initializer):
            linear = Linear([inputs, state], 2 * self._num_units, True)
        gate, candidate = tf.split(linear([inputs, state]), 2, 1)
        gate = tf.sigmoid(gate + self._bias)
        state = gate * state + (1 - gate) * self._activation(candidate)
        return state, state


class SRUCell(RNNCell):
    """The simple recurrent unit (T. Lei et al., 2017)."""

    def __init__(self, num_units, activation=None, reuse=None, name=None, **kwargs):
        super().__init__(_reuse=reuse, name=name, **kwargs)
        self._num_units, self._activation = num_units, activation or tf.tanh

    state_size = output_size = property(lambda self: self._num_units)

    def call(self, inputs, state):
        width = _v1.dimension_value(inputs.shape[1])
        kernel = _v1.get_variable("kernel", [width, 4 * self._num_units], inputs.dtype)
        bias = _v1.get_variable("bias", [2 * self._num_units], inputs.dtype, _v1.zeros_initializer())
        x, f, r, residual = tf.split(inputs @ kernel, 4, 1)
        f, r = tf.split(tf.sigmoid(tf.concat([f, r], 1) + bias), 2, 1)
        c = f * state + (1 - f) * x
        return r * self._activation(c) + (1 - r) * residual, c


class IndRNNCell(RNNCell):
    """An RNN whose units are independent of each other (S. Li et al., Independently Recurrent Neural Network, 2018)."""

    def __init__(self, num_units, activation=None, reuse=None, name=None, dtype=None):
        super().__init__(_reuse=reuse, name=name, dtype=dtype)
        self._num_units, self._activation = num_units, activation or tf.tanh

    state_size = output_size = property(lambda self: self._num_units)

    def call(self, inputs, state):
        width = _v1.dimension_value(inputs.shape[1])
        kernel = _v1.get_variable("kernel_w", [width, self._num_units], inputs.dtype)
        u = _v1.get_variable("kernel_u", [1, self._num_units], inputs.dtype, _v1.random_uniform_initializer(-1, 1))
        bias = _v1.get_variable("bias", [self._num_units], inputs.dtype, _v1.zeros_initializer())
        output = self._activation(inputs @ kernel + state * u + bias)
        return output, output


class CoupledInputForgetGateLSTMCell(RNNCell):
    """An LSTM whose input gate is one minus its forget gate (K. Greff et al., 2015)."""

    def __init__(
        self,
        num_units,
        use_peepholes=False,
        initializer=None,
        num_proj=None,
        proj_clip=None,
        num_unit_shards=1,
        num_proj_shards=1,
        forget_bias=1.0,
        state_is_tuple=True,
        activation=tf.tanh,
        reuse=None,
        layer_norm=False,
        norm_gain=1.0,
        norm_shift=0.0,
    ):
        super().__init__(_reuse=reuse)
        if layer_norm or num_unit_shards != 1 or num_proj_shards != 1 or not state_is_tuple:
            raise NotImplementedError(
                "CoupledInputForgetGateLSTMCell: no layer_norm, no shards, and state_is_tuple=True; leave them out."
            )
        self._num_units, self._bias, self._activation = num_units, forget_bias, activation
        self._initializer, self._use_peepholes = initializer, use_peepholes
        self._num_proj, self._proj_clip = num_proj, proj_clip

    state_size = property(lambda self: LSTMStateTuple(self._num_units, self.output_size))
    output_size = property(lambda self: self._num_proj or self._num_units)

    def call(self, inputs, state):
        (c, h), units = state, self._num_units
        width = _v1.dimension_value(inputs.shape[1]) + self.output_size
        kernel = _v1.get_variable("W_0", [width, 3 * units], inputs.dtype, self._initializer)
        bias = _v1.get_variable("B", [3 * units], inputs.dtype, _v1.zeros_initializer())
        j, f, o = tf.split(tf.concat([inputs, h], 1) @ kernel + bias, 3, 1)
        if self._use_peepholes:
            f = f + _v1.get_variable("W_F_diag", [units], inputs.dtype, self._initializer) * c
        f = tf.sigmoid(f + self._bias)
        c = f * c + (1 - f) * self._activation(j)
        if self._use_peepholes:
            o = o + _v1.get_variable("W_O_diag", [units], inputs.dtype, self._initializer) * c
        h = tf.sigmoid(o) * self._activation(c)
        if self._num_proj:
            h = h @ _v1.get_variable("W_P_0", [units, self._num_proj], inputs.dtype, self._initializer)
            if self._proj_clip:
                h = tf.clip_by_value(h, -self._proj_clip, self._proj_clip)
        return h, LSTMStateTuple(c, h)


class NASCell(RNNCell):
    """The cell found by architecture search (B. Zoph, Q. V. Le, 2016)."""

    def __init__(self, num_units, num_proj=None, use_bias=False, reuse=None, **kwargs):
        super().__init__(_reuse=reuse, **kwargs)
        self._num_units, self._num_proj, self._use_bias = num_units, num_proj, use_bias

    state_size = property(lambda self: LSTMStateTuple(self._num_units, self._num_proj or self._num_units))
    output_size = property(lambda self: self._num_proj or self._num_units)

    def call(self, inputs, state):
        c, m = state
        units, width = self._num_units, _v1.dimension_value(inputs.shape[1])
        recurrent = _v1.get_variable("recurrent_kernel", [self.output_size, 8 * units], inputs.dtype)
        kernel = _v1.get_variable("kernel", [width, 8 * units], inputs.dtype)
        m_matrix, x_matrix = m @ recurrent, inputs @ kernel
        if self._use_bias:
            bias = _v1.get_variable("bias", [8 * units], inputs.dtype, _v1.zeros_initializer())
            m_matrix = m_matrix + bias
        ms, xs = tf.split(m_matrix, 8, 1), tf.split(x_matrix, 8, 1)
        sigmoid, relu, tanh = tf.sigmoid, tf.nn.relu, tf.tanh
        first = [
            sigmoid(xs[0] + ms[0]),
            relu(xs[1] + ms[1]),
            sigmoid(xs[2] + ms[2]),
            relu(xs[3] * ms[3]),
            tanh(xs[4] + ms[4]),
            sigmoid(xs[5] + ms[5]),
            tanh(xs[6] + ms[6]),
            sigmoid(xs[7] + ms[7]),
        ]
        second = [
            tanh(first[0] * first[1]),
            tanh(first[2] + first[3]),
            tanh(first[4] * first[5]),
            sigmoid(first[6] + first[7]),
        ]
        second[0] = tanh(second[0] + c)
        c = second[0] * second[1]
        m = tanh(c * tanh(second[2] + second[3]))
        if self._num_proj:
            m = m @ _v1.get_variable("projection_weights", [units, self._num_proj], inputs.dtype)
        return m, LSTMStateTuple(c, m)


class ConvLSTMCell(RNNCell):
    """An LSTM whose products are convolutions (X. Shi et al., 2015). State and output: [B, ..., channels].

    Args:
        conv_ndims: 1, 2 or 3.
        input_shape: the shape of one input without the batch: [H, W, C] for two dimensions.
        output_channels: number of output channels.
        kernel_shape: kernel size.
    """

    def __init__(
        self,
        conv_ndims,
        input_shape,
        output_channels,
        kernel_shape,
        use_bias=True,
        skip_connection=False,
        forget_bias=1.0,
        initializers=None,
        name="conv_lstm_cell",
    ):
        super().__init__(name=name)
        if conv_ndims != len(input_shape) - 1:
            raise ValueError(f"Invalid input_shape {input_shape} for conv_ndims={conv_ndims}.")
        self._shape, self._channels, self._kernel_shape = list(input_shape), output_channels, list(kernel_shape)
        self._use_bias, self._skip, self._bias = use_bias, skip_connection, forget_bias
        self._total = output_channels + (self._shape[-1] if skip_connection else 0)

    @property
    def state_size(self):
        spatial = self._shape[:-1]
        return LSTMStateTuple(tf.TensorShape([*spatial, self._channels]), tf.TensorShape([*spatial, self._channels]))

    @property
    def output_size(self):
        return tf.TensorShape([*self._shape[:-1], self._total])

    def call(self, inputs, state, scope=None):
        c, h = state
        args = tf.concat([inputs, h], -1)
        shape = [*self._kernel_shape, _v1.dimension_value(args.shape[-1]), 4 * self._channels]
        gates = tf.nn.convolution(args, _v1.get_variable("kernel", shape, args.dtype), padding="SAME")
        if self._use_bias:
            zeros = _v1.constant_initializer(0.0)
            gates = gates + _v1.get_variable("biases", [4 * self._channels], args.dtype, zeros)
        i, j, f, o = tf.split(gates, 4, -1)
        c = tf.sigmoid(f + self._bias) * c + tf.sigmoid(i) * tf.tanh(j)
        h = tf.tanh(c) * tf.sigmoid(o)
        return tf.concat([h, inputs], -1) if self._skip else h, LSTMStateTuple(c, h)


class Conv1DLSTMCell(ConvLSTMCell):
    """A `ConvLSTMCell` over [B, W, C]."""

    def __init__(self, name="conv_1d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=1, name=name, **kwargs)


class Conv2DLSTMCell(ConvLSTMCell):
    """A `ConvLSTMCell` over [B, H, W, C]."""

    def __init__(self, name="conv_2d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=2, name=name, **kwargs)


class Conv3DLSTMCell(ConvLSTMCell):
    """A `ConvLSTMCell` over [B, D, H, W, C]."""

    def __init__(self, name="conv_3d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=3, name=name, **kwargs)


class GRUBlockCellV2(GRUCell):
    """A GRUCell with the variables of TensorFlow 1's fused cell (the same names, in `gru_cell`)."""

    def __init__(self, num_units=None, cell_size=None, reuse=None, name="gru_cell"):
        super().__init__(num_units or cell_size, reuse=reuse, name=name)
