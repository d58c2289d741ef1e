"""The layers of `tf.contrib.cudnn_rnn` over whole sequences, in plain operations, on any device.

Their variables are those of the cuDNN-compatible cells, under the names that TensorFlow 1 saved the cuDNN layers by, so
that its checkpoints fit.
"""

import tensorflow as tf

from ..one_keras import rnn_cell
from .rnn_blocks import CudnnCompatibleGRUCell, CudnnCompatibleLSTMCell

_v1 = tf.compat.v1
BasicRNNCell, LSTMStateTuple = rnn_cell.BasicRNNCell, rnn_cell.LSTMStateTuple
CUDNN_RNN_UNIDIRECTION, CUDNN_RNN_BIDIRECTION = "unidirectional", "bidirectional"
CUDNN_INPUT_LINEAR_MODE, CUDNN_INPUT_AUTO_MODE = "linear_input", "auto_select"


class _CudnnRNN:
    """`num_layers` layers over inputs [T, B, D]; the classes below say of which cells.

    Args:
        direction: "unidirectional" or "bidirectional".
        dropout: the fraction of the inputs of every layer but the first that is dropped in training.
    """

    def __init__(
        self,
        num_layers,
        num_units,
        input_mode=CUDNN_INPUT_LINEAR_MODE,
        direction=CUDNN_RNN_UNIDIRECTION,
        dropout=0.0,
        seed=None,
        dtype=tf.float32,
        kernel_initializer=None,
        bias_initializer=None,
        name=None,
    ):
        if direction not in (CUDNN_RNN_UNIDIRECTION, CUDNN_RNN_BIDIRECTION):
            raise ValueError(f"direction must be unidirectional or bidirectional, not {direction!r}.")
        if input_mode not in (CUDNN_INPUT_LINEAR_MODE, CUDNN_INPUT_AUTO_MODE):
            raise ValueError(f"input_mode must be linear_input or auto_select, not {input_mode!r}.")
        self.num_layers, self.num_units, self.input_mode, self.direction = num_layers, num_units, input_mode, direction
        self.num_dirs = 2 if direction == CUDNN_RNN_BIDIRECTION else 1
        self._dropout, self._seed, self._dtype = dropout, seed, dtype
        self._kernel_initializer, self._bias_initializer = kernel_initializer, bias_initializer
        self._name, self._scope = name or self._default_name, None

    def _getter(self, getter, name, *args, **kwargs):
        """Gives the variables the initializers of the layer."""
        own = self._bias_initializer if name.endswith("bias") else self._kernel_initializer
        return getter(name, *args, **{**kwargs, "initializer": own or kwargs.get("initializer")})

    def _layer(self, number, inputs, states, options):
        """One layer of one or two directions: (outputs [T, B, U * directions], the last states by direction)."""
        cells = [self._cell(self.num_units) for _ in range(self.num_dirs)]
        if self.num_dirs == 1:
            scope = f"rnn/multi_rnn_cell/cell_{number}"
            outputs, state = _v1.nn.dynamic_rnn(*cells, inputs, initial_state=states[0], scope=scope, **options)
            return outputs, (state,)
        scope = f"stack_bidirectional_rnn/cell_{number}/bidirectional_rnn"
        outputs, states = _v1.nn.bidirectional_dynamic_rnn(
            *cells, inputs, initial_state_fw=states[0], initial_state_bw=states[1], scope=scope, **options
        )
        return tf.concat(outputs, 2), states

    def __call__(self, inputs, initial_state=None, sequence_lengths=None, time_major=True, training=True):
        """Returns (outputs [T, B, U * directions], a tuple of the states [layers * directions, B, U])."""
        values = tf.convert_to_tensor(inputs) if time_major else tf.transpose(inputs, [1, 0, 2])
        last, options = [], {"time_major": True, "dtype": self._dtype, "sequence_length": sequence_lengths}
        with _v1.variable_scope(
            self._scope, default_name=self._name, reuse=True if self._scope else None, custom_getter=self._getter
        ) as self._scope:
            for number in range(self.num_layers):
                if number and self._dropout:
                    rate = (
                        tf.where(training, self._dropout, 0.0) if tf.is_tensor(training) else self._dropout * training
                    )
                    values = tf.nn.dropout(values, rate=rate, seed=self._seed)
                first = number * self.num_dirs
                states = [self._split(initial_state, first + i) for i in range(self.num_dirs)]
                values, states = self._layer(number, values, states, options)
                last.extend(states)
        outputs = values if time_major else tf.transpose(values, [1, 0, 2])
        return outputs, self._join(last)

    apply = __call__

    def _split(self, initial_state, index):
        return None if initial_state is None else initial_state[0][index]

    def _join(self, states):
        return (tf.stack(states),)

    @property
    def variables(self):
        return _v1.get_collection(_v1.GraphKeys.GLOBAL_VARIABLES, scope=f"{self._scope.name}/")

    @property
    def trainable_variables(self):
        return _v1.get_collection(_v1.GraphKeys.TRAINABLE_VARIABLES, scope=f"{self._scope.name}/")


class CudnnGRU(_CudnnRNN):
    """A GRU whose reset gate comes after the matrix product."""

    _cell, _default_name = CudnnCompatibleGRUCell, "cudnn_gru"


class CudnnLSTM(_CudnnRNN):
    """An LSTM without a forget bias; its states are (h, c)."""

    _cell, _default_name = CudnnCompatibleLSTMCell, "cudnn_lstm"

    def _split(self, initial_state, index):
        return None if initial_state is None else LSTMStateTuple(initial_state[1][index], initial_state[0][index])

    def _join(self, states):
        return tf.stack([state.h for state in states]), tf.stack([state.c for state in states])


class CudnnRNNTanh(_CudnnRNN):
    """A plain recurrent net with tanh."""

    _cell, _default_name = BasicRNNCell, "cudnn_rnn_tanh"


class CudnnRNNRelu(_CudnnRNN):
    """A plain recurrent net with ReLU."""

    _default_name = "cudnn_rnn_relu"

    @staticmethod
    def _cell(num_units):
        return BasicRNNCell(num_units, activation=tf.nn.relu)
