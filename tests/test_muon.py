"""Muon compared with an implementation in numpy, and Nesterov momentum for the other variables."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.training import muon


def nearly_orthogonal(matrix):
    """Three rounds of the quintic, applied to the singular values."""
    u, values, v = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.sqrt((values**2).sum())
    for _ in range(3):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return u * values @ v


def test_two_updates_by_numpy(graph):
    rng = np.random.default_rng(0)
    start, pull = (rng.normal(size=(3, 3, 4, 8)).astype(np.float32) for _ in range(2))
    filters, beta = tf.get_variable("filters", initializer=start), tf.get_variable("beta", initializer=np.zeros(3, "f"))
    loss = tf.reduce_sum(filters * pull) + tf.reduce_sum(beta)
    train_op = muon.Muon(1.5, 0.85).minimize(loss + 0.5 * tf.reduce_sum(filters**2))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(2):
            session.run(train_op)
        result = session.run([filters, beta])
    weights, velocity = start.astype(np.float64), 0
    for _ in range(2):
        gradient = pull - (pull * weights).sum() / (weights**2).sum() * weights  # which also removes the weight decay
        velocity = 0.6 * velocity + gradient
        matrix = (gradient + 0.6 * velocity).transpose(3, 0, 1, 2).reshape(8, 36)
        direction = nearly_orthogonal(matrix).reshape(8, 3, 3, 4).transpose(1, 2, 3, 0)
        weights = weights * np.sqrt(8) / np.sqrt((weights**2).sum()) - 1.5 * 0.16 * direction
    np.testing.assert_allclose(result[0], weights, rtol=1e-4, atol=1e-4)
    # Nesterov: rate * (gradient + momentum * velocity), velocities 1 and 1.85.
    np.testing.assert_allclose(result[1], [-1.5 * (1 + 0.85 + 1 + 0.85 * 1.85)] * 3, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 24, 64), (1, 1, 8, 32)])
def test_singular_values_are_close_to_one(graph, shape):
    filters = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    with tf.Session() as session:
        result = session.run(muon.orthogonal(tf.constant(filters)))
    values = np.linalg.svd(result.reshape(-1, shape[3]), compute_uv=False)
    values = values[: min(np.prod(shape[:3]), shape[3])]
    assert values.min() > 0.3 and values.max() < 1.3
