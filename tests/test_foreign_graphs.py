"""The session loop on graphs as older programs build them: their global steps and hooks."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.data import batches
from graph_resnet.errors import UserError
from graph_resnet.loop import Cadence, GraphToTrain, checkpoints, train_graph
from tests.helpers import final_value

GLOBAL_STEP = tf.GraphKeys.GLOBAL_STEP


def run(train_dir, steps, make_step=tf.train.create_global_step, hooks=lambda loss: ()):
    """Trains a linear net on four images a step up to step `steps`; the graph's global step is `make_step()`."""
    with tf.Graph().as_default():
        step = make_step()
        images, labels, val_images, val_labels = batches.load_data(8, 4, dataset="synthetic")
        weights = tf.get_variable("weights", [192, 10], initializer=tf.zeros_initializer())

        def loss_of(images, labels):
            return tf.losses.sparse_softmax_cross_entropy(labels, tf.matmul(tf.reshape(images, [-1, 192]), weights))

        loss, val_loss = loss_of(images, labels), loss_of(val_images, val_labels)
        train_op = tf.train.GradientDescentOptimizer(0.01).minimize(loss, global_step=step)
        graph = GraphToTrain(train_op, loss, None, val_loss, None)
        cadence = Cadence(log_every=2, eval_every=100, eval_at_start=False)
        return train_graph(graph, steps, train_dir=train_dir, cadence=cadence, hooks=hooks(loss))


def variable(dtype=tf.int32, **options):
    """A global step that is in no collection."""
    return tf.Variable(tf.zeros([], dtype), name="global_step", trainable=False, **options)


def collected_twice():
    step = tf.train.create_global_step()
    tf.add_to_collection(GLOBAL_STEP, step)
    return step


def collected_as_a_tensor():
    step = variable(use_resource=False)
    tf.add_to_collection(GLOBAL_STEP, step.op.outputs[0])
    return step


STEPS = {
    "int32": variable,
    "int64": lambda: variable(tf.int64),
    "with a reference": lambda: variable(use_resource=False),
    "get_variable": lambda: tf.get_variable("global_step", [], tf.int32, tf.zeros_initializer(), trainable=False),
    "in the collection twice": collected_twice,
    "in the collection as a tensor": collected_as_a_tensor,
}


@pytest.mark.parametrize("name", STEPS)
def test_a_global_step_of_an_older_program(name, tmp_path):
    run(tmp_path / "usual", 5)
    for steps in (3, 5):
        run(tmp_path / "older", steps, STEPS[name])
    assert checkpoints.steps(tmp_path / "older") == [5, 3]
    assert final_value(tmp_path / "older", "global_step", 5) == 5  # neither counted twice nor beside another
    usual, older = (final_value(tmp_path / place, "weights", 5) for place in ("usual", "older"))
    np.testing.assert_array_equal(usual, older)  # the resumed run went on with the fourth batch


@pytest.mark.parametrize(
    ("make", "shown"),
    [(lambda: variable(tf.float32), r"float32 \(\)"), (lambda: tf.Variable([0], name="global_step"), r"int32 \(1,\)")],
)
def test_a_global_step_that_cannot_count_is_refused(make, shown, tmp_path):
    with pytest.raises(UserError, match=f"global step global_step: is {shown}, must be an integer scalar; pass "):
        run(tmp_path, 1, make)


class ReadsABatch(tf.train.SessionRunHook):
    """Looks at the loss before the first step."""

    def __init__(self, loss):
        self.loss = loss

    def after_create_session(self, session, coord):
        session.run(self.loss)


def test_hooks_of_an_older_program_do_not_change_what_is_trained(tmp_path):
    run(tmp_path / "without", 4)

    def hooks(loss):
        tf.summary.scalar("loss", loss)
        return [
            ReadsABatch(loss),
            tf.train.LoggingTensorHook({"loss": loss}, every_n_iter=1),
            tf.train.SummarySaverHook(1, output_dir=str(tmp_path / "summaries"), summary_op=tf.summary.merge_all()),
            tf.train.CheckpointSaverHook(str(tmp_path / "own"), save_steps=2),  # without a Saver of its own
            tf.train.StepCounterHook(2, output_dir=str(tmp_path / "summaries")),
        ]

    run(tmp_path / "with", 4, hooks=hooks)
    weights = [final_value(tmp_path / place, "weights", 4) for place in ("without", "with", "own")]
    assert np.abs(weights[0]).max() > 0
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert len(list((tmp_path / "summaries").iterdir())) == 1
