"""The beam search of `tf.contrib.seq2seq` (Y. Wu et al., Google's Neural Machine Translation System, 2016)."""

import collections

import tensorflow as tf
from tensorflow.python.util import nest

from .seq2seq import Decoder

_v1 = tf.compat.v1


class BeamSearchDecoderState(
    collections.namedtuple(
        "BeamSearchDecoderState", ("cell_state", "log_probs", "finished", "lengths", "accumulated_attention_probs")
    )
):
    """cell_state: [B, W, ...]; log_probs, finished, lengths: [B, W]."""


class BeamSearchDecoderOutput(
    collections.namedtuple("BeamSearchDecoderOutput", ("scores", "predicted_ids", "parent_ids"))
):
    """One step: [B, W] each."""


class FinalBeamSearchDecoderOutput(
    collections.namedtuple("FinalBeamDecoderOutput", ("predicted_ids", "beam_search_decoder_output"))
):
    """predicted_ids: [T, B, W], the best beam first."""


def tile_batch(t, multiplier, name=None):
    """Repeats each row of the batch `multiplier` times, in a tensor or structure: [B, ...] -> [B W, ...]."""

    def tile(x):
        if isinstance(x, tf.TensorArray):
            raise ValueError("tile_batch cannot tile a TensorArray.")
        x = tf.convert_to_tensor(x)
        tiled = tf.repeat(x, multiplier, axis=0)
        size = _v1.dimension_value(x.shape[0])
        static = [None if size is None or not isinstance(multiplier, int) else size * multiplier]
        tiled.set_shape(tf.TensorShape(static).concatenate(x.shape[1:]))
        return tiled

    with _v1.name_scope(name, "tile_batch"):
        return nest.map_structure(tile, t)


def gather_tree(step_ids, parent_ids, max_sequence_lengths, end_token):
    """Follows each beam from its last step back to its first.

    Args:
        step_ids, parent_ids: int32 [T, B, W].
        max_sequence_lengths: int32 [B].
        end_token: int32 scalar, fills the rest after a sequence's end.

    Returns:
        int32 [T, B, W].
    """
    steps, batch, width = tf.unstack(tf.shape(step_ids))
    lengths = tf.minimum(max_sequence_lengths, steps)  # [B]
    start = tf.tile(tf.range(width)[None], [batch, 1])

    def body(time, beams, array):
        inside = (time < lengths)[:, None]  # [B, 1]
        ids = tf.gather(step_ids[time], beams, batch_dims=1)
        parents = tf.gather(parent_ids[time], beams, batch_dims=1)
        array = array.write(time, tf.where(inside, ids, tf.fill([batch, width], end_token)))
        return time - 1, tf.where(inside, parents, beams), array

    array = tf.TensorArray(tf.int32, size=steps)
    _, _, array = _v1.while_loop(lambda time, *_: time >= 0, body, (steps - 1, start, array), back_prop=False)
    ids = array.stack()
    ended = tf.cumsum(tf.cast(tf.equal(ids, end_token), tf.int32), axis=0, exclusive=True) > 0
    result = tf.where(ended, tf.fill(tf.shape(ids), end_token), ids)
    result.set_shape(step_ids.shape)
    return result


def gather_tree_from_array(t, parent_ids, sequence_length):
    """Sorts a stacked TensorArray by the final beams.

    Beam `w` gets, for each step, the row of its sequence's beam after that step. As in TensorFlow 1.15: a cell writes
    before the beams of the step are chosen, so what it wrote for that sequence is in the row of the step before.

    Args:
        t: [T, B W, ...] or [T, B, W, ...].
        parent_ids: int32 [T, B, W].
        sequence_length: [B, W]; the steps after a sequence's end keep their order.

    Returns:
        A tensor like `t`.
    """
    steps, _, width = tf.unstack(tf.shape(parent_ids))
    beams = tf.zeros_like(parent_ids) + tf.range(width)
    longest = tf.cast(tf.reduce_max(sequence_length, axis=1), tf.int32)
    sources = gather_tree(beams, parent_ids, longest, width + 1)  # [T, B, W]
    inside = tf.transpose(tf.sequence_mask(sequence_length, steps), [2, 0, 1])
    by_beam = tf.reshape(t, tf.concat([tf.shape(parent_ids), [-1]], 0))
    in_order = tf.gather(by_beam, tf.where(inside, sources, beams), batch_dims=2)
    return tf.ensure_shape(tf.reshape(in_order, tf.shape(t)), t.shape)


def _length_penalty(lengths, weight):
    """((5 + length) / 6) ** weight, [B, W]; 1 without a weight."""
    if tf.get_static_value(weight) == 0.0:
        return 1.0
    return tf.pow((5.0 + tf.cast(lengths, tf.float32)) / 6.0, weight)


class BeamSearchDecoder(Decoder):
    """Keeps the `beam_width` most probable sequences of each batch row.

    Args:
        embedding: a function of ids, or the table [V, D].
        start_tokens: int32 [B].
        end_token: int32 scalar.
        initial_state: the cell's state for [B beam_width, ...], from `tile_batch`.
        reorder_tensor_arrays: whether the last state has the TensorArrays of the cell's state, such as the
            `alignment_history` of an `AttentionWrapper`, as tensors [T, B beam_width, ...] in the order of the beams.
    """

    def __init__(
        self,
        cell,
        embedding,
        start_tokens,
        end_token,
        initial_state,
        beam_width,
        output_layer=None,
        length_penalty_weight=0.0,
        coverage_penalty_weight=0.0,
        reorder_tensor_arrays=True,
    ):
        if tf.get_static_value(tf.convert_to_tensor(coverage_penalty_weight)) != 0.0:
            raise NotImplementedError("BeamSearchDecoder: coverage_penalty_weight is not supported; leave it at 0.")
        self._cell, self._output_layer, self._width = cell, output_layer, beam_width
        self._embedding_fn = embedding if callable(embedding) else lambda ids: tf.nn.embedding_lookup(embedding, ids)
        self._start_tokens = tf.convert_to_tensor(start_tokens, tf.int32)
        self._end_token = tf.convert_to_tensor(end_token, tf.int32)
        self._penalty, self._reorder_tensor_arrays = length_penalty_weight, reorder_tensor_arrays
        size = _v1.dimension_value(self._start_tokens.shape[0])
        self._batch_size = tf.size(start_tokens) if size is None else size
        self._initial_state = nest.map_structure(self._split, initial_state)
        tokens = tf.tile(self._start_tokens[:, None], [1, beam_width])
        self._start_inputs = self._embedding_fn(tokens)
        self._finished = tf.one_hot(
            tf.zeros([self._batch_size], tf.int32), beam_width, on_value=False, off_value=True, dtype=tf.bool
        )

    batch_size = property(lambda self: self._batch_size)
    tracks_own_finished = property(lambda self: True)

    @property
    def output_size(self):
        shape = tf.TensorShape([self._width])
        return BeamSearchDecoderOutput(scores=shape, predicted_ids=shape, parent_ids=shape)

    @property
    def output_dtype(self):
        dtype = nest.flatten(self._initial_state)[0].dtype
        return BeamSearchDecoderOutput(scores=dtype, predicted_ids=tf.int32, parent_ids=tf.int32)

    def _split(self, x):
        """[B W, ...] -> [B, W, ...]; scalars and TensorArrays are not changed."""
        if isinstance(x, tf.TensorArray) or x.shape.ndims == 0:
            return x
        shape = tf.concat([tf.stack([self._batch_size, self._width]), tf.shape(x)[1:]], 0)
        return self._shaped(tf.reshape(x, shape), x.shape[1:])

    def _shaped(self, x, rest):
        size = self._batch_size if isinstance(self._batch_size, int) else None
        x.set_shape(tf.TensorShape([size, self._width]).concatenate(rest))
        return x

    def _merge(self, x):
        """[B, W, ...] -> [B W, ...]."""
        if isinstance(x, tf.TensorArray) or x.shape.ndims == 0:
            return x
        merged = tf.reshape(x, tf.concat([tf.stack([self._batch_size * self._width]), tf.shape(x)[2:]], 0))
        size = self._batch_size * self._width if isinstance(self._batch_size, int) else None
        merged.set_shape(tf.TensorShape([size]).concatenate(x.shape[2:]))
        return merged

    def initialize(self, name=None):
        dtype = nest.flatten(self._initial_state)[0].dtype
        log_probs = tf.one_hot(
            tf.zeros([self._batch_size], tf.int32), self._width, on_value=0.0, off_value=-float("inf"), dtype=dtype
        )
        state = BeamSearchDecoderState(
            cell_state=self._initial_state,
            log_probs=log_probs,
            finished=self._finished,
            lengths=tf.zeros([self._batch_size, self._width], tf.int64),
            accumulated_attention_probs=(),
        )
        return self._finished, self._start_inputs, state

    def step(self, time, inputs, state, name=None):
        with _v1.name_scope(name, "BeamSearchDecoderStep"):
            cell_state = nest.map_structure(self._merge, state.cell_state)
            outputs, next_cell_state = self._cell(nest.map_structure(self._merge, inputs), cell_state)
            outputs = self._split(outputs)
            next_cell_state = nest.map_structure(self._split, next_cell_state)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            output, state = self._choose(time, outputs, next_cell_state, state)
            inputs = tf.cond(
                tf.reduce_all(state.finished),
                lambda: self._start_inputs,
                lambda: self._embedding_fn(output.predicted_ids),
            )
        return output, state, inputs, state.finished

    def _choose(self, time, logits, cell_state, state):
        """The best W of the W V continuations of each row."""
        size = _v1.dimension_value(logits.shape[-1]) or tf.shape(logits)[-1]
        step = tf.nn.log_softmax(logits)
        # A finished beam continues only with end_token, at no cost.
        only_end = tf.one_hot(self._end_token, size, 0.0, step.dtype.min, dtype=step.dtype)
        step = tf.where(state.finished[:, :, None], only_end + tf.zeros_like(step), step)
        total = state.log_probs[:, :, None] + step  # [B, W, V]
        is_end = tf.one_hot(self._end_token, size, 0, 1, dtype=tf.int64)
        grow = is_end * tf.cast(tf.logical_not(state.finished), tf.int64)[:, :, None]
        lengths = state.lengths[:, :, None] + grow  # [B, W, V]
        scores = total / _length_penalty(lengths, self._penalty)
        scores = tf.reshape(scores, tf.stack([self._batch_size, -1]))
        best, indices = tf.nn.top_k(scores, k=self._width)
        ids, parents = indices % size, indices // size

        def pick(x):
            return tf.gather(tf.reshape(x, tf.stack([self._batch_size, -1])), indices, batch_dims=1)

        def of_parents(x):
            if isinstance(x, tf.TensorArray) or x.shape.ndims == 0:
                return x
            return self._shaped(tf.gather(x, parents, batch_dims=1), x.shape[2:])

        was_finished = of_parents(state.finished)
        next_state = BeamSearchDecoderState(
            cell_state=nest.map_structure(of_parents, cell_state),
            log_probs=self._shaped(pick(total), []),
            finished=tf.logical_or(was_finished, tf.equal(ids, self._end_token)),
            lengths=of_parents(state.lengths) + tf.cast(tf.logical_not(was_finished), tf.int64),
            accumulated_attention_probs=(),
        )
        output = BeamSearchDecoderOutput(
            scores=self._shaped(best, []), predicted_ids=self._shaped(ids, []), parent_ids=self._shaped(parents, [])
        )
        return output, next_state

    def _maybe_sort_array_beams(self, t, parent_ids, sequence_length):
        """A TensorArray as a tensor, sorted by beam; what has no element for each beam is not changed."""
        if not isinstance(t, tf.TensorArray):
            return t
        shape = t.element_shape
        size = self._batch_size if isinstance(self._batch_size, int) else None
        by_row = shape[:1].is_compatible_with([None if size is None else size * self._width])
        by_beam = shape[:2].is_compatible_with([size, self._width])
        if not shape.ndims or not (by_row or by_beam):
            _v1.logging.warning("The beams of a TensorArray with elements of shape %s cannot be sorted.", shape)
            return t
        return gather_tree_from_array(t.stack(), parent_ids, sequence_length)

    def finalize(self, outputs, final_state, sequence_lengths):
        longest = tf.cast(tf.reduce_max(final_state.lengths, axis=1), tf.int32)
        ids = gather_tree(outputs.predicted_ids, outputs.parent_ids, longest, self._end_token)
        if self._reorder_tensor_arrays:

            def in_order(x):
                return self._maybe_sort_array_beams(x, outputs.parent_ids, final_state.lengths)

            final_state = final_state._replace(cell_state=nest.map_structure(in_order, final_state.cell_state))
        return FinalBeamSearchDecoderOutput(ids, outputs), final_state
