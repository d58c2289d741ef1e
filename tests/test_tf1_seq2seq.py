"""Attention and beam search of `tf.contrib.seq2seq`, in programs run with `python -m graph_resnet.tf1`."""

import pytest

from tests.test_tf1_run import run, write

pytestmark = pytest.mark.slow  # each imports TensorFlow

BEAMS = """
import numpy as np
import tensorflow as tf
from tensorflow.contrib import seq2seq
from tensorflow.contrib.seq2seq.python.ops.beam_search_decoder import gather_tree_from_array
from tensorflow.python.layers.core import Dense

batch, width, vocabulary, steps, end = 2, 4, 5, 6, 1
tf.set_random_seed(3)
memory = tf.constant(np.random.RandomState(0).randn(batch, 3, 4), tf.float32)
embedding = tf.get_variable('embedding', [vocabulary, 6], initializer=tf.random_normal_initializer())
output = Dense(vocabulary, kernel_initializer=tf.random_normal_initializer())


def search(reuse, **options):
    with tf.variable_scope('search', initializer=tf.random_normal_initializer(), reuse=reuse):
        attention = seq2seq.BahdanauAttention(8, seq2seq.tile_batch(memory, width))
        cell = seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(7), attention, alignment_history=True)
        start = cell.zero_state(batch * width, tf.float32)
        decoder = seq2seq.BeamSearchDecoder(cell, embedding, [0] * batch, end, start, width, output, **options)
        outputs, state, _ = seq2seq.dynamic_decode(decoder, output_time_major=True, maximum_iterations=steps)
    return outputs.beam_search_decoder_output.parent_ids, state.lengths, state.cell_state.alignment_history


parents, lengths, history = search(None)
raw = search(True, reorder_tensor_arrays=False)[-1]
print(history.shape, isinstance(raw, tf.TensorArray))
by_hand = gather_tree_from_array(
    tf.constant([[[1, 2, 3]], [[4, 5, 6]], [[7, 8, 9]], [[10, 11, 12]]]),
    tf.constant([[[0, 0, 0]], [[0, 1, 1]], [[2, 1, 2]], [[0, 0, 0]]]), tf.constant([[3, 3, 3]]))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print(sess.run(by_hand)[:, 0].tolist())
    parents, lengths, history, raw = sess.run([parents, lengths, history, raw.stack()])
raw, expected = (a.reshape(-1, batch, width, 3) for a in (raw, raw.copy()))
for row in range(batch):
    for last in range(width):
        beam = last
        for time in reversed(range(lengths[row].max())):
            if time < lengths[row, last]:
                expected[time, row, last] = raw[time, row, beam]
            beam = parents[time, row, beam]
print(len(set(lengths.ravel())) > 1, np.array_equal(history, expected.reshape(history.shape)))
print(np.array_equal(raw, expected))
"""


def test_the_alignment_history_of_a_beam_search_is_sorted_by_beam(tmp_path):
    """The first numbers by hand: the last beam is 2 at step 2, its parent 2 at step 1, and of that 1 at step 0."""
    write(tmp_path, "a.py", BEAMS)
    result = run(tmp_path, "a.py")
    sorted_by_hand = [[2, 2, 2], [6, 5, 6], [7, 8, 9], [10, 11, 12]]
    assert result.stdout.splitlines() == ["(?, 8, 3) True", str(sorted_by_hand), "True True", "False"], result.stderr


OWN_MECHANISM = """
import numpy as np
import tensorflow as tf
from tensorflow.contrib.framework import nest
from tensorflow.contrib.seq2seq.python.ops import attention_wrapper, decoder, helper
from tensorflow.contrib.seq2seq.python.ops.attention_wrapper import (
    AttentionMechanism, BahdanauAttention, _BaseAttentionMechanism, _bahdanau_score, _compute_attention, _luong_score,
    _maybe_mask_score, _prepare_memory, hardmax, safe_cumprod)
from tensorflow.python.ops import array_ops, functional_ops, rnn_cell_impl
from tensorflow.python.training import training_ops


class LocationSensitiveAttention(BahdanauAttention):
    def __call__(self, query, state):
        with tf.variable_scope(None, 'location', [query]):
            score = _bahdanau_score(self.query_layer(query), self._keys, self._normalize)
        return self._probability_fn(score - 9 * state, state), state + 1


class Dot(_BaseAttentionMechanism):
    def __init__(self, memory, lengths):
        super(Dot, self).__init__(None, memory, lambda score, state: tf.nn.softmax(score), lengths,
                                  tf.layers.Dense(3, kernel_initializer=tf.ones_initializer(), use_bias=False))

    def __call__(self, query, state):
        alignments = self._probability_fn(_luong_score(query, self.keys, False), state)
        return alignments, alignments


memory = tf.constant([[[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]]])
with tf.variable_scope('zero', initializer=tf.constant_initializer(1e-4)):
    location = LocationSensitiveAttention(5, memory, [2], normalize=True, name='location')
    context, alignments, state = _compute_attention(location, tf.ones([1, 3]), tf.constant([[0.0, 1.0, 2.0]]), None)
dot = Dot(memory, [2])(tf.ones([1, 3]), None)[0]
masked = [
    _maybe_mask_score(tf.ones([1, 3]), tf.constant([1]), -2.0),
    _maybe_mask_score(tf.ones([1, 3]), tf.constant([1]), score_mask_value=-2.0),
    _maybe_mask_score(tf.ones([1, 3]), memory_mask=tf.constant([[True, False, False]]), score_mask_value=-2.0)]
scores = [
    _luong_score(tf.ones([1, 2]), memory, tf.constant(0.5)),
    _bahdanau_score(tf.zeros([1, 2]), memory, tf.constant([1.0, 0.0])),
    _bahdanau_score(tf.zeros([1, 2]), memory, tf.constant([3.0, 4.0]), 5.0, tf.constant([9.0, 9.0]))]
zeros = decoder._create_zero_outputs((tf.TensorShape([2]), tf.TensorShape([])), (tf.float32, tf.int32), 3)
array = helper._unstack_ta(tf.constant([[1, 2], [3, 4]]))
print(isinstance(location, AttentionMechanism), isinstance(Dot, type), [z.shape.as_list() for z in zeros])
print(sorted(v.op.name for v in tf.trainable_variables() if 'location' in v.op.name))
print(callable(training_ops.apply_adam), helper._transpose_batch_time(memory).shape, rnn_cell_impl._LayerRNNCell)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print(*[a.round(3).tolist() for a in sess.run([alignments, state, context])])
    print(sess.run(dot).astype(float).round(4).tolist(), [m.tolist() for m in sess.run(masked)])
    print([s.astype(float).round(4).tolist() for s in sess.run(scores)])
    print(sess.run(array.read(1)).tolist(), sess.run(_prepare_memory(memory, [1], True)).sum())
    print(sess.run(functional_ops.map_fn(lambda x: x * 2, tf.constant([1, 2]))).tolist(), sess.run(hardmax([[1., 3.]])))
try:
    _prepare_memory(tf.placeholder(tf.float32, [None, None, None]), None, check_inner_dims_defined=True)
except ValueError as error:
    print(error)
"""


def test_the_private_functions_of_attention_that_programs_import(tmp_path):
    """By hand: alignments 1 / (1 + e^-9) after 9 * [0, 1]; keys x + y, so 3 and 6 for a query of ones."""
    write(tmp_path, "a.py", OWN_MECHANISM)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    assert lines[0] == "True True [[3, 2], [3]]", result.stderr
    names = ["attention_b", "attention_g", "attention_v", "query_layer/kernel"]
    assert eval(lines[1]) == [f"zero/location/{name}" for name in names]
    assert lines[2].startswith("True (3, 1, 2) <class ")
    assert lines[3:5] == [
        "[[1.0, 0.0, 0.0]] [[1.0, 2.0, 3.0]] [[1.0, 0.0]]",
        f"[[0.0474, 0.9526, 0.0]] {[[[1.0, -2.0, -2.0]]] * 3}",
    ]
    # tanh(1) and tanh(4); with |v| = 5 and g = 5 the weights stay 3 and 4, and tanh(9) is 1.
    assert lines[5] == "[[[0.5, 1.0, 4.0]], [[0.7616, 0.0, 0.9993]], [[7.0, 7.0, 7.0]]]"
    assert lines[6:8] == ["[3, 4] 1.0", "[2, 4] [[0. 1.]]"]
    assert "to have fully defined inner dims, but saw shape: (?, ?, ?)" in lines[8]
