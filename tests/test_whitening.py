"""The whitening filters of the first convolution, by themselves and in a net."""

import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import recipes
from graph_resnet.data import find
from graph_resnet.errors import UserError
from graph_resnet.training import graph as training_graph
from graph_resnet.training import whitening


@pytest.fixture
def images():
    """Smooth noise, [64, 24, 24, 3], with strongly correlated channels."""
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(64, 26, 26, 1)) + 0.5 * rng.normal(size=(64, 26, 26, 3))
    return sum(fine[:, y : y + 24, x : x + 24] for y in range(3) for x in range(3)).astype(np.float32)


def answers(images, weights):
    """Filter outputs on non-overlapping patches, [patches, depth]."""
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(tf.nn.conv2d(images, weights, weights.shape[0], "VALID")).reshape(-1, weights.shape[3])


def test_filter_outputs_are_uncorrelated_and_of_equal_variance(images):
    covariance = np.cov(answers(images, whitening.filters(images, 3, 3, 54))[:, :27], rowvar=False)
    plain = images[:, 1::3, 1::3].reshape(-1, 3)
    assert np.cov(plain, rowvar=False)[0, 1] > 5  # of the unfiltered images
    off = covariance - np.diag(np.diag(covariance))
    assert np.abs(off).max() < 0.01
    assert (np.diag(covariance) > 0.9).all() and (np.diag(covariance) < 1.001).all()


@pytest.mark.parametrize("depth, n", [(6, 6), (7, 6), (200, 54)])
def test_each_filter_has_both_signs(images, depth, n):
    weights = whitening.filters(images, 3, 3, depth)
    assert weights.shape == (3, 3, 3, n) and weights.dtype == np.float32
    np.testing.assert_array_equal(weights[..., n // 2 :], -weights[..., : n // 2])
    np.testing.assert_array_equal(weights[..., : n // 2], whitening.filters(images, 3, 3, 54)[..., : n // 2])


def test_images_of_one_colour_give_finite_filters():
    assert np.isfinite(whitening.filters(np.ones((2, 6, 6, 3), np.float32), 3, 3, 54)).all()


@pytest.mark.parametrize("net, whitened", [("bottleneck", 32), ("deep", 32), ("resnet18-pools", 54)])
def test_a_net_starts_with_whitening_filters(net, whitened):
    recipe = dataclasses.replace(recipes.RECIPES["strong"], net=net, dataset="synthetic", image_size=32, batch_size=2)
    records = find.cifar("synthetic")
    first = {}
    for on in (True, False):
        with tf.Graph().as_default(), tf.Session() as session:
            training_graph.build(dataclasses.replace(recipe, whitening=on), records, seed=0)
            session.run(tf.global_variables_initializer())
            first[on] = session.run(tf.trainable_variables()[0])
    half = whitened // 2
    np.testing.assert_array_equal(first[True][..., half:whitened], -first[True][..., :half])
    assert first[True].shape == first[False].shape
    # The remaining filters are random: within Glorot's bounds, and no two alike.
    rest = first[True][..., whitened:]
    assert np.abs(first[False][..., half:whitened] + first[False][..., :half]).max() > 0.01
    assert rest.shape[3] == 0 or 0.01 < rest.std() < 0.5


def test_images_smaller_than_the_convolution_are_refused():
    recipe = dataclasses.replace(recipes.RECIPES["strong"], dataset="synthetic", image_size=4)
    with tf.Graph().as_default(), pytest.raises(UserError, match="image size 4: whitening needs at least 5"):
        training_graph.build(recipe, find.cifar("synthetic"), seed=0)
