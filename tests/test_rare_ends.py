"""The session loop where a run ends, stops or measures in an unusual way: what it records, keeps and says."""

import json
import os
import signal

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints, feeds
from graph_resnet.loop.signals import Interrupted
from tests.helpers import QUIET
from utils.learning import train_with_bn

# isort: split
import tf_slim as slim

OFTEN = {"log_every": 1, "eval_every": 4, "save_every": 4, "eval_at_start": False}


class StopAt(tf.train.SessionRunHook):
    """Sends SIGTERM during one update."""

    def __init__(self, step):
        self.step, self.updates = step, 0

    def before_run(self, context):
        if self.updates == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
        self.updates += 1


def normalized(batches, dataset=None):
    """(train op, loss) of a net with batch norm on so many batches of three numbers, or on a dataset."""
    numbers = np.arange(3 * batches, dtype=np.float32).reshape(batches, 3, 1, 1, 1) ** 2
    data = dataset or tf.data.Dataset.from_tensor_slices(numbers)
    images = tf.data.make_one_shot_iterator(data).get_next()
    loss = tf.reduce_mean(slim.batch_norm(images, decay=0.9, is_training=True, scale=True) ** 2)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        return tf.train.GradientDescentOptimizer(0.01).minimize(loss, tf.train.get_or_create_global_step()), loss


def plain():
    """(train op, loss) that lower one weight, which is the loss, from 1 by 0.1 at each update."""
    weight = tf.get_variable("weight", initializer=1.0)
    step, loss = tf.train.get_or_create_global_step(), weight.read_value() * 1
    with tf.control_dependencies([loss]):
        return tf.train.GradientDescentOptimizer(0.1).minimize(weight, step), loss


def records(train_dir):
    return [json.loads(line) for line in (train_dir / "metrics.jsonl").read_text().splitlines()]


def test_precise_batch_norm_where_the_data_ends(graph, tmp_path, capsys):
    """20 batches for 20 updates: none is left for the averages, which stay those of the updates."""
    train_op, loss = normalized(20)
    options = {"train_dir": tmp_path, "precise_batch_norm": 5, **QUIET, "eval_at_start": False}
    history = train_with_bn(train_op, loss, None, tf.constant(1.0), None, 20, **options)
    assert history[-1] == {"step": 20, "split": "val", "loss": 1.0} and checkpoints.steps(tmp_path) == [20]
    assert "[precise_batch_norm]: the data ended at step 20: the moving averages stay" in capsys.readouterr().out
    reader = tf.train.load_checkpoint(checkpoints.prefix(tmp_path, 20))
    expected = 0.0
    for batch in np.arange(60, dtype=np.float64).reshape(20, 3) ** 2:
        expected = 0.9 * expected + 0.1 * batch.mean()
    assert reader.get_tensor("BatchNorm/moving_mean") == pytest.approx(expected, rel=1e-4)


def test_a_stop_at_the_last_update_leaves_precise_averages(tmp_path):
    def train(name, **options):
        with tf.Graph().as_default():
            repeated = tf.data.Dataset.from_tensors(np.float32([1, 2, 6]).reshape(3, 1, 1, 1)).repeat()
            train_op, loss = normalized(0, repeated)
            options = {"train_dir": tmp_path / name, "precise_batch_norm": 2, **OFTEN, **options}
            return train_with_bn(train_op, loss, None, loss, None, 6, **options)

    train("whole")
    with pytest.raises(Interrupted):
        train("stopped", hooks=[StopAt(5)])
    train("stopped")
    for name in ("whole", "stopped"):
        reader = tf.train.load_checkpoint(checkpoints.prefix(tmp_path / name, 6))
        assert reader.get_tensor("BatchNorm/moving_mean") == pytest.approx(3, rel=1e-4)
    # A checkpoint of the last step with other averages, as an earlier version left it, is written again.
    with tf.Graph().as_default(), tf.Session() as session:
        normalized(0, tf.data.Dataset.from_tensors(np.zeros([3, 1, 1, 1], np.float32)))
        saver = tf.train.Saver()
        saver.restore(session, checkpoints.prefix(tmp_path / "stopped", 6))
        session.run(tf.model_variables()[-2].assign([9.0]))
        saver.save(session, str(tmp_path / "stopped" / "model.ckpt"), 6)
    train("stopped")
    reader = tf.train.load_checkpoint(checkpoints.prefix(tmp_path / "stopped", 6))
    assert reader.get_tensor("BatchNorm/moving_mean") == pytest.approx(3, rel=1e-4)


def test_a_stop_at_the_step_of_an_evaluation_loses_no_record(tmp_path):
    def train(name, **options):
        with tf.Graph().as_default():
            train_op, loss = plain()
            return train_with_bn(train_op, loss, None, loss, None, 10, train_dir=tmp_path / name, **OFTEN, **options)

    train("whole")
    with pytest.raises(Interrupted):
        train("stopped", hooks=[StopAt(3)])
    assert checkpoints.steps(tmp_path / "stopped") == [4]
    train("stopped")
    assert records(tmp_path / "stopped") == records(tmp_path / "whole")
    assert [r["step"] for r in records(tmp_path / "whole") if r["split"] == "val"] == [4, 8, 10]


def test_an_undefined_accuracy_is_not_recorded_and_the_run_goes_on(tmp_path, capsys):
    """The accuracy is 0/0 until step 4, then 0.5. The best checkpoint is one with an accuracy."""
    for end in (3, 10):
        with tf.Graph().as_default():
            train_op, loss = plain()
            late = tf.cast(tf.train.get_global_step() >= 4, tf.float32)
            train_with_bn(
                train_op, loss, None, loss, 0.5 * late / late, end, train_dir=tmp_path, keep_best=True, **OFTEN
            )
        out = capsys.readouterr().out
        assert out.count("[metrics]: the accuracy is nan at step 3: such values are not recorded") == (end == 3)
    assert [r.get("accuracy") for r in records(tmp_path) if r["split"] == "val"] == [None, 0.5, 0.5, 0.5]
    assert checkpoints.best(tmp_path).endswith("model.ckpt-best-4")


def test_summaries_of_a_validation_tensor(graph, tmp_path):
    """A validation Dataset that ends was read by the evaluation; it begins again for the summaries."""
    train_op, loss = plain()
    values = tf.data.make_initializable_iterator(tf.data.Dataset.from_tensor_slices([1.0, 2.0]).batch(2))
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, values.initializer)
    val_loss = tf.reduce_mean(values.get_next())
    tf.summary.scalar("val_loss", val_loss)
    options = {"train_dir": tmp_path, "summary_op": tf.summary.merge_all(), **OFTEN}
    history = train_with_bn(train_op, loss, None, val_loss, None, 8, **options)
    assert [r["loss"] for r in history if r["split"] == "val"] == [1.5, 1.5] and checkpoints.steps(tmp_path) == [8, 4]


@pytest.mark.parametrize(
    "raised, expected",
    [(StopIteration, "a callback raised StopIteration at step 4"), (KeyError("a"), "'a'")],
    ids=["StopIteration", "another"],
)
def test_a_callback_that_raises_never_ends_a_run_without_a_word(graph, tmp_path, raised, expected):
    def take(step, logits):
        raise raised

    train_op, loss = plain()
    options = {"train_dir": tmp_path, "val_logits": tf.ones([2, 3]), "take_logits": take, **OFTEN}
    with pytest.raises((UserError, KeyError), match=expected):
        train_with_bn(train_op, loss, None, loss, None, 8, **options)
    assert checkpoints.steps(tmp_path) == [4]


def test_a_validation_loss_that_is_no_scalar_is_one_line(graph):
    train_op, loss = plain()
    vector = tf.py_func(lambda: np.float32([1, 2]), [], tf.float32)
    with pytest.raises(UserError, match=r"val_loss: has shape \(2,\), must be a scalar"):
        train_with_bn(train_op, loss, None, vector, None, 2)


@pytest.mark.parametrize("val_batches", [None, 7])
def test_endless_validation_feeds(graph, monkeypatch, val_batches):
    monkeypatch.setattr(feeds, "ENDLESS", 5)

    def endless():
        while True:
            yield {fed: 2.0}

    train_op, loss = plain()
    fed = tf.placeholder(tf.float32, [])
    options = {"val_feed_fn": endless, "val_batches": val_batches, **QUIET}
    if val_batches:
        assert train_with_bn(train_op, loss, None, fed * 1, None, 1, **options)[-1]["loss"] == 2
    else:
        with pytest.raises(UserError, match="val_feed_fn: has not ended after 5 batches; pass val_batches=N"):
            train_with_bn(train_op, loss, None, fed * 1, None, 1, **options)


@pytest.mark.parametrize("split", ["val", "train"])
def test_a_run_that_ended_before_the_checkpoint_of_an_evaluated_step(graph, tmp_path, split):
    """The evaluation of step 4 is recorded before its checkpoint, which did not fit on the disk; an update is after."""
    kept = [{"step": step, "split": "train", "loss": 1.0} for step in range(4)]
    kept.append({"step": 4, "split": split, "loss": 1.0})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in kept))
    train_op, loss = plain()
    if split == "train":
        with pytest.raises(UserError, match="goes to step 4, but there is no checkpoint"):
            train_with_bn(train_op, loss, None, loss, None, 5, train_dir=tmp_path, **OFTEN)
    else:
        history = train_with_bn(train_op, loss, None, loss, None, 5, train_dir=tmp_path, **OFTEN)
        assert [record["step"] for record in history] == [0, 1, 2, 3, 4, 4, 5]


def test_a_best_checkpoint_may_hold_an_infinity(graph, tmp_path):
    tf.get_variable("best_so_far", initializer=np.float32(np.inf), trainable=False)
    train_op, loss = plain()
    train_with_bn(train_op, loss, None, loss, None, 4, train_dir=tmp_path, keep_best=True, **OFTEN)
    assert checkpoints.best(tmp_path).endswith("model.ckpt-best-4")


def test_a_loss_near_the_largest_float_ends_the_run(graph, tmp_path):
    """metrics.jsonl has no record without a loss, nor one that plots cannot show."""
    train_op, _ = plain()
    large = tf.constant(1e150, tf.float64)
    with pytest.raises(UserError, match="the loss is 1e[+]150 at step 0"):
        train_with_bn(train_op, large, None, large, None, 4, train_dir=tmp_path, **OFTEN)
    assert not records(tmp_path)
