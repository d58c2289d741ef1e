"""Functions of `tf.contrib.layers` that TF-Slim lacks: encoders of sequences and lookups of embeddings."""

import tensorflow as tf

_v1 = tf.compat.v1
safe_embedding_lookup_sparse = _v1.nn.safe_embedding_lookup_sparse
SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY = 0xDECAFCAFFE


def _embedding(vocab_size, embed_dim, initializer, regularizer, trainable, name="embeddings"):
    from tf_slim.ops.variables import model_variable

    return model_variable(
        name, shape=[vocab_size, embed_dim], initializer=initializer, regularizer=regularizer, trainable=trainable
    )


def embed_sequence(
    ids,
    vocab_size=None,
    embed_dim=None,
    unique=False,
    initializer=None,
    regularizer=None,
    trainable=True,
    scope=None,
    reuse=None,
):
    """The embeddings [B, T, D] of ids [B, T], from a variable `embeddings`."""
    if not (reuse or (vocab_size and embed_dim)):
        raise ValueError(
            f"Must specify vocab size and embedding dimension when not reusing. Got {vocab_size}, {embed_dim}."
        )
    with _v1.variable_scope(scope, "EmbedSequence", [ids], reuse=reuse):
        if vocab_size and embed_dim:
            embeddings = _embedding(vocab_size, embed_dim, initializer, regularizer, trainable)
        else:
            embeddings = _v1.get_variable("embeddings")
        return tf.nn.embedding_lookup(embeddings, tf.convert_to_tensor(ids))


def bow_encoder(
    ids,
    vocab_size,
    embed_dim,
    sparse_lookup=True,
    initializer=None,
    regularizer=None,
    trainable=True,
    scope=None,
    reuse=None,
):
    """The mean embedding [B, D] of each row of ids [B, T]."""
    with _v1.variable_scope(scope, "bow_encoder", [ids], reuse=reuse):
        embeddings = _embedding(vocab_size, embed_dim, initializer, regularizer, trainable)
        if not sparse_lookup:
            return tf.reduce_mean(tf.nn.embedding_lookup(embeddings, ids), 1)
        if not isinstance(ids, tf.SparseTensor):
            from tf_slim.layers import dense_to_sparse

            ids = dense_to_sparse(ids)
        return _v1.nn.embedding_lookup_sparse(embeddings, ids, None, combiner="mean")


def embedding_lookup_unique(params, ids, partition_strategy="mod", name=None):
    """tf.nn.embedding_lookup that looks each id up once."""
    ids = tf.convert_to_tensor(ids)
    unique, index = tf.unique(tf.reshape(ids, [-1]))
    rows = tf.gather(_v1.nn.embedding_lookup(params, unique, partition_strategy=partition_strategy, name=name), index)
    result = tf.reshape(rows, tf.concat([tf.shape(ids), tf.shape(rows)[1:]], 0))
    result.set_shape(ids.shape.concatenate(rows.shape[1:]))
    return result
