"""The helpers of `tf.contrib.seq2seq`, which choose a decoder's inputs step by step."""

import abc

import tensorflow as tf
from tensorflow.python.util import nest

_v1 = tf.compat.v1


def transpose(x):
    """[T, B, ...] -> [B, T, ...] and back; keeps the known static shape."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.ndims)])


_transpose_batch_time = transpose


def _unstack_ta(x):
    """A TensorArray of the steps of x [T, ...]."""
    return tf.TensorArray(x.dtype, size=tf.shape(x)[0], element_shape=x.shape[1:]).unstack(x)


class Helper(abc.ABC):
    """Chooses ids from a step's outputs and returns the next step's inputs."""

    batch_size = property(lambda self: self._batch_size)
    sample_ids_shape = property(lambda self: tf.TensorShape([]))
    sample_ids_dtype = property(lambda self: tf.int32)

    @abc.abstractmethod
    def initialize(self, name=None):
        """Returns (finished [B], the first inputs)."""

    @abc.abstractmethod
    def sample(self, time, outputs, state, name=None):
        """Returns the ids of this step."""

    @abc.abstractmethod
    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """Returns (finished [B], the next inputs, the next state)."""


class CustomHelper(Helper):
    """A helper made of three functions."""

    def __init__(self, initialize_fn, sample_fn, next_inputs_fn, sample_ids_shape=None, sample_ids_dtype=None):
        self._functions = initialize_fn, sample_fn, next_inputs_fn
        self._shape = tf.TensorShape(sample_ids_shape if sample_ids_shape is not None else [])
        self._dtype = sample_ids_dtype or tf.int32
        self._batch_size = None

    sample_ids_shape = property(lambda self: self._shape)
    sample_ids_dtype = property(lambda self: self._dtype)

    def initialize(self, name=None):
        finished, inputs = self._functions[0]()
        if self._batch_size is None:
            self._batch_size = tf.size(finished)
        return finished, inputs

    def sample(self, time, outputs, state, name=None):
        return self._functions[1](time=time, outputs=outputs, state=state)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        return self._functions[2](time=time, outputs=outputs, state=state, sample_ids=sample_ids)


class TrainingHelper(Helper):
    """Feeds the given inputs, regardless of the decoder's outputs.

    Args:
        inputs: [B, T, ...], or [T, B, ...] with `time_major`, or a structure of them.
        sequence_length: int32 [B].
    """

    def __init__(self, inputs, sequence_length, time_major=False, name=None):
        self._inputs = nest.map_structure(tf.convert_to_tensor, inputs)
        inputs = self._inputs if time_major else nest.map_structure(transpose, self._inputs)
        self._input_tas = nest.map_structure(_unstack_ta, inputs)
        self._sequence_length = tf.convert_to_tensor(sequence_length, name="sequence_length")
        if self._sequence_length.shape.ndims != 1:
            raise ValueError(
                f"Expected sequence_length to be a vector, but received shape: {self._sequence_length.shape}"
            )
        self._zero_inputs = nest.map_structure(lambda x: tf.zeros_like(x[0]), inputs)
        self._batch_size = tf.size(sequence_length)

    inputs = property(lambda self: self._inputs)
    sequence_length = property(lambda self: self._sequence_length)

    def _read(self, time, finished):
        everything = tf.reduce_all(finished)
        return tf.cond(
            everything, lambda: self._zero_inputs, lambda: nest.map_structure(lambda a: a.read(time), self._input_tas)
        )

    def initialize(self, name=None):
        finished = tf.equal(0, self._sequence_length)
        return finished, self._read(0, finished)

    def sample(self, time, outputs, state=None, name=None):
        return tf.cast(tf.argmax(outputs, axis=-1), tf.int32)

    def next_inputs(self, time, outputs, state, sample_ids=None, name=None):
        finished = time + 1 >= self._sequence_length
        return finished, self._read(time + 1, finished), state


class ScheduledEmbeddingTrainingHelper(TrainingHelper):
    """A TrainingHelper that feeds, with `sampling_probability`, the embedding of a sampled id instead."""

    def __init__(
        self,
        inputs,
        sequence_length,
        embedding,
        sampling_probability,
        time_major=False,
        seed=None,
        scheduling_seed=None,
        name=None,
    ):
        super().__init__(inputs, sequence_length, time_major)
        self._embedding_fn = embedding if callable(embedding) else lambda ids: tf.nn.embedding_lookup(embedding, ids)
        self._probability, self._seed, self._scheduling_seed = sampling_probability, seed, scheduling_seed

    def sample(self, time, outputs, state, name=None):
        chosen = tf.random.uniform([self._batch_size], seed=self._scheduling_seed) < self._probability
        ids = tf.reshape(tf.cast(_v1.multinomial(outputs, 1, seed=self._seed), tf.int32), [-1])
        return tf.where(chosen, ids, tf.fill([self._batch_size], -1))

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        finished, inputs, state = super().next_inputs(time, outputs, state)
        sampled = self._embedding_fn(tf.maximum(sample_ids, 0))
        return finished, tf.where((sample_ids >= 0)[:, None], sampled, inputs), state


class ScheduledOutputTrainingHelper(TrainingHelper):
    """A TrainingHelper that feeds, with `sampling_probability`, the decoder's own output instead."""

    def __init__(
        self,
        inputs,
        sequence_length,
        sampling_probability,
        time_major=False,
        seed=None,
        next_inputs_fn=None,
        auxiliary_inputs=None,
        name=None,
    ):
        super().__init__(inputs, sequence_length, time_major)
        if auxiliary_inputs is not None:
            raise NotImplementedError("ScheduledOutputTrainingHelper: auxiliary_inputs is not supported; leave it out.")
        self._probability, self._seed = sampling_probability, seed
        self._next_inputs_fn = next_inputs_fn or (lambda outputs: outputs)

    sample_ids_dtype = property(lambda self: tf.bool)

    def sample(self, time, outputs, state, name=None):
        return tf.random.uniform([self._batch_size], seed=self._seed) < self._probability

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        finished, inputs, state = super().next_inputs(time, outputs, state)
        return finished, tf.where(sample_ids[:, None], self._next_inputs_fn(outputs), inputs), state


class GreedyEmbeddingHelper(Helper):
    """Feeds the embedding of the most probable id, until `end_token`.

    Args:
        embedding: a function of ids, or the table [V, D].
        start_tokens: int32 [B].
        end_token: the id that ends a sequence.
    """

    def __init__(self, embedding, start_tokens, end_token):
        self._embedding_fn = embedding if callable(embedding) else lambda ids: tf.nn.embedding_lookup(embedding, ids)
        self._start_tokens = tf.convert_to_tensor(start_tokens, tf.int32, name="start_tokens")
        self._end_token = tf.convert_to_tensor(end_token, tf.int32, name="end_token")
        if self._start_tokens.shape.ndims != 1:
            raise ValueError("start_tokens must be a vector")
        if self._end_token.shape.ndims != 0:
            raise ValueError("end_token must be a scalar")
        self._batch_size = tf.size(start_tokens)
        self._start_inputs = self._embedding_fn(self._start_tokens)

    def initialize(self, name=None):
        return tf.tile([False], [self._batch_size]), self._start_inputs

    def sample(self, time, outputs, state, name=None):
        return tf.argmax(outputs, axis=-1, output_type=tf.int32)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        finished = tf.equal(sample_ids, self._end_token)
        inputs = tf.cond(tf.reduce_all(finished), lambda: self._start_inputs, lambda: self._embedding_fn(sample_ids))
        return finished, inputs, state


class SampleEmbeddingHelper(GreedyEmbeddingHelper):
    """Feeds the embedding of an id drawn from the outputs' distribution."""

    def __init__(self, embedding, start_tokens, end_token, softmax_temperature=None, seed=None):
        super().__init__(embedding, start_tokens, end_token)
        self._temperature, self._seed = softmax_temperature, seed

    def sample(self, time, outputs, state, name=None):
        logits = outputs if self._temperature is None else outputs / self._temperature
        return tf.reshape(tf.cast(_v1.multinomial(logits, 1, seed=self._seed), tf.int32), [-1])


class InferenceHelper(Helper):
    """Feeds inputs that the caller's functions compute from the outputs."""

    def __init__(
        self, sample_fn, sample_shape, sample_dtype=tf.int32, start_inputs=None, end_fn=None, next_inputs_fn=None
    ):
        self._sample_fn, self._end_fn, self._next_inputs_fn = sample_fn, end_fn, next_inputs_fn
        self._shape, self._dtype = tf.TensorShape(sample_shape), sample_dtype
        self._start_inputs = tf.convert_to_tensor(start_inputs, name="start_inputs")
        self._batch_size = tf.shape(self._start_inputs)[0]

    sample_ids_shape = property(lambda self: self._shape)
    sample_ids_dtype = property(lambda self: self._dtype)

    def initialize(self, name=None):
        return tf.tile([False], [self._batch_size]), self._start_inputs

    def sample(self, time, outputs, state, name=None):
        return self._sample_fn(outputs)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        inputs = sample_ids if self._next_inputs_fn is None else self._next_inputs_fn(sample_ids)
        return self._end_fn(sample_ids), inputs, state
