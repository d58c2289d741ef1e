"""The fused and the cuDNN-compatible cells of `tf.contrib.rnn`, with the same variables, in plain operations."""

import tensorflow as tf
from tensorflow.python.ops import gen_rnn_ops

from ..one_keras import layers, rnn_cell

_v1 = tf.compat.v1
Layer, GRUCell, LSTMStateTuple, RNNCell = layers.Layer, rnn_cell.GRUCell, rnn_cell.LSTMStateTuple, rnn_cell.RNNCell


def _add_lstm_variables(layer, input_shape):
    """Gives a layer over inputs [..., D] the variables of the fused LSTM, with peepholes where it uses them."""
    units = layer._num_units
    width = _v1.dimension_value(tf.TensorShape(input_shape)[-1]) + units
    layer._kernel = layer.add_weight("kernel", [width, 4 * units])
    layer._gate_bias = layer.add_weight("bias", [4 * units], initializer=_v1.zeros_initializer())
    if layer._use_peephole:
        layer._peepholes = [layer.add_weight(f"w_{gate}_diag", [units]) for gate in "ifo"]
    layer.built = True


class LSTMBlockCell(RNNCell):
    """An LSTM cell with the variables of TensorFlow 1's fused cell: `kernel` and `bias` in the scope `lstm_cell`.

    Args:
        cell_clip: the maximum absolute value of the cell state, or None.
        use_peephole: whether the gates read the cell state, through `w_i_diag`, `w_f_diag` and `w_o_diag`.
    """

    def __init__(
        self, num_units, forget_bias=1.0, cell_clip=None, use_peephole=False, dtype=None, reuse=None, name="lstm_cell"
    ):
        super().__init__(_reuse=reuse, dtype=dtype, name=name)
        self._num_units, self._bias, self._clip = num_units, forget_bias, cell_clip
        self._use_peephole = use_peephole

    state_size = property(lambda self: LSTMStateTuple(self._num_units, self._num_units))
    output_size = property(lambda self: self._num_units)

    def build(self, inputs_shape):
        _add_lstm_variables(self, inputs_shape)

    def call(self, inputs, state):
        c, h = state
        i, j, f, o = tf.split(tf.concat([inputs, h], 1) @ self._kernel + self._gate_bias, 4, 1)
        f = f + self._bias
        if self._use_peephole:
            i, f = i + self._peepholes[0] * c, f + self._peepholes[1] * c
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(j)
        if self._clip is not None and self._clip > 0:
            c = tf.clip_by_value(c, -self._clip, self._clip)
        if self._use_peephole:
            o = o + self._peepholes[2] * c
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, LSTMStateTuple(c, h)


class CudnnCompatibleLSTMCell(LSTMBlockCell):
    """The LSTM cell that reads the weights of a CudnnLSTM."""

    def __init__(self, num_units, reuse=None):
        super().__init__(num_units, forget_bias=0, cell_clip=None, reuse=reuse, name="cudnn_compatible_lstm_cell")


class GRUBlockCell(RNNCell):
    """A GRU cell with the variables of TensorFlow 1's fused cell: `w_ru`, `b_ru`, `w_c`, `b_c` in `gru_cell`."""

    def __init__(self, num_units=None, cell_size=None, reuse=None, name="gru_cell"):
        super().__init__(_reuse=reuse, name=name)
        self._num_units = num_units or cell_size

    state_size = output_size = property(lambda self: self._num_units)

    def build(self, inputs_shape):
        width = _v1.dimension_value(tf.TensorShape(inputs_shape)[1]) + self._num_units
        self._w_ru = self.add_weight("w_ru", [width, 2 * self._num_units])
        self._b_ru = self.add_weight("b_ru", [2 * self._num_units], initializer=_v1.constant_initializer(1.0))
        self._w_c = self.add_weight("w_c", [width, self._num_units])
        self._b_c = self.add_weight("b_c", [self._num_units], initializer=_v1.constant_initializer(0.0))
        self.built = True

    def call(self, inputs, state):
        r, u = tf.split(tf.sigmoid(tf.concat([inputs, state], 1) @ self._w_ru + self._b_ru), 2, 1)
        candidate = tf.tanh(tf.concat([inputs, r * state], 1) @ self._w_c + self._b_c)
        state = u * state + (1 - u) * candidate
        return state, state


class CudnnCompatibleGRUCell(GRUCell):
    """The GRU cell that reads the weights of a CudnnGRU: the reset gate comes after the matrix product."""

    def __init__(self, num_units, reuse=None, kernel_initializer=None):
        super().__init__(
            num_units, reuse=reuse, kernel_initializer=kernel_initializer, name="cudnn_compatible_gru_cell"
        )

    def build(self, inputs_shape):
        width, units = _v1.dimension_value(tf.TensorShape(inputs_shape)[1]), self._num_units
        ones, zeros = _v1.constant_initializer(1.0), _v1.zeros_initializer()
        initializer = self._kernel_initializer
        self._gate_kernel = self.add_weight("gates/kernel", [width + units, 2 * units], initializer=initializer)
        self._gate_bias = self.add_weight("gates/bias", [2 * units], initializer=ones)
        candidate = {"input": width, "hidden": units}
        self._candidate = {
            name: (
                self.add_weight(f"candidate/{name}_projection/kernel", [size, units], initializer=initializer),
                self.add_weight(f"candidate/{name}_projection/bias", [units], initializer=zeros),
            )
            for name, size in candidate.items()
        }
        self.built = True

    def call(self, inputs, state):
        r, u = tf.split(tf.sigmoid(tf.concat([inputs, state], 1) @ self._gate_kernel + self._gate_bias), 2, 1)
        (input_kernel, input_bias), (hidden_kernel, hidden_bias) = self._candidate["input"], self._candidate["hidden"]
        candidate = self._activation(inputs @ input_kernel + input_bias + r * (state @ hidden_kernel + hidden_bias))
        state = (1 - u) * candidate + u * state
        return state, state


class LSTMBlockFusedCell(Layer):
    """An LSTM for a whole sequence [T, B, D], with TensorFlow's BlockLSTM operation: `cell(inputs, ...)`.

    Returns:
        (outputs [T, B, U], LSTMStateTuple of [B, U]).
    """

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        cell_clip=None,
        use_peephole=False,
        reuse=None,
        dtype=None,
        name="lstm_fused_cell",
    ):
        super().__init__(_reuse=reuse, name=name, dtype=dtype)
        self._num_units, self._bias = num_units, forget_bias
        self._clip, self._use_peephole = -1 if cell_clip is None else cell_clip, use_peephole

    @property
    def num_units(self):
        return self._num_units

    def build(self, input_shape):
        _add_lstm_variables(self, input_shape)

    def call(self, inputs, initial_state=None, dtype=None, sequence_length=None):
        inputs = tf.stack(inputs) if isinstance(inputs, list) else inputs
        steps, batch = tf.shape(inputs)[0], tf.shape(inputs)[1]
        zeros = tf.zeros([batch, self._num_units], inputs.dtype)
        c, h = initial_state if initial_state is not None else (zeros, zeros)
        unused = tf.zeros([self._num_units], inputs.dtype)
        wci, wcf, wco = self._peepholes if self._use_peephole else (unused, unused, unused)
        longest = steps if sequence_length is None else tf.reduce_max(sequence_length)
        results = gen_rnn_ops.block_lstm(
            seq_len_max=tf.cast(longest, tf.int64),
            x=inputs,
            cs_prev=c,
            h_prev=h,
            w=self._kernel,
            wci=wci,
            wcf=wcf,
            wco=wco,
            b=self._gate_bias,
            forget_bias=self._bias,
            cell_clip=self._clip,
            use_peephole=self._use_peephole,
        )
        cells, outputs = results[1], results[6]
        if sequence_length is None:
            return outputs, LSTMStateTuple(cells[-1], outputs[-1])
        length = tf.cast(sequence_length, tf.int32)
        mask = tf.transpose(tf.sequence_mask(length, steps, dtype=inputs.dtype))[:, :, None]  # [T, B, 1]
        last = tf.stack([tf.maximum(length - 1, 0), tf.range(batch)], 1)
        empty = (length > 0)[:, None]
        state = LSTMStateTuple(
            tf.where(empty, tf.gather_nd(cells, last), c), tf.where(empty, tf.gather_nd(outputs, last), h)
        )
        return outputs * mask, state


class FusedRNNCellAdaptor:
    """Runs a cell on a whole sequence [T, B, D], with `tf.nn.dynamic_rnn`."""

    def __init__(self, cell, use_dynamic_rnn=False):
        self._cell = cell

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        inputs = tf.stack(inputs) if isinstance(inputs, list) else inputs
        return _v1.nn.dynamic_rnn(
            self._cell,
            inputs,
            sequence_length=sequence_length,
            initial_state=initial_state,
            dtype=dtype,
            time_major=True,
            scope=scope,
        )


class TimeReversedFusedRNN:
    """A fused cell that reads the sequence backwards."""

    def __init__(self, cell):
        self._cell = cell

    def _reverse(self, inputs, lengths):
        if lengths is None:
            return tf.reverse(inputs, [0])
        return tf.reverse_sequence(inputs, lengths, seq_axis=0, batch_axis=1)

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        outputs, state = self._cell(
            self._reverse(inputs, sequence_length),
            initial_state=initial_state,
            dtype=dtype,
            sequence_length=sequence_length,
            **({"scope": scope} if scope is not None else {}),
        )
        return self._reverse(outputs, sequence_length), state
