"""Keras 3 as a peer, used as in its tutorials: default layers, float32, no options set."""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

from benchmarks.speed import ready
from benchmarks.speed.worker import Peer, timed

layers = tf.keras.layers
VERSIONS = {"Keras": tf.keras.__version__, "TensorFlow": tf.__version__}
NAMES = {"kernel": "weights", "bias": "biases"}  # Keras's names and ours; the others are the same


class Convolution:
    """A convolution with the layers after it. Layers are named like our scopes, with dots."""

    def __init__(self, *, scale, biases):
        self.scale, self.biases = scale, biases

    def __call__(self, x, name, depth, size, stride=1, padding="same", relu=True, norm=True):
        x = layers.Conv2D(depth, size, stride, padding, use_bias=self.biases, name=name)(x)
        if norm:
            x = layers.BatchNormalization(scale=self.scale, name=f"{name}.BatchNorm")(x)
        return layers.ReLU()(x) if relu else x


def bottleneck(size):
    """The tutorial's net: `tf.keras.Model`, images [B, size, size, 3] to logits."""
    convolution = Convolution(scale=False, biases=False)

    def block(x, name, narrow, depth, stride=1):
        shortcut = x
        if x.shape[-1] != depth:
            shortcut = convolution(x, f"{name}.shortcut", depth, 1, stride, relu=False)
        x = convolution(x, f"{name}.conv1", narrow, 1)
        x = convolution(x, f"{name}.conv2", narrow, 3, stride)
        x = convolution(x, f"{name}.conv3", depth, 1, relu=False)
        return layers.ReLU()(layers.Add()([shortcut, x]))

    images = tf.keras.Input([size, size, 3])
    x = convolution(images, "resnet.block1.conv5_5", 32, 5, 2)
    x = layers.MaxPooling2D(3, 2, "same")(x)
    x = block(x, "resnet.block2.residual_block1", 32, 128)
    x = block(x, "resnet.block2.residual_block2", 32, 128)
    x = block(x, "resnet.block3.residual_block1", 128, 512, 2)
    x = block(x, "resnet.block3.residual_block2", 128, 512)
    x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(images, layers.Dense(ready.CLASSES, name="resnet.classification.logit")(x))


def resnet18(size):
    """The Keras tutorials' ResNet-18, in the same way."""
    convolution = Convolution(scale=True, biases=True)

    def block(x, name, depth, stride=1):
        shortcut = x
        if stride > 1:
            shortcut = convolution(x, f"{name}.shortcut", depth, 1, stride, relu=False, norm=False)
        x = convolution(x, f"{name}.conv1", depth, 3, stride)
        x = convolution(x, f"{name}.conv2", depth, 3, relu=False)
        return layers.ReLU()(layers.Add()([shortcut, x]))

    images = tf.keras.Input([size, size, 3])
    x = convolution(images, "resnet18.stem.conv1", 64, 3, padding="valid")
    x = layers.MaxPooling2D(2, 1, "same")(x)
    for i, depth in enumerate((64, 128, 256, 512), 1):
        x = block(x, f"resnet18.block{i}.unit1", depth, 2 if i > 1 else 1)
        x = block(x, f"resnet18.block{i}.unit2", depth)
    x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(images, layers.Dense(ready.CLASSES, name="resnet18.logit")(x))


def model(recipe):
    """(the recipe's net with `ready.weight`s, its facts)."""
    net = {"bottleneck": bottleneck, "resnet18": resnet18}[recipe.net](recipe.image_size)
    for layer in net.layers:
        for variable in layer.variables:
            name = "/".join([*layer.name.split("."), NAMES.get(variable.name, variable.name)])
            variable.assign(ready.weight(name, variable.shape))
    parameters = sum(int(tf.size(variable)) for variable in net.trainable_variables)
    images = ready.batches(recipe, count=1)[0][0, :4]
    return net, {"parameters": parameters, "logits": net(images, training=False).numpy().tolist()}


def _optimizer(recipe):
    if recipe.optimizer == "momentum":
        return tf.keras.optimizers.SGD(recipe.learning_rate, recipe.momentum)
    return tf.keras.optimizers.Adam(recipe.learning_rate)


def loop(net):
    """Training steps in an eager loop around a GradientTape."""
    recipe = ready.recipe(net)
    network, facts = model(recipe)
    optimizer = _optimizer(recipe)
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    batches = iter(_dataset(recipe))

    def step():
        images, labels = next(batches)
        with tf.GradientTape() as tape:
            loss = loss_of(labels, network(images, training=True))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        return float(loss)

    step()
    return Peer({"step": timed(step)}, VERSIONS, facts)


def fit(net):
    """Training steps in `Model.fit`. Time before an epoch's first step and after its last does not count."""
    recipe = ready.recipe(net)
    network, facts = model(recipe)
    network.compile(_optimizer(recipe), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    dataset = _dataset(recipe)

    def run(steps):
        clock = _Clock()
        network.fit(dataset, steps_per_epoch=steps, verbose=0, callbacks=[clock])
        return clock.end - clock.begin

    run(2)
    return Peer({"step": run}, VERSIONS, facts)


class _Clock(tf.keras.callbacks.Callback):
    begin = end = None

    def on_train_batch_begin(self, batch, logs=None):
        self.begin = self.begin or time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.end = time.perf_counter()


def _dataset(recipe):
    return tf.data.Dataset.from_tensor_slices(ready.batches(recipe)).repeat()
