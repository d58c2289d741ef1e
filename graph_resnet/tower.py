"""A recipe's net as a tower: logits, loss, accuracy and confusion matrix. Training and inference build with it."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from graph_resnet import net
from graph_resnet.errors import UserError

import tf_slim as slim  # isort: skip  (graph_resnet.net made it importable)


def check_image_size(recipe):
    """Refuses images smaller than the filters of an unpadded first convolution.

    Raises:
      UserError: names the minimum size.
    """
    stem = recipe.architecture.stem
    if stem.padding == "VALID" and recipe.image_size < stem.kernel:
        raise UserError(
            f"image size {recipe.image_size}: {recipe.net_name} needs at least {stem.kernel}; pass a larger one"
        )


def logits(
    recipe, images, num_classes, *, is_training, reuse=None, verbose=False, batch_norm=None, stem_initializer=None
):
    """The recipe's net on float32 images [B, S, S, 3]: float32 [B, num_classes].

    For `batch_norm` see `net.resnet_arg_scope`, for `stem_initializer` see `net.build`.
    """
    row = recipe.architecture
    scope = net.resnet_arg_scope(
        recipe.batch_norm_decay,
        biases=row.keras_style,
        batch_norm_scale=row.keras_style,
        weight_decay=recipe.weight_decay,
        batch_norm=batch_norm,
        activation=row.activation,
    )
    with slim.arg_scope(scope):
        return net.build(
            row,
            images,
            num_classes,
            reuse=reuse,
            is_training=is_training,
            verbose=verbose,
            stem_initializer=stem_initializer,
        )


def loss_and_accuracy(logits, labels):
    """(mean cross entropy in nats, accuracy in 0..1), float32 scalars, of logits [B, C] and int labels [B]."""
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    right = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels)
    return loss, tf.reduce_mean(tf.cast(right, tf.float32))


def confusion(logits, labels):
    """Number of images of class `row` predicted as class `column`, int32 [C, C]; logits [B, C], int32 labels [B]."""
    classes = tf.dimension_value(logits.shape[1])
    cells = labels * classes + tf.argmax(logits, 1, output_type=tf.int32)
    # tf.math.confusion_matrix needs eight functions with checks, which TensorBoard would show beside the graph.
    counts = tf.raw_ops.Bincount(arr=cells, size=classes**2, weights=tf.constant([], tf.int32))
    return tf.reshape(counts, [classes, classes])
