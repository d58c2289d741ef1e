"""Lookahead with numbers worked out by hand, and in a run that is stopped and resumed."""

import dataclasses

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet import recipes
from graph_resnet.training import graph as training_graph
from graph_resnet.training import lookahead

# isort: split
import tf_slim as slim


def test_by_hand(graph):
    """A weight that rises by one in each of 5 steps and returns every 2: 0.9025 * (4 / 5) ** 3 is 0.46208."""
    weight = slim.model_variable("net/weights", [2], initializer=tf.ones_initializer())
    step = tf.train.get_or_create_global_step()
    update = tf.train.GradientDescentOptimizer(1.0).minimize(-tf.reduce_sum(weight), step)
    train_op = lookahead.after(update, step, 2, 5)
    (average,) = (v for v in tf.global_variables() if v.op.name == "lookahead/net/weights")
    weights, averages = [], []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(5):
            session.run(train_op)
            weights.append(session.run(weight)[0])
            averages.append(session.run(average)[0])
    fourth = 0.46208 * 3 + (1 - 0.46208) * 5
    fifth = 0.9025 * fourth + (1 - 0.9025) * (fourth + 1)
    np.testing.assert_allclose(weights, [2, 3, 4, fourth, fifth], rtol=1e-6)
    np.testing.assert_allclose(averages, [0, 3, 3, fourth, fifth], rtol=1e-6)


def test_moving_averages_return_and_frozen_filters_do_not_change(graph, records):
    recipe = dataclasses.replace(recipes.RECIPES["fast"], image_size=16, batch_size=2, towers=1, steps=4, lookahead=2)
    built = training_graph.build(recipe, records, seed=0)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        session.run(tf.tables_initializer())
        for _ in range(2):
            session.run(built.train_op)
        values = {v.op.name: session.run(v) for v in tf.global_variables()}
    kept = {name: value for name, value in values.items() if name.startswith("lookahead/")}
    assert "lookahead/fast/block1/unit1/conv1/BatchNorm/moving_variance" in kept
    assert "lookahead/fast/stem/conv1/biases" in kept and "lookahead/fast/stem/conv1/weights" not in kept
    for name, value in kept.items():
        np.testing.assert_array_equal(value, values[name.removeprefix("lookahead/")], err_msg=name)
