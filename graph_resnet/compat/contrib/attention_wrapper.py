"""The attention cell of `tf.contrib.seq2seq`, and its state."""

import collections

import tensorflow as tf
from tensorflow.python.util import nest

from ..one_keras import layers, rnn_cell

_v1 = tf.compat.v1
Dense, RNNCell = layers.Dense, rnn_cell.RNNCell

_FIELDS = ("cell_state", "attention", "time", "alignments", "alignment_history", "attention_state")


class AttentionWrapperState(collections.namedtuple("AttentionWrapperState", _FIELDS)):
    """The state of an `AttentionWrapper`."""

    def clone(self, **kwargs):
        """A state with some fields replaced; keeps the static shapes."""

        def with_shape(old, new):
            if isinstance(old, tf.Tensor) and isinstance(new, tf.Tensor) and not isinstance(old, tf.TensorArray):
                new = tf.identity(new)
                new.set_shape(old.shape)
            return new

        return nest.map_structure(with_shape, self, self._replace(**kwargs))


def _compute_attention(mechanism, cell_output, attention_state, attention_layer):
    alignments, state = mechanism(cell_output, state=attention_state)
    context = tf.squeeze(tf.matmul(alignments[:, None], mechanism.values), [1])
    if attention_layer is not None:
        return attention_layer(tf.concat([cell_output, context], 1)), alignments, state
    return context, alignments, state


class AttentionWrapper(RNNCell):
    """A cell that attends to one memory or several after each step."""

    def __init__(
        self,
        cell,
        attention_mechanism,
        attention_layer_size=None,
        alignment_history=False,
        cell_input_fn=None,
        output_attention=True,
        initial_cell_state=None,
        name=None,
        attention_layer=None,
        attention_fn=None,
        dtype=None,
    ):
        super().__init__(name=name)
        self._is_multi = isinstance(attention_mechanism, (list, tuple))
        self._attention_mechanisms = tuple(attention_mechanism) if self._is_multi else (attention_mechanism,)
        self._cell_input_fn = cell_input_fn or (lambda inputs, attention: tf.concat([inputs, attention], -1))
        self._cell, self._alignment_history, self._output_attention = cell, alignment_history, output_attention
        self._attention_fn = attention_fn or _compute_attention
        self._initial_cell_state = initial_cell_state
        self._attention_layers = None
        if attention_layer_size is not None and attention_layer is not None:
            raise ValueError("Only one of attention_layer_size and attention_layer should be set")
        count = len(self._attention_mechanisms)
        if attention_layer_size is not None:
            sizes = attention_layer_size if isinstance(attention_layer_size, (list, tuple)) else [attention_layer_size]
            if len(sizes) != count:
                raise ValueError(f"{count} attention mechanisms need as many attention_layer_size, not {len(sizes)}.")
            self._attention_layers = tuple(
                Dense(size, name="attention_layer", use_bias=False, dtype=mechanism.dtype)
                for size, mechanism in zip(sizes, self._attention_mechanisms)
            )
            self._attention_layer_size = sum(sizes)
        elif attention_layer is not None:
            layers = attention_layer if isinstance(attention_layer, (list, tuple)) else [attention_layer]
            self._attention_layers = tuple(layers)
            shapes = [
                tf.TensorShape([None, cell.output_size + _v1.dimension_value(m.values.shape[-1])])
                for m in self._attention_mechanisms
            ]
            sizes = [layer.compute_output_shape(shape)[-1] for layer, shape in zip(layers, shapes)]
            self._attention_layer_size = sum(_v1.dimension_value(size) for size in sizes)
        else:
            self._attention_layer_size = sum(
                _v1.dimension_value(m.values.shape[-1]) for m in self._attention_mechanisms
            )

    def _item_or_tuple(self, values):
        values = tuple(values)
        return values if self._is_multi else values[0]

    @property
    def output_size(self):
        return self._attention_layer_size if self._output_attention else self._cell.output_size

    @property
    def state_size(self):
        sizes = [mechanism.alignments_size for mechanism in self._attention_mechanisms]
        return AttentionWrapperState(
            cell_state=self._cell.state_size,
            time=tf.TensorShape([]),
            attention=self._attention_layer_size,
            alignments=self._item_or_tuple(sizes),
            attention_state=self._item_or_tuple(m.state_size for m in self._attention_mechanisms),
            alignment_history=self._item_or_tuple(size if self._alignment_history else () for size in sizes),
        )

    def zero_state(self, batch_size, dtype):
        with _v1.name_scope(type(self).__name__ + "ZeroState"):
            if self._initial_cell_state is not None:
                cell_state = nest.map_structure(tf.identity, self._initial_cell_state)
            else:
                cell_state = self._cell.zero_state(batch_size, dtype)
            alignments = [m.initial_alignments(batch_size, dtype) for m in self._attention_mechanisms]
            return AttentionWrapperState(
                cell_state=cell_state,
                time=tf.zeros([], tf.int32),
                attention=tf.zeros(tf.stack([batch_size, self._attention_layer_size]), dtype),
                alignments=self._item_or_tuple(alignments),
                attention_state=self._item_or_tuple(
                    m.initial_state(batch_size, dtype) for m in self._attention_mechanisms
                ),
                alignment_history=self._item_or_tuple(
                    tf.TensorArray(dtype, 0, dynamic_size=True, element_shape=a.shape)
                    if self._alignment_history
                    else ()
                    for a in alignments
                ),
            )

    def call(self, inputs, state):
        if not isinstance(state, AttentionWrapperState):
            raise TypeError(f"Expected state to be an AttentionWrapperState, not {type(state)}.")
        cell_output, cell_state = self._cell(self._cell_input_fn(inputs, state.attention), state.cell_state)
        previous_states = state.attention_state if self._is_multi else [state.attention_state]
        histories = state.alignment_history if self._is_multi else [state.alignment_history]
        layers = self._attention_layers or [None] * len(self._attention_mechanisms)
        attentions, alignments, states, new_histories = [], [], [], []
        for mechanism, previous, history, layer in zip(self._attention_mechanisms, previous_states, histories, layers):
            attention, alignment, next_state = self._attention_fn(mechanism, cell_output, previous, layer)
            attentions.append(attention)
            alignments.append(alignment)
            states.append(next_state)
            new_histories.append(history.write(state.time, alignment) if self._alignment_history else ())
        attention = tf.concat(attentions, 1)
        next_state = AttentionWrapperState(
            time=state.time + 1,
            cell_state=cell_state,
            attention=attention,
            attention_state=self._item_or_tuple(states),
            alignments=self._item_or_tuple(alignments),
            alignment_history=self._item_or_tuple(new_histories),
        )
        return (attention if self._output_attention else cell_output), next_state
