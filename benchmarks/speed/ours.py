"""This project as a peer: the training graph of the command, the exported net, and matrix products."""

import dataclasses
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow.compat.v1 as tf

from benchmarks.speed import ready
from benchmarks.speed.worker import Peer, timed
from graph_resnet import tower
from graph_resnet.config import TrainedNet
from graph_resnet.data import find
from graph_resnet.inference import saved_model
from graph_resnet.session import session_config
from graph_resnet.training import graph
from graph_resnet.training.work import threads_and_ops

VERSIONS = {"TensorFlow": tf.__version__}
FEW = 4  # number of images whose logits are compared


def training(net, precision, own_input=False, image_size=None, batch_size=None, cores=None, towers=None):
    """Training steps of the graph that `graph_resnet.train` builds, with its threads.

    Args:
      net: 'bottleneck', 'resnet18' or 'fast'.
      precision: 'float32' or 'bfloat16'.
      own_input: batches from record files as in training, with flips and resizing; else ready batches.
      image_size, batch_size, towers: default the recipe's; for towers see `graph_resnet.training.towers`.
      cores: how many to use, default all.
    """
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    recipe, records = ready.recipe(net, image_size, batch_size), find.cifar("synthetic")
    recipe = dataclasses.replace(recipe, towers=towers or recipe.towers)
    threads, at_once = threads_and_ops(recipe)
    config = session_config(precision, threads=threads, at_once=at_once)
    with tf.Session(config=config):
        pass  # the first session sizes the thread pools
    with tf.Graph().as_default():
        if own_input:
            built = graph.build(recipe, records, seed=0, precision=precision)
        else:
            images, labels = ready_batch(recipe)
            parts = images if recipe.towers == 1 else tf.split(images, recipe.towers)
            built = graph.on_batches(recipe, (parts, labels, images, labels), records, precision=precision)
        facts = facts_of(recipe)
        session = initialized(tf.Session(config=config))
    step = timed(lambda: session.run([built.train_op, built.train_loss]))
    step(2)
    return Peer({"step": step}, VERSIONS, facts)


def ready_batch(recipe, shift=0):
    """The next of the ready batches at every step: (float32 [B, S, S, 3], int32 [B])."""
    index = (tf.train.get_or_create_global_step() + shift) % 4
    # Gathered, not sliced: the bfloat16 rewrite would first cast all four batches.
    return tuple(_local_variable(batches).sparse_read(index) for batches in ready.batches(recipe))


def _local_variable(value):
    # The value is fed when the variable is initialized, so it is not a constant of the graph.
    initial = tf.numpy_function(lambda: value, [], value.dtype)
    initial.set_shape(value.shape)
    return tf.Variable(initial, trainable=False, collections=[tf.GraphKeys.LOCAL_VARIABLES], use_resource=True)


def facts_of(recipe):
    """What is compared before timing, for the net in the default graph: parameter count, logits in float32."""
    images = ready.batches(recipe, count=1)[0][0, :FEW]
    logits = tower.logits(recipe, tf.constant(images), ready.CLASSES, is_training=False, reuse=True)
    with tf.Session(config=session_config()) as session:
        logits = initialized(session).run(logits)
    return {"parameters": sum(v.shape.num_elements() for v in tf.trainable_variables()), "logits": logits.tolist()}


def initialized(session):
    """Initializes everything in the default graph, the net's variables by `ready.weight`; returns the session."""
    for op in (tf.global_variables_initializer(), tf.local_variables_initializer(), tf.tables_initializer()):
        session.run(op)
    variables = tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)
    values = {v.initializer.inputs[1]: ready.weight(v.op.name, v.shape.as_list()) for v in variables}
    session.run([v.initializer for v in variables], values)
    return session


def inference(net, precision):
    """Predictions of the exported graph, which takes uint8 images: tasks 'batch 1' and 'batch 64'.

    Uses the settings that docs/export.md recommends for single images; they make no difference for 64.
    """
    os.environ["TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD"] = "1"
    recipe = ready.recipe(net, batch_size=64)
    with tempfile.TemporaryDirectory() as directory, tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, recipe.image_size, recipe.image_size, 3])
        tower.logits(recipe, images, ready.CLASSES, is_training=False)
        with tf.Session(config=session_config()) as session:
            checkpoint = tf.train.Saver().save(initialized(session), f"{directory}/model.ckpt")
        trained = TrainedNet(Path(directory), recipe, ("",) * ready.CLASSES, precision, {})
        frozen = saved_model.frozen(trained, checkpoint)
        parameters = sum(v.shape.num_elements() for v in tf.trainable_variables())
    pictures = ready.pictures(recipe, 1)[0][0]
    with tf.Graph().as_default():
        tf.import_graph_def(frozen, name="")
        with tf.Session(config=session_config()) as session:
            logits = session.run("logits:0", {"images:0": pictures[:FEW]})
        config = session_config(precision)
        config.inter_op_parallelism_threads = -1  # runs all ops in the thread that calls run()
        session = tf.Session(config=config)
    tasks = {
        f"batch {size}": timed(lambda few=pictures[:size]: session.run("logits:0", {"images:0": few}))
        for size in (1, 64)
    }
    for task in tasks.values():
        task(3)
    return Peer(tasks, VERSIONS, {"parameters": parameters, "logits": logits.tolist()})


def products(size=2048):
    """Matrix products [size, size] by [size, size]: tasks 'float32' and 'bfloat16', and their `flops`."""
    rng = np.random.default_rng(0)
    with tf.Graph().as_default():
        session = tf.Session(config=session_config())
        tasks = {}
        for name in ("float32", "bfloat16"):
            factor = tf.Variable(tf.cast(rng.normal(size=[size, size]), name), use_resource=True)
            product = tf.matmul(factor, factor).op
            tasks[name] = timed(lambda product=product: session.run(product))
        session.run(tf.global_variables_initializer())
    for task in tasks.values():
        task(3)
    return Peer(tasks, VERSIONS, {"flops": 2 * size**3})


def step_flops(net):
    """Peer without a task that only reports the `flops` of a training step."""
    return Peer({}, VERSIONS, {"flops": flops(ready.recipe(net))})


def flops(recipe, num_classes=ready.CLASSES):
    """Multiplications and additions of a recipe's training step.

    Backward runs each layer's products twice, for its input and for its weights, but only once for the first layer.
    """
    with tf.Graph().as_default() as default:
        images = tf.placeholder(tf.float32, [recipe.batch_size, recipe.image_size, recipe.image_size, 3])
        tower.logits(recipe, images, num_classes, is_training=False)
        total = 0
        for op in default.get_operations():
            if op.type in ("Conv2D", "MatMul"):
                per_output = op.inputs[1].shape[:-1].num_elements()
                total += 2 * op.outputs[0].shape.num_elements() * per_output * (2 if op.inputs[0] is images else 3)
    return total
