"""The attention decoders of `tf.contrib.legacy_seq2seq`, for lists of T tensors [B, ...]."""

import copy

import tensorflow as tf
from tensorflow.python.util import nest

from .legacy_seq2seq import _extract_argmax_and_embed, _fed_or_not
from .rnn import _linear
from .rnn_wrappers import EmbeddingWrapper, OutputProjectionWrapper

_v1 = tf.compat.v1


def attention_decoder(
    decoder_inputs,
    initial_state,
    attention_states,
    cell,
    output_size=None,
    num_heads=1,
    loop_function=None,
    dtype=None,
    scope=None,
    initial_state_attention=False,
):
    """`rnn_decoder` with attention to `attention_states` [B, L, D] (O. Vinyals et al., 2014, arXiv:1412.7449).

    Returns:
        (a list of outputs [B, output_size], the last state).
    """
    output_size = cell.output_size if output_size is None else output_size
    with _v1.variable_scope(scope or "attention_decoder", dtype=dtype) as variables:
        dtype = variables.dtype
        length, size = (_v1.dimension_value(attention_states.shape[i]) for i in (1, 2))
        length = tf.shape(attention_states)[1] if length is None else length
        hidden = tf.reshape(attention_states, [-1, length, 1, size])
        kernels, vectors = [], []
        for head in range(num_heads):
            kernels.append(_v1.get_variable(f"AttnW_{head}", [1, 1, size, size], dtype=dtype))
            vectors.append(_v1.get_variable(f"AttnV_{head}", [size], dtype=dtype))
        features = [tf.nn.conv2d(hidden, k, [1, 1, 1, 1], "SAME") for k in kernels]

        def attend(query):
            query = tf.concat(nest.flatten(query), 1) if nest.is_nested(query) else query
            results = []
            for head in range(num_heads):
                with _v1.variable_scope(f"Attention_{head}"):
                    y = tf.reshape(_linear(query, size, True), [-1, 1, 1, size])
                    weights = tf.nn.softmax(tf.reduce_sum(vectors[head] * tf.tanh(features[head] + y), [2, 3]))
                    context = tf.reduce_sum(tf.reshape(weights, [-1, length, 1, 1]) * hidden, [1, 2])
                    results.append(tf.reshape(context, [-1, size]))
            return results

        batch = tf.shape(decoder_inputs[0])[0]
        contexts = [tf.zeros(tf.stack([batch, size]), dtype) for _ in range(num_heads)]
        for context in contexts:
            context.set_shape([None, size])
        state, outputs, previous = initial_state, [], None
        if initial_state_attention:
            contexts = attend(initial_state)
        for i, inputs in enumerate(decoder_inputs):
            if i:
                _v1.get_variable_scope().reuse_variables()
            if loop_function is not None and previous is not None:
                with _v1.variable_scope("loop_function", reuse=True):
                    inputs = loop_function(previous, i)
            width = _v1.dimension_value(inputs.shape[1])
            cell_output, state = cell(_linear([inputs, *contexts], width, True), state)
            if i == 0 and initial_state_attention:
                with _v1.variable_scope(_v1.get_variable_scope(), reuse=True):
                    contexts = attend(state)
            else:
                contexts = attend(state)
            with _v1.variable_scope("AttnOutputProjection"):
                output = _linear([cell_output, *contexts], output_size, True)
            previous = output if loop_function is not None else None
            outputs.append(output)
    return outputs, state


def embedding_attention_decoder(
    decoder_inputs,
    initial_state,
    attention_states,
    cell,
    num_symbols,
    embedding_size,
    num_heads=1,
    output_size=None,
    output_projection=None,
    feed_previous=False,
    update_embedding_for_previous=True,
    dtype=None,
    scope=None,
    initial_state_attention=False,
):
    """`attention_decoder` over ids."""
    output_size = cell.output_size if output_size is None else output_size
    with _v1.variable_scope(scope or "embedding_attention_decoder", dtype=dtype):
        embedding = _v1.get_variable("embedding", [num_symbols, embedding_size])
        loop = _extract_argmax_and_embed(embedding, output_projection, update_embedding_for_previous)
        return attention_decoder(
            [tf.nn.embedding_lookup(embedding, i) for i in decoder_inputs],
            initial_state,
            attention_states,
            cell,
            output_size=output_size,
            num_heads=num_heads,
            loop_function=loop if feed_previous else None,
            initial_state_attention=initial_state_attention,
        )


def embedding_attention_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_encoder_symbols,
    num_decoder_symbols,
    embedding_size,
    num_heads=1,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
    initial_state_attention=False,
):
    """Encoder and attention decoder for ids; `feed_previous` may be a bool tensor."""
    with _v1.variable_scope(scope or "embedding_attention_seq2seq", dtype=dtype) as variables:
        dtype = variables.dtype
        encoder = EmbeddingWrapper(copy.deepcopy(cell), num_encoder_symbols, embedding_size)
        outputs, state = _v1.nn.static_rnn(encoder, encoder_inputs, dtype=dtype)
        memory = tf.stack([tf.reshape(o, [-1, cell.output_size]) for o in outputs], 1)
        output_size = None
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)
            output_size = num_decoder_symbols

        def decode(feed):
            return embedding_attention_decoder(
                decoder_inputs,
                state,
                memory,
                cell,
                num_decoder_symbols,
                embedding_size,
                num_heads=num_heads,
                output_size=output_size,
                output_projection=output_projection,
                feed_previous=feed,
                initial_state_attention=initial_state_attention,
            )

        return decode(feed_previous) if isinstance(feed_previous, bool) else _fed_or_not(feed_previous, decode, state)
