"""Filter gradients as convolutions equal the stock ones up to float rounding."""

import contextlib

import numpy
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.net import resnet18
from graph_resnet.training import filter_gradients


def convolution_gradients(images, filters, weights, stride, override):
    """Gradients of a weighted sum of a SAME convolution's outputs, and the op types that computed them."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        x, w = tf.constant(images), tf.constant(filters)
        if override:
            with filter_gradients.as_convolutions():
                y = tf.nn.conv2d(x, w, stride, "SAME")
        else:
            y = tf.nn.conv2d(x, w, stride, "SAME")
        gradients = tf.gradients(tf.reduce_sum(y * weights), [x, w])
        return session.run(gradients), {op.type for op in graph.get_operations()}


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("height, width", [(4, 4), (7, 8), (8, 5)])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_equals_the_stock_gradients(stride, height, width, kernel):
    rng = numpy.random.default_rng(1)
    images = rng.normal(size=(3, height, width, 128)).astype("f")
    filters = rng.normal(size=(kernel, kernel, 128, 130)).astype("f")
    weights = rng.normal(size=(3, -(-height // stride), -(-width // stride), 130)).astype("f")
    stock, _ = convolution_gradients(images, filters, weights, stride, override=False)
    ours, types = convolution_gradients(images, filters, weights, stride, override=True)
    assert "Conv2DBackpropFilter" not in types
    numpy.testing.assert_array_equal(ours[0], stock[0])
    numpy.testing.assert_allclose(ours[1], stock[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side, depth, kernel", [(16, 128, 3), (8, 32, 3), (8, 128, 1)])
def test_large_shallow_and_pointwise_convolutions_keep_the_stock_gradient(side, depth, kernel):
    rng = numpy.random.default_rng(2)
    images = rng.normal(size=(2, side, side, depth)).astype("f")
    filters = rng.normal(size=(kernel, kernel, depth, depth)).astype("f")
    stock, _ = convolution_gradients(images, filters, images, 1, override=False)
    ours, types = convolution_gradients(images, filters, images, 1, override=True)
    assert "Conv2DBackpropFilter" in types
    numpy.testing.assert_array_equal(ours[0], stock[0])
    numpy.testing.assert_array_equal(ours[1], stock[1])


def test_of_a_whole_net():
    """All gradients of a ResNet-18 on two images; 8 of its 20 convolutions are small and deep."""
    images = numpy.random.default_rng(3).normal(size=(2, 32, 32, 3)).astype("f")

    def gradients(scope):
        with tf.Graph().as_default() as graph, tf.Session() as session:
            tf.set_random_seed(4)
            with scope():
                logits = resnet18(tf.constant(images), 10, is_training=True)
            values = tf.gradients(tf.reduce_logsumexp(logits), tf.trainable_variables())
            session.run(tf.global_variables_initializer())
            return session.run(values), sum(op.type == "Conv2DBackpropFilter" for op in graph.get_operations())

    stock, of_stock = gradients(contextlib.nullcontext)
    ours, left = gradients(filter_gradients.as_convolutions)
    assert (of_stock, left) == (20, 12)
    for one, other in zip(ours, stock):
        numpy.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * abs(other).max())
