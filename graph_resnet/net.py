"""Residual networks for v1 graphs: their arg_scope, and a builder for the rows of `architectures`, from `blocks`.

Implemented from
[1] K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition, arXiv:1512.03385, 2015.
[2] S. Ioffe, C. Szegedy: Batch normalization, arXiv:1502.03167, 2015.
[3] D. Hendrycks, K. Gimpel: Gaussian error linear units, arXiv:1606.08415, 2016.

`ResNet` is the bottleneck net of a well-known TensorFlow tutorial: four bottleneck blocks on 96x96 images. It departs
from [1] in its stem (5x5), in its depth, and in carrying the stride on the 3x3 convolution of a block. `resnet18` and
`resnet34` are the basic-block nets of [1] as Keras tutorials write them for 32x32 images (a 3x3 VALID stem, biases
before batch norm, no batch norm on the shortcut).

Typical use:

    is_training = tf.compat.v1.placeholder_with_default(False, [], name='is_training')
    with slim.arg_scope(resnet_arg_scope()):
        logits = ResNet(images, num_classes=10, is_training=is_training)      # [B, 10]
"""

from __future__ import annotations

import contextlib
import functools

import tensorflow.compat.v1 as tf

from graph_resnet.architectures import ARCHITECTURES
from graph_resnet.blocks import basic_block, identity_initializer, pooled_block, residual_block
from graph_resnet.blocks import subsample as subsample  # for others, who import the blocks from here

import tf_slim as slim  # isort: skip


@tf.custom_gradient
def gelu(x):
    """x * sigmoid(1.702 * x), the quick approximation of the Gaussian error linear unit [3, sec. 2].

    The exact function, x / 2 * (1 + erf(x / sqrt(2))), computes erf in float32: a bfloat16 training step of the recipe
    `fast` then took 3.4 s instead of 2.8 s (one core, Zen 5). The two differ by less than 0.021.

    Args:
      x: float tensor of any shape.

    Returns:
      The same shape, at least -0.17.
    """
    gate = tf.sigmoid(1.702 * x)
    return x * gate, lambda gradient: gradient * (gate * (1 + 1.702 * x * (1 - gate)))


ACTIVATIONS = {"relu": tf.nn.relu, "gelu": gelu}


def resnet_arg_scope(
    batch_norm_decay=0.99,
    *,
    biases=False,
    batch_norm_scale=False,
    weights_initializer=None,
    weight_decay=0.0,
    batch_norm=None,
    activation="relu",
):
    """Adds `slim.batch_norm` and an activation to each convolution: `with slim.arg_scope(resnet_arg_scope()): ...`.

    Args:
      batch_norm_decay: decay of the moving averages. With slim's default, 0.999, they lag far behind at the start of
        training: after 1,000 steps of 64 images of the tutorial's recipe, evaluation gave 24.7% on CIFAR-10 (JPEG-75)
        with it and 47.3% with 0.99; after 5,000 steps 66.2% and 69.2%. Keras uses 0.99 too. A constant learning rate
        needs 0.9: see `recipes`.
      biases: convolutions have a bias before batch norm, as in Keras tutorials. It is redundant: beta does the same.
      batch_norm_scale: batch norm has a gamma. slim's default is False, Keras's True.
      weights_initializer: default slim's Xavier (Glorot uniform).
      weight_decay: adds weight_decay * sum(w ** 2) / 2 to REGULARIZATION_LOSSES for the weights of every convolution
        and fully connected layer; not for biases, beta or gamma.
      batch_norm: function of the inputs that follows every convolution, default `slim.batch_norm`. Another function
        can read decay, scale, epsilon and is_training from the arg_scope of `slim.batch_norm`, as
        `distributed.sync_batch_norm` does.
      activation: key of `ACTIVATIONS`. Only `pooled_block` also uses it after its sum; the others have ReLU there.

    Returns:
      An arg_scope for `slim.conv2d`, `slim.fully_connected` and `slim.batch_norm`.
    """
    options = {"decay": batch_norm_decay, "scale": batch_norm_scale, "epsilon": 0.001}
    batch_norm = batch_norm or slim.batch_norm
    convolution = {
        "activation_fn": ACTIVATIONS[activation],
        "normalizer_fn": functools.partial(_biased, batch_norm) if biases else batch_norm,
        "weights_initializer": weights_initializer or slim.xavier_initializer(),
    }
    decay = slim.l2_regularizer(weight_decay) if weight_decay else None
    with (
        slim.arg_scope([slim.batch_norm], **options),
        slim.arg_scope([slim.conv2d], **convolution),
        slim.arg_scope([slim.conv2d, slim.fully_connected], weights_regularizer=decay) as scope,
    ):
        return scope


def _biased(batch_norm, inputs):
    """Batch norm after a bias, because slim adds no bias before a normalizer."""
    return batch_norm(_bias(inputs))


def _bias(inputs, scope=None):
    """Adds a trained bias per channel to a float tensor [B, H, W, C]."""
    with tf.variable_scope(scope) if scope else contextlib.nullcontext():
        biases = slim.model_variable("biases", [inputs.shape[-1]], initializer=tf.zeros_initializer())
        return tf.nn.bias_add(inputs, biases)


def build(
    architecture,
    inputs,
    num_classes,
    *,
    reuse=None,
    is_training=None,
    verbose=False,
    stem_initializer=None,
):
    """Builds an architecture under the caller's arg_scope.

    Args:
      architecture: an `Architecture`.
      inputs: float32 [B, H, W, 3].
      num_classes: int.
      reuse: True shares the variables of an earlier call, for a second tower.
      is_training: Python bool (a static tower, faster because batch norm and ReLU fuse), bool tensor (a placeholder),
        or None to leave it to the caller's arg_scope.
      verbose: prints the name and static shape of every stage.
      stem_initializer: of the first convolution's weights, default the arg_scope's.

    Returns:
      float32 logits [B, num_classes].
    """
    training = {} if is_training is None else {"is_training": is_training}

    def show(name, net):
        if verbose:
            print(f"{name}: {net.shape}")

    stem = architecture.stem
    options = {"weights_initializer": stem_initializer} if stem_initializer else {}
    with tf.variable_scope(architecture.scope, reuse=reuse), slim.arg_scope([slim.batch_norm], **training):
        show("input", inputs)
        with tf.variable_scope(stem.scope):
            kernel = [stem.kernel, stem.kernel]
            if stem.frozen:
                options |= {"trainable": False, "weights_regularizer": None}
                options |= {"normalizer_fn": None, "biases_initializer": None, "activation_fn": None}
            net = slim.conv2d(inputs, stem.depth, kernel, stem.stride, stem.padding, scope=stem.conv, **options)
            if stem.frozen:
                net = ACTIVATIONS[architecture.activation](_bias(net, stem.conv))
        show(stem.scope, net)
        for group in architecture.groups:
            with tf.variable_scope(group.scope):
                net = _group(net, group, architecture)
            show(group.scope, net)
        classifier = architecture.classifier_scope
        with tf.variable_scope(classifier) if classifier else contextlib.nullcontext():
            pool = {"mean": tf.reduce_mean, "max": tf.reduce_max}[architecture.global_pool]
            net = pool(net, [1, 2], name="global_pool")  # [B, C]
            logits = slim.fully_connected(net, num_classes, activation_fn=None, normalizer_fn=None, scope="logit")
            if architecture.logits_scale != 1:
                logits *= architecture.logits_scale
        show(classifier or "logit", logits)
    return logits


def _group(net, group, architecture):
    if group.pool:
        size, stride = group.pool
        net = slim.max_pool2d(net, [size, size], stride=stride, padding="SAME", scope="max_pool")
    for i in range(1, group.units + 1):
        net = unit(
            net, group, architecture, stride=group.stride if i == 1 else 1, scope=f"{architecture.unit_scope}{i}"
        )
    return net


def unit(net, group, architecture, *, stride, scope):
    """One residual block of a group, under the caller's arg_scope."""
    if group.pooled and group.plain:
        with slim.arg_scope([slim.conv2d], weights_initializer=identity_initializer):
            return pooled_block(net, group.depth, group.pooled, scope, shortcut=False)
    if group.pooled:
        return pooled_block(net, group.depth, group.pooled, scope)
    if group.bottleneck:
        return residual_block(net, group.bottleneck, group.depth, stride, scope)
    return basic_block(net, group.depth, stride, scope, normalize_shortcut=not architecture.keras_style)


def ResNet(inputs, num_classes, reuse=None, is_training=None, verbose=False):  # noqa: N802 (the tutorial's name)
    """The tutorial's bottleneck net, under the caller's arg_scope (see `resnet_arg_scope`): 619,402 parameters.

    Args, returns: see `build`. 64 images of 96x96 give (64, 48, 48, 32), (64, 24, 24, 128), (64, 12, 12, 512) and
    (64, 10). Variables are `resnet/{block1,block2,block3,classification}/...`.
    """
    row = ARCHITECTURES["bottleneck"]
    return build(row, inputs, num_classes, reuse=reuse, is_training=is_training, verbose=verbose)


def keras_arg_scope():
    """The defaults of Keras's layers, for `resnet18` and `resnet34`: gamma, decay 0.99, Glorot, and biases."""
    return resnet_arg_scope(0.99, biases=True, batch_norm_scale=True)


def resnet18(inputs, num_classes, reuse=None, is_training=None, verbose=False):
    """The Keras tutorials' ResNet-18 for 32x32 images, with the same variables: 11,176,970 trainable for 10 classes.

    It includes its arg_scope. Args, returns: see `build`.
    """
    with slim.arg_scope(keras_arg_scope()):
        row = ARCHITECTURES["resnet18"]
        return build(row, inputs, num_classes, reuse=reuse, is_training=is_training, verbose=verbose)


def resnet34(inputs, num_classes, reuse=None, is_training=None, verbose=False):
    """The Keras tutorials' ResNet-34: 21,288,842 trainable parameters for 10 classes. See `resnet18`."""
    with slim.arg_scope(keras_arg_scope()):
        row = ARCHITECTURES["resnet34"]
        return build(row, inputs, num_classes, reuse=reuse, is_training=is_training, verbose=verbose)
