"""`tf.contrib.lookup`: today's lookup tables with their old names and signatures."""

import tensorflow as tf
from tensorflow.python.ops import lookup_ops

_v1 = tf.compat.v1
UNK_STRING = "UNK"


class HashTable(lookup_ops.StaticHashTableV1):
    """An immutable table; `init` is its initializer."""

    def __init__(self, initializer, default_value, shared_name=None, name=None):
        super().__init__(initializer, default_value, name=name)

    @property
    def init(self):
        return self.initializer


class MutableHashTable(lookup_ops.MutableHashTable):
    """A mutable table."""

    def __init__(
        self, key_dtype, value_dtype, default_value, shared_name=None, name="MutableHashTable", checkpoint=True
    ):
        super().__init__(key_dtype, value_dtype, default_value, name=name, checkpoint=checkpoint)


class MutableDenseHashTable(lookup_ops.DenseHashTable):
    """A mutable table with a reserved empty key (and, since TensorFlow 1.14, a reserved deleted key)."""

    def __init__(
        self,
        key_dtype,
        value_dtype,
        default_value,
        empty_key,
        deleted_key=-1,
        initial_num_buckets=None,
        shared_name=None,
        name="MutableDenseHashTable",
        checkpoint=True,
    ):
        super().__init__(
            key_dtype, value_dtype, default_value, empty_key, deleted_key, initial_num_buckets, name, checkpoint
        )


def string_to_index_table_from_file(
    vocabulary_file=None,
    num_oov_buckets=0,
    vocab_size=None,
    default_value=-1,
    hasher_spec=lookup_ops.FastHashSpec,
    name=None,
):
    """`index_table_from_file` with its old name."""
    return lookup_ops.index_table_from_file(
        vocabulary_file, num_oov_buckets, vocab_size, default_value, hasher_spec, key_dtype=tf.string, name=name
    )


def index_table_from_tensor(
    mapping, num_oov_buckets=0, default_value=-1, hasher_spec=lookup_ops.FastHashSpec, dtype=tf.string, name=None
):
    """A table from the strings (or integers) of `mapping` to their positions."""
    return lookup_ops.index_table_from_tensor(mapping, num_oov_buckets, default_value, hasher_spec, dtype, name)


string_to_index_table_from_tensor = index_table_from_tensor


def string_to_index(tensor, mapping, default_value=-1, name=None):
    """The positions of strings in `mapping`."""
    return index_table_from_tensor(mapping, default_value=default_value, name=name).lookup(tensor)


def index_to_string_table_from_tensor(mapping, default_value=UNK_STRING, name=None):
    """A table from positions to the strings of `mapping`."""
    return lookup_ops.index_to_string_table_from_tensor(mapping, default_value, name)


def index_to_string(tensor, mapping, default_value=UNK_STRING, name=None):
    """The strings of `mapping` at positions."""
    return index_to_string_table_from_tensor(mapping, default_value, name).lookup(tf.cast(tensor, tf.int64))
