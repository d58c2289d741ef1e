"""Functions of `tf.contrib.rnn` and its deep modules that TensorFlow no longer has."""

import tensorflow as tf
from tensorflow.python.ops import rnn as _rnn

best_effort_input_batch_size = _rnn._best_effort_input_batch_size
transpose_batch_time = _rnn._transpose_batch_time

_v1 = tf.compat.v1


class Linear:
    """A linear map of one or several concatenated tensors [B, D], with the variables `kernel` and `bias`.

    Args:
        args: a tensor or a list of them.
        output_size: the width of the result.
        build_bias: whether there is a bias.
    """

    def __init__(self, args, output_size, build_bias, bias_initializer=None, kernel_initializer=None):
        args = args if isinstance(args, (list, tuple)) else [args]
        width = sum(_v1.dimension_value(arg.shape[1]) for arg in args)
        dtype = args[0].dtype
        self.weights = _v1.get_variable("kernel", [width, output_size], dtype, kernel_initializer)
        self.bias = None
        if build_bias:
            zeros = bias_initializer or _v1.zeros_initializer()
            self.bias = _v1.get_variable("bias", [output_size], dtype, zeros)

    def __call__(self, args):
        args = args if isinstance(args, (list, tuple)) else [args]
        result = tf.matmul(args[0] if len(args) == 1 else tf.concat(args, 1), self.weights)
        return result if self.bias is None else tf.nn.bias_add(result, self.bias)


_Linear = Linear


def _linear(args, output_size, bias, bias_initializer=None, kernel_initializer=None):
    """args -> [B, output_size]: the private function of core_rnn_cell that many programs imported."""
    if args is None or (isinstance(args, (list, tuple)) and not args):
        raise ValueError("`args` must be specified")
    return Linear(args, output_size, bias, bias_initializer, kernel_initializer)(args)


def _stack(layer, cells_fw, cells_bw, inputs, initial_states_fw, initial_states_bw, scope):
    """Calls `layer(forward cell, backward cell, inputs, its states)` for each layer on the outputs of the one below.

    Returns:
        (the outputs of the last layer, the forward states by layer, the backward states by layer).
    """
    states_fw, states_bw = [], []
    with _v1.variable_scope(scope or "stack_bidirectional_rnn"):
        for i, (cell_fw, cell_bw) in enumerate(zip(cells_fw, cells_bw)):
            first_fw, first_bw = initial_states_fw and initial_states_fw[i], initial_states_bw and initial_states_bw[i]
            with _v1.variable_scope(f"cell_{i}"):
                inputs, state_fw, state_bw = layer(cell_fw, cell_bw, inputs, first_fw, first_bw)
            states_fw.append(state_fw)
            states_bw.append(state_bw)
    return inputs, tuple(states_fw), tuple(states_bw)


def stack_bidirectional_rnn(
    cells_fw,
    cells_bw,
    inputs,
    initial_states_fw=None,
    initial_states_bw=None,
    dtype=None,
    sequence_length=None,
    scope=None,
):
    """Bidirectional layers on a list of T inputs [B, D]; each layer sees both directions of the one below.

    Returns:
        (a list of T outputs [B, 2 D], the forward states by layer, the backward states by layer).
    """

    def layer(cell_fw, cell_bw, inputs, state_fw, state_bw):
        scope = _v1.get_variable_scope()
        return _v1.nn.static_bidirectional_rnn(
            cell_fw, cell_bw, inputs, state_fw, state_bw, dtype=dtype, sequence_length=sequence_length, scope=scope
        )

    return _stack(layer, cells_fw, cells_bw, inputs, initial_states_fw, initial_states_bw, scope)


def stack_bidirectional_dynamic_rnn(
    cells_fw,
    cells_bw,
    inputs,
    initial_states_fw=None,
    initial_states_bw=None,
    dtype=None,
    sequence_length=None,
    parallel_iterations=None,
    time_major=False,
    scope=None,
    swap_memory=False,
):
    """Bidirectional layers on inputs [B, T, D]; each layer sees both directions of the one below.

    Returns:
        (outputs [B, T, 2 D], the forward states by layer, the backward states by layer).
    """

    def layer(cell_fw, cell_bw, inputs, state_fw, state_bw):
        outputs, states = _v1.nn.bidirectional_dynamic_rnn(
            cell_fw,
            cell_bw,
            inputs,
            sequence_length=sequence_length,
            initial_state_fw=state_fw,
            initial_state_bw=state_bw,
            dtype=dtype,
            parallel_iterations=parallel_iterations,
            swap_memory=swap_memory,
            time_major=time_major,
        )
        return tf.concat(outputs, 2), *states

    return _stack(layer, cells_fw, cells_bw, inputs, initial_states_fw, initial_states_bw, scope)
