"""Builds the training graph of a recipe: input, two static towers, loss, optimizer."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from graph_resnet import tower
from graph_resnet.data import batches, steps
from graph_resnet.errors import UserError
from graph_resnet.loop.graph_to_train import GraphToTrain
from graph_resnet.training import filter_gradients, lookahead, muon, towers, whitening


def build(recipe, records, *, seed, precision="float32", trainable_scopes=(), cluster=None):
    """Builds a recipe's training graph in the default graph, from the record files to the update.

    Args:
      recipe: `recipes.Recipe`.
      records: `find.Records`.
      seed: int, of initial weights, shuffling and augmentation.
      precision, trainable_scopes, cluster: see `on_batches`.

    Returns:
      A `GraphToTrain`.

    Raises:
      UserError: a scope has no trainable variable, the images are too small for the net, or the batch does not divide
        into the recipe's towers.
    """
    tower.check_image_size(recipe)
    towers.check(recipe, cluster.size if cluster else 1)
    tf.set_random_seed(seed)
    tensors = batches.train_and_validation(
        records,
        recipe.image_size,
        recipe.batch_size,
        seed=seed,
        flip=recipe.flip,
        alternating_flips=recipe.alternating_flips,
        crop=recipe.crop,
        cutout=recipe.cutout,
        mean=recipe.mean,
        std=recipe.std,
        rows=cluster.rows if cluster else slice(None),
        parts=recipe.towers,
    )
    return on_batches(recipe, tensors, records, precision=precision, trainable_scopes=trainable_scopes, cluster=cluster)


def on_batches(recipe, tensors, records, *, precision="float32", trainable_scopes=(), cluster=None):
    """The part of `build` after the input.

    The training and validation towers share all variables. Each is built with a Python bool for is_training, so that
    batch norm and ReLU run as one kernel; a placeholder's conditionals would prevent that.

    Args:
      recipe: `recipes.Recipe`.
      tensors: (train_imgs, train_labels, val_imgs, val_labels), float32 [B, S, S, 3] and int32 [B]. Where the recipe
        has several towers, `train_imgs` is a list of their equal parts of the batch.
      records: `find.Records`, for the numbers of classes and of training images.
      precision: 'bfloat16' or 'float32', of the session that the graph will run in.
      trainable_scopes: prefixes of the variables to train; empty for all.
      cluster: `cluster.Cluster` if `train_imgs` are one worker's part of the batch.

    Returns:
      A `GraphToTrain`.

    Raises:
      UserError: a scope has no trainable variable.
    """
    train_imgs, train_labels, val_imgs, val_labels = tensors
    built = _training_towers(recipe, train_imgs, train_labels, records, precision=precision, cluster=cluster)
    with tf.name_scope("validation"):
        val_logits = towers.validation_logits(recipe, val_imgs, records.num_classes)
        val_loss, val_acc = tower.loss_and_accuracy(val_logits, val_labels)
        val_confusion = tower.confusion(val_logits, val_labels)
    step = steps.global_step()
    with tf.name_scope("learning_rate"):
        rate = learning_rate(recipe, step, recipe.total_steps(records.num_train))
    update = optimizer(recipe, rate)
    variables = _trainable(trainable_scopes)
    each = [
        towers.Tower(loss, accuracy, _gradients(recipe, update, minimized, variables), update_ops)
        for loss, accuracy, minimized, update_ops in built
    ]
    gradients, train_loss, train_acc, update_ops = towers.in_step(each)
    if cluster:
        gradients, train_loss, train_acc, update_ops = cluster.in_step(gradients, train_loss, train_acc, update_ops)
    with tf.control_dependencies(update_ops):
        train_op = update.apply_gradients(gradients, step)
    if recipe.lookahead:
        train_op = lookahead.after(train_op, step, recipe.lookahead, recipe.total_steps(records.num_train))
    return GraphToTrain(
        train_op,
        train_loss,
        train_acc,
        val_loss,
        val_acc,
        val_confusion,
        learning_rate=rate,
        val_logits=val_logits,
        precise_batch_norm=recipe.precise_batch_norm,
    )


def _training_towers(recipe, images, labels, records, *, precision, cluster):
    """[(loss, accuracy, what is minimized, update ops)] of each training tower; for the arguments see `on_batches`."""
    batch_norm = cluster.batch_norm if cluster and recipe.sync_batch_norm else None
    stem = whitening.initializer(recipe, records) if recipe.whitening else None
    parts = [(images, labels)] if recipe.towers == 1 else zip(images, tf.split(labels, recipe.towers))
    built = []
    for i, (images, labels) in enumerate(parts):
        before = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        with filter_gradients.quickest(precision):
            logits = tower.logits(
                recipe,
                images,
                records.num_classes,
                is_training=True,
                reuse=True if i else None,
                batch_norm=batch_norm,
                stem_initializer=stem,
            )
        with tf.name_scope("training"):  # a box in TensorBoard, as the others
            loss, accuracy = tower.loss_and_accuracy(logits, labels)
            minimized = objective(recipe, loss, logits, labels)
        built.append((loss, accuracy, minimized, tf.get_collection(tf.GraphKeys.UPDATE_OPS)[before:]))
    return built


def _gradients(recipe, update, minimized, variables):
    """Pairs of a gradient and its variable, batch norm's beta at its own rate."""
    gradients = update.compute_gradients(minimized, variables)
    if recipe.beta_rate == 1:
        return gradients
    return [(g * recipe.beta_rate if v.op.name.endswith("/beta") else g, v) for g, v in gradients]


def objective(recipe, loss, logits, labels):
    """The loss to minimize: cross entropy (with label smoothing if the recipe has it) plus weight decay."""
    if recipe.label_smoothing:
        one_hot = tf.one_hot(labels, logits.shape[1])
        loss = tf.losses.softmax_cross_entropy(one_hot, logits, label_smoothing=recipe.label_smoothing)
    return loss + tf.losses.get_regularization_loss() if recipe.weight_decay else loss


def learning_rate(recipe, step, total_steps):
    """The learning rate of the update after `step` (an int variable), float32 scalar: see `Recipe.schedule`."""
    peak, warmup = recipe.learning_rate, recipe.warmup(total_steps)
    span = max(1, total_steps - warmup)
    rate = {
        "constant": lambda since: tf.constant(peak),
        "piecewise": lambda since: tf.train.piecewise_constant(
            since, [span // 2 - 1, span * 3 // 4 - 1], [peak, peak / 10, peak / 100]
        ),
        "cosine": lambda since: tf.train.cosine_decay(peak, since, span),
        "linear": lambda since: tf.train.polynomial_decay(peak, since, span, end_learning_rate=0.0),
        "triangular": lambda since: peak * _triangle(tf.cast(since, tf.float32) / span),
    }[recipe.schedule](tf.maximum(step - warmup, 0))
    if not warmup:
        return rate
    return tf.where(step < warmup, peak * (tf.cast(step, tf.float32) + 1) / warmup, rate)


def _triangle(progress):
    """0.2 at 0, 1 at 0.23, 0.07 at 1, linear in between: K. Jordan, arXiv:2404.00498, 2024."""
    rise, fall = progress / 0.23, (1 - progress) / (1 - 0.23)
    return tf.minimum(0.2 + 0.8 * rise, 0.07 + 0.93 * fall)


def optimizer(recipe, rate):
    """The recipe's optimizer; `rate` is a float or a scalar tensor."""
    if recipe.optimizer == "adam":
        return tf.train.AdamOptimizer(rate, epsilon=1e-7)  # Keras's epsilon
    if recipe.optimizer == "muon":
        return muon.Muon(rate, recipe.momentum)
    return tf.train.MomentumOptimizer(rate, recipe.momentum, use_nesterov=recipe.optimizer == "nesterov")


def _trainable(scopes):
    """The trainable variables in some scopes; all of them for no scopes."""
    variables = tf.trainable_variables()
    for scope in scopes:
        check_scope(scope, [variable.op.name for variable in variables], "--trainable-scopes")
    return [v for v in variables if not scopes or v.op.name.startswith(tuple(scopes))]


def check_scope(scope, names, flag):
    """Refuses a scope without variables, which is usually a typo."""
    if not any(name.startswith(scope) for name in names):
        tops = sorted({"/".join(name.split("/")[:2]) for name in names})
        raise UserError(f"{flag} {scope}: no variable begins with it; the scopes are {', '.join(tops)}")
