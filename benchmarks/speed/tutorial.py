"""The tutorial's own graph as a peer: two towers on one placeholder, UPDATE_OPS of both, default session options."""

from benchmarks.speed import ready
from benchmarks.speed.ours import VERSIONS, facts_of, initialized, ready_batch, tf
from benchmarks.speed.worker import Peer, timed
from graph_resnet import tower
from graph_resnet.training import graph


def training(net):
    """Training steps in float32. Each also runs a validation batch and adds it to the moving averages."""
    recipe = ready.recipe(net)
    with tf.Graph().as_default():
        is_training = tf.placeholder(tf.bool, [])
        images, labels = ready_batch(recipe)
        val_images, _ = ready_batch(recipe, shift=1)
        logits = tower.logits(recipe, images, ready.CLASSES, is_training=is_training)
        tower.logits(recipe, val_images, ready.CLASSES, is_training=is_training, reuse=True)
        loss, _ = tower.loss_and_accuracy(logits, labels)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            train_op = graph.optimizer(recipe, recipe.learning_rate).minimize(loss, tf.train.get_global_step())
        session = initialized(tf.Session())  # the process's first session, which decides the threads of all
        facts = facts_of(recipe)
    step = timed(lambda: session.run([train_op, loss], {is_training: True}))
    step(2)
    return Peer({"step": step}, VERSIONS, facts)
