"""Metrics worked out by hand, and compared with the graph's confusion matrix."""

import math

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.inference import metrics
from graph_resnet.tower import confusion

LOGITS = np.log([[1, 2, 5], [4, 4, 2], [6, 3, 1], [1, 1, 8]])  # probabilities in tenths or eighths, below
LABELS = np.array([2, 1, 2, 0])


def test_softmax():
    expected = [[0.125, 0.25, 0.625], [0.4, 0.4, 0.2], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]
    np.testing.assert_allclose(metrics.softmax(LOGITS), expected)
    np.testing.assert_allclose(metrics.softmax(LOGITS - 1000), expected)
    np.testing.assert_allclose(metrics.softmax(np.float32([[1e4, 0]])), [[1, 0]])


def test_cross_entropy():
    expected = [math.log(8 / 5), math.log(10 / 4), math.log(10), math.log(10)]
    np.testing.assert_allclose(metrics.cross_entropy(LOGITS, LABELS), expected)


def test_ranks_with_a_tie():
    # The second row's tie goes to class 0, as in argmax, then the true class 1; the same in the last row.
    assert metrics.ranks(LOGITS, LABELS).tolist() == [0, 1, 2, 1]
    assert metrics.ranks(LOGITS, np.array([2, 0, 0, 2])).tolist() == [0, 0, 0, 0]
    assert metrics.ranks(np.zeros((1, 4)), np.array([3])).tolist() == [3]


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_rank_zero_is_argmax(classes):
    rng = np.random.default_rng(classes)
    logits, labels = rng.integers(0, 4, (200, classes)).astype(float), rng.integers(0, classes, 200)  # with many ties
    assert ((metrics.ranks(logits, labels) == 0) == (logits.argmax(1) == labels)).all()


def test_confusion_matrix():
    matrix = metrics.confusion_matrix([0, 0, 0, 2, 2], np.array([0, 0, 1, 0, 2]), 3)
    assert matrix.tolist() == [[2, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_calibration_error():
    # Two bins, (0, 0.5] and (0.5, 1]. First: confidences 0.5 and 0.4, one of two right: |1 - 0.9| = 0.1.
    # Second: 0.8, 0.9 and 1, all right: |3 - 2.7| = 0.3. Together 0.4 over 5 images.
    probabilities = np.array([[0.5, 0.5, 0], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.9, 0.1, 0], [0, 0, 1]])
    assert metrics.calibration_error(probabilities, [1, 0, 1, 0, 2], bins=2) == pytest.approx(0.08)


def test_calibration_error_at_its_ends():
    certain = np.eye(3)[[0, 1, 2]]
    assert metrics.calibration_error(certain, [0, 1, 2]) == 0
    assert metrics.calibration_error(certain, [1, 2, 0]) == 1
    even = np.full((4, 2), 0.5)
    assert metrics.calibration_error(even, [0, 1, 0, 1]) == 0


def test_the_graphs_confusion_matrix_is_the_same(graph):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(4, size=50).astype(np.int32)
    with tf.Session() as session:
        found = session.run(confusion(tf.constant(logits), tf.constant(labels)))
    np.testing.assert_array_equal(found, metrics.confusion_matrix(labels, logits.argmax(1), 4))
