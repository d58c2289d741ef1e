"""`tf.contrib.crf`: a linear-chain conditional random field (J. Lafferty et al., 2001).

Shapes: scores [B, T, K] of K tags at each step, tag_indices int [B, T], sequence_lengths int [B], transition_params
[K, K], whose entry [i, j] is the score of going from tag i to tag j.
"""

import numpy as np
import tensorflow as tf

_v1 = tf.compat.v1


def crf_unary_score(tag_indices, sequence_lengths, inputs):
    """The sum of the tags' unary scores, [B]."""
    mask = tf.sequence_mask(sequence_lengths, tf.shape(tag_indices)[1], dtype=inputs.dtype)
    return tf.reduce_sum(tf.gather(inputs, tag_indices, batch_dims=2) * mask, 1)


def crf_binary_score(tag_indices, sequence_lengths, transition_params):
    """The sum of the transition scores, [B]."""
    pairs = tf.stack([tag_indices[:, :-1], tag_indices[:, 1:]], -1)
    mask = tf.sequence_mask(sequence_lengths, tf.shape(tag_indices)[1], dtype=transition_params.dtype)[:, 1:]
    return tf.reduce_sum(tf.gather_nd(transition_params, pairs) * mask, 1)


def crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params):
    """The unnormalized score of a tag sequence, [B]."""
    return crf_unary_score(tag_indices, sequence_lengths, inputs) + crf_binary_score(
        tag_indices, sequence_lengths, transition_params
    )


def _forward(inputs, sequence_lengths, transition_params, combine):
    """The forward recursion; returns the last alphas [B, K] and the second result of `combine` for each step."""
    steps = tf.shape(inputs)[1]

    def body(time, alphas, array):
        scores = alphas[:, :, None] + transition_params[None]  # [B, from, to]
        new, extra = combine(scores)
        new = new + inputs[:, time]
        inside = (time < sequence_lengths)[:, None]
        return time + 1, tf.where(inside, new, alphas), array.write(time, extra)

    sequence_lengths = tf.cast(sequence_lengths, tf.int32)
    array = tf.TensorArray(tf.int32, size=steps, element_shape=inputs.shape[:1].concatenate(inputs.shape[2:]))
    array = array.write(0, tf.zeros_like(inputs[:, 0], tf.int32))  # so that sequences of one step have an element
    _, alphas, array = _v1.while_loop(
        lambda time, *_: time < steps, body, (tf.constant(1), inputs[:, 0], array), back_prop=True
    )
    return alphas, array


def crf_log_norm(inputs, sequence_lengths, transition_params):
    """The logarithm of the partition function, [B]; 0 for an empty sequence."""

    def combine(scores):
        return tf.reduce_logsumexp(scores, 1), tf.zeros_like(scores[:, 0], tf.int32)

    alphas, _ = _forward(inputs, sequence_lengths, transition_params, combine)
    norm = tf.reduce_logsumexp(alphas, 1)
    return tf.where(tf.cast(sequence_lengths, tf.int32) <= 0, tf.zeros_like(norm), norm)


def crf_multitag_sequence_score(inputs, tag_bitmap, sequence_lengths, transition_params):
    """The score of all sequences that a bitmap of tags [B, T, K] allows, [B]."""
    allowed = tf.where(tag_bitmap, inputs, tf.fill(tf.shape(inputs), -float("inf")))
    return crf_log_norm(allowed, sequence_lengths, transition_params)


def crf_log_likelihood(inputs, tag_indices, sequence_lengths, transition_params=None):
    """The log likelihood of the tags.

    Returns:
        ([B], the transitions [K, K]: a new variable `transitions` unless they were given).
    """
    classes = _v1.dimension_value(inputs.shape[2])
    if transition_params is None:
        transition_params = _v1.get_variable("transitions", [classes, classes])
    score = crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params)
    return score - crf_log_norm(inputs, sequence_lengths, transition_params), transition_params


def viterbi_decode(score, transition_params):
    """The most probable tags of one sequence, in numpy.

    Args:
        score: [T, K].
        transition_params: [K, K].

    Returns:
        (a list of T tags, their score).
    """
    trellis = np.zeros_like(score)
    back = np.zeros_like(score, dtype=np.int32)
    trellis[0] = score[0]
    for t in range(1, score.shape[0]):
        v = trellis[t - 1][:, None] + transition_params
        trellis[t] = score[t] + np.max(v, 0)
        back[t] = np.argmax(v, 0)
    path = [int(np.argmax(trellis[-1]))]
    for pointers in back[:0:-1]:
        path.append(int(pointers[path[-1]]))
    return path[::-1], np.max(trellis[-1])


def crf_decode(potentials, transition_params, sequence_length):
    """The most probable tags, as tensors.

    Returns:
        (tags int32 [B, T], 0 after each end; their scores [B]).
    """

    def combine(scores):
        return tf.reduce_max(scores, 1), tf.argmax(scores, 1, output_type=tf.int32)

    lengths = tf.cast(sequence_length, tf.int32)
    alphas, array = _forward(potentials, lengths, transition_params, combine)
    steps = tf.shape(potentials)[1]
    pointers = array.stack()  # [T, B, K]: the best previous tag, for each tag
    last = tf.argmax(alphas, 1, output_type=tf.int32)
    batch = tf.shape(last)[0]

    def body(time, tags, result):
        inside = time < lengths
        result = result.write(time, tf.where(inside, tags, tf.zeros_like(tags)))

        def before():
            return tf.gather(pointers[time], tags, batch_dims=1)

        previous = tf.cond(time > 0, before, lambda: tags)
        return time - 1, tf.where(inside, previous, tags), result

    result = tf.TensorArray(tf.int32, size=steps)
    _, _, result = _v1.while_loop(lambda time, *_: time >= 0, body, (steps - 1, last, result), back_prop=False)
    tags = tf.reshape(tf.transpose(result.stack()), tf.stack([batch, steps]))
    tags.set_shape(potentials.shape[:2])
    return tags, tf.reduce_max(alphas, 1)
