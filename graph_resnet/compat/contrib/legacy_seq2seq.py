"""`tf.contrib.legacy_seq2seq`: decoders for lists of T tensors [B, ...], and their losses."""

import copy

import tensorflow as tf
from tensorflow.python.util import nest

from .rnn_wrappers import EmbeddingWrapper, OutputProjectionWrapper

_v1 = tf.compat.v1


def _extract_argmax_and_embed(embedding, output_projection=None, update_embedding=True):
    """A loop function that feeds the embedding of the most probable id of the previous output."""

    def loop_function(previous, _):
        if output_projection is not None:
            previous = _v1.nn.xw_plus_b(previous, output_projection[0], output_projection[1])
        embedded = tf.nn.embedding_lookup(embedding, tf.argmax(previous, 1))
        return embedded if update_embedding else tf.stop_gradient(embedded)

    return loop_function


def rnn_decoder(decoder_inputs, initial_state, cell, loop_function=None, scope=None):
    """Runs a cell on a list of inputs; all but the first are replaced by `loop_function(previous output, i)`.

    Returns:
        (a list of outputs, the last state).
    """
    with _v1.variable_scope(scope or "rnn_decoder"):
        state, outputs, previous = initial_state, [], None
        for i, inputs in enumerate(decoder_inputs):
            if loop_function is not None and previous is not None:
                with _v1.variable_scope("loop_function", reuse=True):
                    inputs = loop_function(previous, i)
            if i:
                _v1.get_variable_scope().reuse_variables()
            output, state = cell(inputs, state)
            outputs.append(output)
            previous = output if loop_function is not None else None
    return outputs, state


def basic_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, dtype=tf.float32, scope=None):
    """An encoder whose last state starts the decoder; two sets of weights."""
    with _v1.variable_scope(scope or "basic_rnn_seq2seq"):
        _, state = _v1.nn.static_rnn(copy.deepcopy(cell), encoder_inputs, dtype=dtype)
        return rnn_decoder(decoder_inputs, state, cell)


def tied_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, loop_function=None, dtype=tf.float32, scope=None):
    """An encoder and a decoder with one set of weights."""
    with _v1.variable_scope("combined_tied_rnn_seq2seq"):
        scope = scope or "tied_rnn_seq2seq"
        _, state = _v1.nn.static_rnn(cell, encoder_inputs, dtype=dtype, scope=scope)
        _v1.get_variable_scope().reuse_variables()
        return rnn_decoder(decoder_inputs, state, cell, loop_function=loop_function, scope=scope)


def embedding_rnn_decoder(
    decoder_inputs,
    initial_state,
    cell,
    num_symbols,
    embedding_size,
    output_projection=None,
    feed_previous=False,
    update_embedding_for_previous=True,
    scope=None,
):
    """`rnn_decoder` over ids: a list of int32 [B]."""
    with _v1.variable_scope(scope or "embedding_rnn_decoder"):
        embedding = _v1.get_variable("embedding", [num_symbols, embedding_size])
        loop = _extract_argmax_and_embed(embedding, output_projection, update_embedding_for_previous)
        inputs = [tf.nn.embedding_lookup(embedding, i) for i in decoder_inputs]
        return rnn_decoder(inputs, initial_state, cell, loop_function=loop if feed_previous else None)


def _fed_or_not(feed_previous, decode, state):
    """The decoder's result for a tensor `feed_previous`: both branches are built, one runs."""

    def branch(feed, reuse):
        with _v1.variable_scope(_v1.get_variable_scope(), reuse=reuse):
            outputs, state = decode(feed)
            return [*outputs, *nest.flatten(state)]

    results = _v1.cond(feed_previous, lambda: branch(True, None), lambda: branch(False, True))
    count = len(nest.flatten(state))
    return list(results[:-count]), nest.pack_sequence_as(state, list(results[-count:]))


def embedding_rnn_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_encoder_symbols,
    num_decoder_symbols,
    embedding_size,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
):
    """Encoder and decoder over ids; `feed_previous` may be a bool tensor."""
    with _v1.variable_scope(scope or "embedding_rnn_seq2seq") as variables:
        if dtype is not None:
            variables.set_dtype(dtype)
        dtype = variables.dtype
        encoder = EmbeddingWrapper(copy.deepcopy(cell), num_encoder_symbols, embedding_size)
        _, state = _v1.nn.static_rnn(encoder, encoder_inputs, dtype=dtype)
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)

        def decode(feed):
            return embedding_rnn_decoder(
                decoder_inputs, state, cell, num_decoder_symbols, embedding_size, output_projection, feed
            )

        return decode(feed_previous) if isinstance(feed_previous, bool) else _fed_or_not(feed_previous, decode, state)


def embedding_tied_rnn_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_symbols,
    embedding_size,
    num_decoder_symbols=None,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
):
    """Encoder and decoder over ids with one embedding and one set of weights."""
    with _v1.variable_scope(scope or "embedding_tied_rnn_seq2seq", dtype=dtype) as variables:
        dtype = variables.dtype
        embedding = _v1.get_variable("embedding", [num_symbols, embedding_size], dtype=dtype)
        encoder = [tf.nn.embedding_lookup(embedding, x) for x in encoder_inputs]
        decoder = [tf.nn.embedding_lookup(embedding, x) for x in decoder_inputs]
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols or num_symbols)

        def decode(feed):
            loop = _extract_argmax_and_embed(embedding, output_projection) if feed else None
            return tied_rnn_seq2seq(encoder, decoder, cell, loop_function=loop, dtype=dtype)

        if isinstance(feed_previous, bool):
            return decode(feed_previous)
        state = cell.zero_state(tf.shape(encoder_inputs[0])[0], dtype)
        return _fed_or_not(feed_previous, decode, state)


def sequence_loss_by_example(
    logits, targets, weights, average_across_timesteps=True, softmax_loss_function=None, name=None
):
    """The weighted cross entropy of each row, [B], of lists of T logits [B, V], targets int [B] and weights [B]."""
    if len(targets) != len(logits) or len(weights) != len(logits):
        raise ValueError(
            f"Lengths of logits, weights, and targets must be the same {len(logits)}, {len(weights)}, {len(targets)}."
        )
    with _v1.name_scope(name, "sequence_loss_by_example", [*logits, *targets, *weights]):
        losses = []
        for logit, target, weight in zip(logits, targets, weights):
            if softmax_loss_function is None:
                target = tf.reshape(target, [-1])
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logit)
            else:
                loss = softmax_loss_function(labels=target, logits=logit)
            losses.append(loss * weight)
        total = tf.add_n(losses)
        return total / (tf.add_n(list(weights)) + 1e-12) if average_across_timesteps else total


def sequence_loss(
    logits,
    targets,
    weights,
    average_across_timesteps=True,
    average_across_batch=True,
    softmax_loss_function=None,
    name=None,
):
    """`sequence_loss_by_example` summed over the batch, or averaged: a scalar."""
    with _v1.name_scope(name, "sequence_loss", [*logits, *targets, *weights]):
        losses = sequence_loss_by_example(logits, targets, weights, average_across_timesteps, softmax_loss_function)
        cost = tf.reduce_sum(losses)
        return cost / tf.cast(tf.shape(targets[0])[0], cost.dtype) if average_across_batch else cost


def model_with_buckets(
    encoder_inputs,
    decoder_inputs,
    targets,
    weights,
    buckets,
    seq2seq,
    softmax_loss_function=None,
    per_example_loss=False,
    name=None,
):
    """Builds `seq2seq(encoder inputs, decoder inputs)` for each bucket (encoder length, decoder length).

    Returns:
        (a list of outputs, a list of losses), by bucket.
    """
    losses, outputs = [], []
    loss = sequence_loss_by_example if per_example_loss else sequence_loss
    with _v1.name_scope(name, "model_with_buckets"):
        for i, (encoder, decoder) in enumerate(buckets):
            with _v1.variable_scope(_v1.get_variable_scope(), reuse=True if i else None):
                bucket_outputs, _ = seq2seq(encoder_inputs[:encoder], decoder_inputs[:decoder])
                outputs.append(bucket_outputs)
                losses.append(
                    loss(
                        bucket_outputs,
                        targets[:decoder],
                        weights[:decoder],
                        softmax_loss_function=softmax_loss_function,
                    )
                )
    return outputs, losses
