"""Precise batch norm with numbers worked out by hand: one worker, placeholder and static towers."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError
from graph_resnet.loop import GraphToTrain
from graph_resnet.loop.precise_batch_norm import PreciseBatchNorm

# isort: split
import tf_slim as slim

# Two batches of four one-pixel images: means 2 and 6, variances (with n - 1) 8/3 and 32/3.
BATCHES = np.float32([[0, 2, 2, 4], [2, 6, 6, 10]]).reshape(2, 4, 1, 1, 1)
MEAN, VARIANCE = 4, (8 / 3 + 32 / 3) / 2 + 4


def graph_to_train(is_training, decay):
    """A net with one batch norm, on the two batches in turn."""
    batches = tf.data.Dataset.from_tensor_slices(BATCHES).repeat()
    images = tf.data.make_one_shot_iterator(batches).get_next()
    loss = tf.reduce_mean(slim.batch_norm(images, decay=decay, is_training=is_training) ** 2)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    fed = None if is_training is True else is_training
    return GraphToTrain(train_op, loss, is_training=fed, precise_batch_norm=2)


@pytest.mark.parametrize("decay", [0.6, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("static", [True, False])
def test_the_averages_are_those_of_the_batches(graph, static, decay):
    is_training = True if static else tf.placeholder_with_default(False, [])
    precise = PreciseBatchNorm(graph_to_train(is_training, decay))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        before = session.run(tf.trainable_variables())
        precise.run(session, 0)
        averages = {
            v.op.name.rpartition("/")[2]: session.run(v) for v in tf.global_variables() if "moving" in v.op.name
        }
        after = session.run(tf.trainable_variables())
    np.testing.assert_allclose(averages["moving_mean"], [MEAN], rtol=1e-4)
    np.testing.assert_allclose(averages["moving_variance"], [VARIANCE], rtol=1e-4)
    np.testing.assert_array_equal(before, after)


def test_a_graph_without_moving_averages_is_refused(graph):
    weight = tf.get_variable("weight", [])
    train_op = tf.train.GradientDescentOptimizer(0.1).minimize(weight**2)
    with pytest.raises(
        UserError, match="precise_batch_norm: the training op updates no moving averages; run UPDATE_OPS"
    ):
        PreciseBatchNorm(GraphToTrain(train_op, weight, precise_batch_norm=2))
