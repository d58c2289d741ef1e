"""The decoders of `tf.contrib.seq2seq`, `dynamic_decode` and the loss."""

import abc
import collections
import contextlib

import tensorflow as tf
from tensorflow.python.util import nest

from .seq2seq_helpers import transpose

_v1 = tf.compat.v1


class Decoder(abc.ABC):
    """The interface that `dynamic_decode` calls."""

    @property
    def batch_size(self):
        raise NotImplementedError

    @property
    def output_size(self):
        raise NotImplementedError

    @property
    def output_dtype(self):
        raise NotImplementedError

    @abc.abstractmethod
    def initialize(self, name=None):
        """Returns (finished [B], the first inputs, the first state)."""

    @abc.abstractmethod
    def step(self, time, inputs, state, name=None):
        """Returns (outputs, the next state, the next inputs, finished [B])."""

    def finalize(self, outputs, final_state, sequence_lengths):
        raise NotImplementedError

    @property
    def tracks_own_finished(self):
        return False


class BasicDecoderOutput(collections.namedtuple("BasicDecoderOutput", ("rnn_output", "sample_id"))):
    """The outputs of one step: [B, D] and [B]."""


class BasicDecoder(Decoder):
    """Runs a cell on the inputs from a helper.

    Args:
        output_layer: a layer applied to the cell's output before it is stored or sampled, or None.
    """

    def __init__(self, cell, helper, initial_state, output_layer=None):
        self._cell, self._helper, self._initial_state, self._output_layer = cell, helper, initial_state, output_layer

    @property
    def batch_size(self):
        return self._helper.batch_size

    @property
    def output_size(self):
        size = self._cell.output_size
        if self._output_layer is not None:
            shape = nest.map_structure(lambda s: tf.TensorShape([None]).concatenate(tf.TensorShape(s)), size)
            size = nest.map_structure(lambda s: self._output_layer.compute_output_shape(s)[1:], shape)
        return BasicDecoderOutput(rnn_output=size, sample_id=self._helper.sample_ids_shape)

    @property
    def output_dtype(self):
        dtype = nest.flatten(self._initial_state)[0].dtype
        return BasicDecoderOutput(
            nest.map_structure(lambda _: dtype, self.output_size.rnn_output), self._helper.sample_ids_dtype
        )

    def initialize(self, name=None):
        return (*self._helper.initialize(), self._initial_state)

    def step(self, time, inputs, state, name=None):
        with _v1.name_scope(name, "BasicDecoderStep"):
            outputs, state = self._cell(inputs, state)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            ids = self._helper.sample(time=time, outputs=outputs, state=state)
            finished, inputs, state = self._helper.next_inputs(time=time, outputs=outputs, state=state, sample_ids=ids)
        return BasicDecoderOutput(outputs, ids), state, inputs, finished


def _create_zero_outputs(size, dtype, batch_size):
    """Zeros [B, ...] for a structure of sizes and one of dtypes, each size without the batch's dimension."""

    def zeros(size, dtype):
        shape = tf.TensorShape(size)
        result = tf.zeros(tf.concat([tf.reshape(batch_size, [1]), tf.constant(shape.as_list(), tf.int32)], 0), dtype)
        return tf.ensure_shape(result, tf.TensorShape([tf.get_static_value(batch_size)]).concatenate(shape))

    return nest.map_structure(zeros, size, dtype)


def dynamic_decode(
    decoder,
    output_time_major=False,
    impute_finished=False,
    maximum_iterations=None,
    parallel_iterations=32,
    swap_memory=False,
    scope=None,
    **kwargs,
):
    """Runs a decoder until every sequence is finished, at most `maximum_iterations` steps.

    Args:
        decoder: a `Decoder`.
        output_time_major: whether the outputs are [T, B, ...] instead of [B, T, ...].
        impute_finished: zero outputs after the end, and keep the last states.

    Returns:
        (outputs, the last state, the lengths [B]).
    """
    with _v1.variable_scope(scope, "decoder") as variables:
        if variables.caching_device is None:
            variables.set_caching_device(lambda op: op.device)
        limit = None
        if maximum_iterations is not None:
            limit = tf.convert_to_tensor(maximum_iterations, tf.int32, name="maximum_iterations")
        finished, inputs, state = decoder.initialize()
        zeros = _create_zero_outputs(decoder.output_size, decoder.output_dtype, decoder.batch_size)
        if limit is not None:
            finished = tf.logical_or(finished, limit <= 0)
        lengths = tf.zeros_like(finished, tf.int32)
        arrays = nest.map_structure(
            lambda s, d: tf.TensorArray(
                d,
                size=0,
                dynamic_size=True,
                element_shape=tf.TensorShape([tf.get_static_value(decoder.batch_size)]).concatenate(tf.TensorShape(s)),
            ),
            decoder.output_size,
            decoder.output_dtype,
        )

        def body(time, arrays, state, inputs, finished, lengths):
            outputs, next_state, next_inputs, now_finished = decoder.step(time, inputs, state)
            next_finished = now_finished if decoder.tracks_own_finished else tf.logical_or(now_finished, finished)
            lengths = tf.where(tf.logical_not(finished), tf.fill(tf.shape(lengths), time + 1), lengths)
            nest.assert_same_structure(state, next_state)
            if impute_finished:
                outputs = nest.map_structure(lambda o, z: _v1.where(finished, z, o), outputs, zeros)

                def keep(new, old):
                    if isinstance(old, tf.TensorArray) or new.shape.ndims == 0:
                        return new
                    new.set_shape(old.shape)
                    return _v1.where(finished, old, new)

                next_state = nest.map_structure(keep, next_state, state)
            arrays = nest.map_structure(lambda array, output: array.write(time, output), arrays, outputs)
            if limit is not None:
                next_finished = tf.logical_or(next_finished, time + 1 >= limit)
            return time + 1, arrays, next_state, next_inputs, next_finished, lengths

        _, arrays, state, _, _, lengths = _v1.while_loop(
            lambda time, arrays, state, inputs, finished, lengths: tf.logical_not(tf.reduce_all(finished)),
            body,
            (tf.constant(0), arrays, state, inputs, finished, lengths),
            parallel_iterations=parallel_iterations,
            swap_memory=swap_memory,
        )
        outputs = nest.map_structure(lambda array: array.stack(), arrays)
        with contextlib.suppress(NotImplementedError):
            outputs, state = decoder.finalize(outputs, state, lengths)
        if not output_time_major:
            outputs = nest.map_structure(transpose, outputs)
    return outputs, state, lengths


def sequence_loss(
    logits,
    targets,
    weights,
    average_across_timesteps=True,
    average_across_batch=True,
    sum_over_timesteps=False,
    sum_over_batch=False,
    softmax_loss_function=None,
    name=None,
):
    """The weighted cross entropy of logits [B, T, V] and targets int [B, T], averaged or summed as asked.

    Returns:
        A scalar, or [T], [B] or [B, T] for what is not averaged.
    """
    if logits.shape.ndims != 3:
        raise ValueError("Logits must be a [batch_size x sequence_length x logits] tensor")
    with _v1.name_scope(name, "sequence_loss", [logits, targets, weights]):
        classes = tf.shape(logits)[2]
        flat, labels = tf.reshape(logits, [-1, classes]), tf.reshape(targets, [-1])
        if softmax_loss_function is None:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=flat)
        else:
            losses = softmax_loss_function(labels=labels, logits=flat)
        losses = losses * tf.reshape(weights, [-1])
        tiny = 1e-12
        if average_across_timesteps and average_across_batch:
            return tf.reduce_sum(losses) / (tf.reduce_sum(weights) + tiny)
        losses = tf.reshape(losses, tf.shape(logits)[:2])
        if sum_over_timesteps and sum_over_batch:
            return tf.reduce_sum(losses) / (tf.cast(tf.math.count_nonzero(weights), losses.dtype) + tiny)
        if average_across_batch or sum_over_batch:
            total = tf.reduce_sum(weights, axis=0) if average_across_batch else _count(weights, 0, losses.dtype)
            losses = tf.reduce_sum(losses, axis=0) / (total + tiny)
        if average_across_timesteps or sum_over_timesteps:
            total = tf.reduce_sum(weights, axis=1) if average_across_timesteps else _count(weights, 1, losses.dtype)
            losses = tf.reduce_sum(losses, axis=1) / (total + tiny)
        return losses


def _count(weights, axis, dtype):
    return tf.cast(tf.math.count_nonzero(weights, axis=axis), dtype)
