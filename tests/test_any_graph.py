"""The session loop on other people's graphs: their data, steps, hooks and mistakes."""

import itertools
import json
import math

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import graph_resnet.compat.slim  # noqa: F401  (makes tf_slim importable)
from graph_resnet.data import batches
from graph_resnet.errors import UserError
from graph_resnet.loop import Cadence, GraphToTrain, checkpoints, train_graph
from tests.helpers import QUIET, RAW, final_value, grey_stream
from utils.learning import train_with_bn

import tf_slim as slim  # isort: skip

TEN = np.arange(10, dtype=np.float32)
ONLY_UPDATES = {"eval_at_start": False, "log_every": 1}


def descent(loss, step=None, rate=1e-3):
    """A train op on one new weight whose gradient is `loss`: each update subtracts rate * loss, starting from 1."""
    weight = tf.get_variable("weight", initializer=1.0)
    step = tf.train.get_or_create_global_step() if step is None else step
    return tf.train.GradientDescentOptimizer(rate).minimize(weight * tf.stop_gradient(loss), step)


def means_of(dataset, kind="initializable"):
    """The mean of each batch of a dataset, as a tensor."""
    if kind == "one-shot":
        return tf.reduce_mean(tf.data.make_one_shot_iterator(dataset).get_next())
    iterator = tf.data.make_initializable_iterator(dataset)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    return tf.reduce_mean(iterator.get_next())


def of(history, split, name="loss"):
    return [record[name] for record in history if record["split"] == split]


def steps_of(history, split):
    return [record["step"] for record in history if record["split"] == split]


# Finite data.


@pytest.mark.parametrize("kind", ["initializable", "one-shot"])
def test_training_data_that_ends_ends_the_run(graph, tmp_path, capsys, kind):
    loss = means_of(tf.data.Dataset.from_tensor_slices(TEN).batch(2), kind)
    history = train_with_bn(descent(loss), loss, None, tf.constant(7.0), None, 100, train_dir=tmp_path, **QUIET)
    assert "the data ended at step 5 of 100" in capsys.readouterr().out
    assert checkpoints.steps(tmp_path) == [5]
    assert final_value(tmp_path, "weight", 5) == pytest.approx(1 - 1e-3 * (0.5 + 2.5 + 4.5 + 6.5 + 8.5))
    assert history[-1] == {"step": 5, "split": "val", "loss": 7.0}


@pytest.mark.parametrize("kind", ["initializable", "one-shot"])
def test_a_validation_loss_on_training_data_still_gets_a_batch_at_the_end(graph, tmp_path, kind):
    loss = means_of(tf.data.Dataset.from_tensor_slices(TEN).batch(2), kind)
    options = {"eval_at_start": False, "train_dir": tmp_path, **QUIET}
    history = train_with_bn(descent(loss), loss, None, loss * 2, None, 100, **options)
    assert history[-1] == {"step": 5, "split": "val", "loss": 1.0} and checkpoints.steps(tmp_path) == [5]


@pytest.mark.parametrize("kind", ["initializable", "one-shot"])
def test_a_validation_set_that_ends_is_one_whole_pass(graph, tmp_path, kind):
    loss = means_of(tf.data.Dataset.from_tensor_slices(TEN).batch(2).repeat())
    val_loss = means_of(tf.data.Dataset.from_tensor_slices(TEN).batch(4), kind)
    history = train_with_bn(descent(loss), loss, None, val_loss, None, 6, eval_every=2, train_dir=tmp_path)
    assert of(history, "val") == pytest.approx([4.5] * 4)  # batches of 4, 4 and 2, weighted by image
    assert of(history, "val", "images") == [10] * 4
    assert final_value(tmp_path, "weight", 6) == pytest.approx(1 - 1e-3 * (0.5 + 2.5 + 4.5 + 6.5 + 8.5 + 0.5))


@pytest.mark.parametrize("batches_", [None, 2, 100])
def test_endless_validation_data_gives_one_batch_or_val_batches(graph, capsys, batches_):
    loss = tf.constant(1.0)
    val_loss = means_of(tf.data.Dataset.from_tensor_slices(TEN).repeat().batch(5))
    history = train_with_bn(descent(loss), loss, None, val_loss, None, 2, eval_every=1, val_batches=batches_)
    assert of(history, "val") == pytest.approx([2.0] * 3 if batches_ is None else [4.5] * 3)
    said = capsys.readouterr().out.count("the validation data never ends: measuring one batch")
    assert said == (1 if batches_ is None else 0)


def test_a_filtered_dataset_is_evaluated_whole(graph):
    """TensorFlow does not know its number of batches."""
    dataset = tf.data.Dataset.from_tensor_slices(TEN).filter(lambda x: x > 3).batch(4)
    history = train_with_bn(descent(tf.constant(1.0)), tf.constant(1.0), None, means_of(dataset), None, 2, eval_every=1)
    assert of(history, "val") == pytest.approx([6.5] * 3) and of(history, "val", "images") == [6] * 3


def test_val_batches_limits_an_evaluation_of_registered_streams_too(records, graph):
    train_imgs, _, val_imgs, _ = batches.train_and_validation(records, 8, 3, **RAW)
    loss, val_loss = tf.reduce_mean(train_imgs), tf.reduce_mean(val_imgs)
    history = train_with_bn(descent(loss), loss, None, val_loss, None, 1, val_batches=2, **QUIET)
    assert of(history, "val") == pytest.approx([102.5] * 2) and of(history, "val", "images") == [6, 6]


def queue(values, batch):
    (value,) = tf.train.slice_input_producer([values], num_epochs=1, shuffle=False)
    return tf.reduce_mean(tf.train.batch([value], batch))


@pytest.mark.filterwarnings("ignore")
def test_queues_of_v1_end_a_run_too(graph, tmp_path, capsys):
    loss = queue(TEN, 2)
    history = train_with_bn(descent(loss), loss, None, tf.constant(3.0), None, 100, train_dir=tmp_path, **QUIET)
    assert "the data ended at step 5 of 100" in capsys.readouterr().out
    assert history[-1] == {"step": 5, "split": "val", "loss": 3.0}
    assert checkpoints.steps(tmp_path) == [5]


@pytest.mark.parametrize("error", [StopIteration, tf.errors.OutOfRangeError(None, None, "no more")])
@pytest.mark.parametrize("where", ["after_evaluation", "feed_fn", "hook"])
def test_a_callback_may_end_the_run(graph, tmp_path, capsys, where, error):
    x = tf.placeholder_with_default(1.0, [])
    calls = itertools.count()

    def callback(*_):
        if next(calls) == 3:
            raise error
        return None if where == "after_evaluation" else {x: 2.0}

    class Hook(tf.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            callback()

    options = {"hooks": [Hook()]} if where == "hook" else {where: callback}
    options |= {"train_dir": tmp_path, "eval_every": 1}
    history = train_with_bn(descent(x), x, None, tf.constant(1.0), None, 100, **options)
    step = 4 if where == "hook" else 3
    assert f"the data ended at step {step} of 100" in capsys.readouterr().out
    assert steps_of(history, "val") == [*range(step + 1)] and checkpoints.steps(tmp_path) == [step]


def test_data_that_is_empty_from_the_start(graph, tmp_path, capsys):
    loss = means_of(tf.data.Dataset.from_tensor_slices(TEN).take(0).batch(2))
    history = train_with_bn(descent(loss), loss, None, tf.constant(1.0), None, 100, train_dir=tmp_path)
    assert "the data ended at step 0 of 100" in capsys.readouterr().out
    assert steps_of(history, "val") == [0] and checkpoints.steps(tmp_path) == [0]


def test_a_validation_set_that_cannot_restart_gives_a_one_line_error(graph):
    x, feeds = tf.placeholder(tf.float32, []), iter([1.0, 2.0])
    with pytest.raises(UserError, match="val_loss: its data ended before the first batch; it must start again"):
        train_with_bn(
            descent(tf.constant(1.0)), tf.constant(1.0), None, x, None, 2, val_feed_fn=lambda: {x: next(feeds)}
        )


# The graph's own global step.


def test_an_update_that_adds_two_to_the_step(tmp_path):
    def train(directory, *, end):
        with tf.Graph().as_default():
            step, loss = tf.train.get_or_create_global_step(), tf.constant(1.0)
            first = descent(loss, step)
            with tf.control_dependencies([first]):
                second = tf.train.GradientDescentOptimizer(0.0).minimize(
                    tf.get_variable("other", initializer=1.0), step
                )
            cadence = {"log_every": 3, "eval_every": 3, "save_every": 3}
            return train_with_bn(second, loss, None, loss, None, end, train_dir=directory, **cadence)

    whole = train(tmp_path / "whole", end=12)
    assert checkpoints.steps(tmp_path / "whole") == [12, 10, 6, 4]
    assert [final_value(tmp_path / "whole", "global_step", n) for n in (12, 10, 6, 4)] == [12, 10, 6, 4]
    assert final_value(tmp_path / "whole", "weight", 12) == pytest.approx(1 - 6e-3)
    assert steps_of(whole, "val") == [0, 4, 6, 10, 12] and steps_of(whole, "train") == [0, 4, 6, 10]
    train(tmp_path / "parts", end=5)
    parts = train(tmp_path / "parts", end=12)
    assert final_value(tmp_path / "parts", "weight", 12) == pytest.approx(1 - 6e-3)
    assert [steps_of(parts, split) for split in ("val", "train")] == [[0, 4, 6, 10, 12], [0, 4, 6, 10]]
    assert train(tmp_path / "parts", end=11) == parts  # the last update passed the end, so nothing is left to do


@pytest.mark.parametrize("kind", ["cond", "nested cond", "while", "function"])
def test_gradient_accumulation_adds_to_the_step_every_few_updates(graph, tmp_path, kind):
    step, loss = tf.train.get_or_create_global_step(), tf.constant(1.0)
    weight, gathered = tf.get_variable("weight", initializer=1.0), tf.get_variable("gathered", initializer=0)
    with tf.control_dependencies([tf.assign_add(gathered, 1)]):
        due = tf.equal(gathered.read_value() % 3, 0)

    def apply():
        with tf.control_dependencies([tf.assign_sub(weight, 0.1), tf.assign_add(step, 1)]):
            return tf.constant(0)

    def nothing():
        return tf.constant(0)

    train_op = {
        "cond": lambda: tf.cond(due, apply, nothing),
        "nested cond": lambda: tf.cond(due, lambda: tf.cond(due, apply, nothing), nothing),
        "while": lambda: tf.while_loop(lambda i: i < tf.cast(due, tf.int32), lambda i: i + 1 + apply(), [0]),
        "function": lambda: tf.cond(due, tf.function(apply), nothing),
    }[kind]()
    history = train_with_bn(
        train_op, loss, None, loss, None, 4, train_dir=tmp_path, log_every=1, eval_every=1, save_every=2
    )
    assert final_value(tmp_path, "gathered", 4) == 12
    assert final_value(tmp_path, "weight", 4) == pytest.approx(0.6)
    assert steps_of(history, "val") == [0, 1, 2, 3, 4] and steps_of(history, "train") == [0, 1, 2, 3]
    assert checkpoints.steps(tmp_path) == [4, 2]


def test_a_step_that_is_only_read_in_a_cond_is_counted(graph, tmp_path):
    step = tf.train.get_or_create_global_step()
    rate = tf.cond(step < 2, lambda: tf.cast(step, tf.float32), lambda: tf.cast(step, tf.float32) + 1)
    weight = tf.get_variable("weight", initializer=1.0)
    train_op = tf.assign_sub(weight, rate)
    train_with_bn(train_op, rate, None, rate, None, 4, train_dir=tmp_path, **QUIET)
    assert final_value(tmp_path, "weight", 4) == 1 - (0 + 1 + 3 + 4) and checkpoints.steps(tmp_path) == [4]


def test_a_step_of_another_name_and_type(graph, tmp_path):
    step = tf.Variable(0, trainable=False, name="mine/counter", dtype=tf.int32)
    tf.add_to_collection(tf.GraphKeys.GLOBAL_STEP, step)
    loss = tf.constant(1.0)
    train_op = descent(loss, step)
    for end in (3, 5):
        train_with_bn(train_op, loss, None, loss, None, end, train_dir=tmp_path, **QUIET)
    assert final_value(tmp_path, "mine/counter", 5) == 5
    assert final_value(tmp_path, "weight", 5) == pytest.approx(1 - 5e-3)


def test_the_step_in_a_checkpoint_overrides_its_name(tmp_path, capsys):
    def train(end):
        with tf.Graph().as_default():
            loss = tf.constant(1.0)
            return train_with_bn(descent(loss), loss, None, loss, None, end, train_dir=tmp_path, save_every=3, **QUIET)

    train(12)
    for path in tmp_path.glob("model.ckpt-9.*"):
        (tmp_path / path.name.replace("-9.", "-12.")).write_bytes(path.read_bytes())
    train(12)
    assert "model.ckpt-12 holds step 9" in capsys.readouterr().out
    assert final_value(tmp_path, "global_step", 12) == 12
    assert final_value(tmp_path, "weight", 12) == pytest.approx(1 - 12e-3)
    for path in tmp_path.glob("model.ckpt-6.*"):  # an old checkpoint with the highest step in its name
        (tmp_path / path.name.replace("-6.", "-15.")).write_bytes(path.read_bytes())
    train(14)
    assert final_value(tmp_path, "weight", 14) == pytest.approx(1 - 14e-3)


@pytest.mark.parametrize("kind", ["twice", "accumulated"])
@pytest.mark.parametrize("placeholder", [True, False])
def test_batches_follow_the_updates_if_the_step_does_not_count_them(records, tmp_path, kind, placeholder):
    def train(directory, end):
        with tf.Graph().as_default():
            train_imgs, _, val_imgs, _ = batches.train_and_validation(records, 8, 3, **RAW)
            loss, val_loss = tf.reduce_mean(train_imgs), tf.reduce_mean(val_imgs)
            is_training = tf.placeholder_with_default(False, [], "is_training") if placeholder else None
            step, calls = tf.train.get_or_create_global_step(), tf.get_variable("calls", initializer=0)
            with tf.control_dependencies([descent(loss, step if kind == "twice" else calls)]):
                due = tf.equal(calls.read_value() % 3, 0)
                train_op = tf.cond(due, lambda: tf.assign_add(step, 1), lambda: step.read_value())
            cadence = {"log_every": 1, "eval_every": 2, "save_every": 1, "train_dir": tmp_path / directory}
            return train_with_bn(train_op, loss, None, val_loss, None, end, is_training, **cadence)

    whole = train("whole", 6)
    greys = grey_stream(records, 3 if kind == "twice" else 18, batch_size=3).mean(axis=1)
    assert final_value(tmp_path / "whole", "weight", 6) == pytest.approx(1 - 1e-3 * greys.sum(), rel=1e-5)
    train("parts", 4)
    parts = train("parts", 6)
    assert final_value(tmp_path / "parts", "weight", 6) == final_value(tmp_path / "whole", "weight", 6)
    drop = {"images_per_second": 0}
    assert [{**record, **drop} for record in parts] == [{**record, **drop} for record in whole]


# Several inputs in one graph.


@pytest.mark.parametrize("placeholder", [False, True])
@pytest.mark.parametrize("trained", [0, 1])
def test_the_loop_uses_the_streams_that_its_tensors_depend_on(records, graph, tmp_path, trained, placeholder):
    inputs = [batches.train_and_validation(records, 8, 3, seed=seed, **RAW) for seed in (0, 5)]
    loss, val_loss = tf.reduce_mean(inputs[trained][0]), tf.reduce_mean(inputs[1 - trained][2])
    is_training = tf.placeholder_with_default(False, [], "is_training") if placeholder else None
    options = {"log_every": 2, "eval_every": 3, "train_dir": tmp_path}
    history = train_with_bn(descent(loss), loss, None, val_loss, None, 6, is_training, **options)
    greys = grey_stream(records, 6, batch_size=3, seed=(0, 5)[trained]).mean(axis=1)
    assert final_value(tmp_path, "weight", 6) == pytest.approx(1 - 1e-3 * greys.sum(), rel=1e-5)
    assert of(history, "train") == pytest.approx(list(greys[::2]), rel=1e-5)
    assert of(history, "val") == pytest.approx([103] * 3) and of(history, "val", "images") == [7] * 3


def test_one_tower_with_a_cond_between_its_inputs(records, graph, tmp_path):
    train_imgs, _, val_imgs, _ = batches.train_and_validation(records, 8, 3, **RAW)
    is_training = tf.placeholder(tf.bool, [], "is_training")
    loss = tf.reduce_mean(tf.cond(is_training, lambda: train_imgs, lambda: val_imgs))
    history = train_with_bn(
        descent(loss), loss, None, loss, None, 6, is_training, log_every=100, eval_every=2, train_dir=tmp_path
    )
    greys = grey_stream(records, 6, batch_size=3).mean(axis=1)
    assert final_value(tmp_path, "weight", 6) == pytest.approx(1 - 1e-3 * greys.sum(), rel=1e-5)
    assert of(history, "val") == pytest.approx([103] * 4) and of(history, "val", "images") == [7] * 4


def test_a_loss_over_two_validation_sets_gives_a_one_line_error(records, graph):
    inputs = [batches.train_and_validation(records, 8, size, **RAW) for size in (3, 4)]
    loss = tf.reduce_mean(inputs[0][0])
    val_loss = tf.reduce_mean(inputs[0][2]) + tf.reduce_mean(inputs[1][2])
    with pytest.raises(UserError, match="val_loss: depends on validation sets of 7 images and 7 images; evaluate one"):
        train_with_bn(descent(loss), loss, None, val_loss, None, 6)


# Hooks.


@pytest.mark.parametrize(
    "hook",
    [
        lambda loss: tf.train.StopAtStepHook(5),
        lambda loss: tf.train.StopAtStepHook(last_step=5),
        lambda loss: tf.train.NanTensorHook(tf.log(4.5 - tf.cast(tf.train.get_global_step(), tf.float32)), False),
    ],
    ids=["StopAtStepHook(5)", "last_step=5", "NanTensorHook"],
)
def test_a_hook_that_asks_to_stop(graph, tmp_path, capsys, hook):
    step, loss = tf.train.get_or_create_global_step(), tf.constant(1.0)
    train_op = descent(loss, step)
    hooks = [hook(loss)]
    history = train_with_bn(train_op, loss, None, loss, None, 100, train_dir=tmp_path, hooks=hooks, **QUIET)
    end = history[-1]["step"]
    assert end in (5, 6) and history[-1]["split"] == "val" and checkpoints.steps(tmp_path) == [end]
    assert f"[stop]: a hook asked to stop at step {end} of 100" in capsys.readouterr().out


def test_a_hook_that_finds_nan_gives_a_one_line_error(graph, tmp_path):
    loss = tf.constant(1.0)
    hooks = [tf.train.NanTensorHook(loss * math.nan)]
    with pytest.raises(UserError, match="a hook found a loss that is NaN at step 0: no checkpoint was written yet"):
        train_with_bn(descent(loss), loss, None, loss, None, 9, train_dir=tmp_path, hooks=hooks, **QUIET)


# Partitioned variables.


@pytest.mark.parametrize("resource", [True, False])
@pytest.mark.parametrize("shards", [2, 3])
def test_partitioned_variables_are_resumed(tmp_path, resource, shards):
    def train(end, parts, width=2):
        with tf.Graph().as_default():
            partitioner = tf.fixed_size_partitioner(parts)
            w = tf.get_variable(
                "p/w", [6, width], initializer=tf.ones_initializer(), partitioner=partitioner, use_resource=resource
            )
            loss = tf.reduce_sum(tf.convert_to_tensor(w))
            step = tf.train.get_or_create_global_step()
            train_op = tf.train.MomentumOptimizer(0.1, 0.0).minimize(loss, step)
            return train_with_bn(train_op, loss, None, loss, None, end, train_dir=tmp_path, **QUIET)

    train(2, shards)
    history = train(4, shards)
    assert of(history, "val")[-1] == pytest.approx(12 * 0.6)
    assert final_value(tmp_path, "p/w", 4).shape == (6, 2)
    assert of(train(5, 5 - shards), "val")[-1] == pytest.approx(12 * 0.5)  # another number of parts
    with pytest.raises(UserError, match=r"p/w is \[6, 2\] there, \[6, 3\] here"):
        train(6, shards, width=3)


# Placeholders.


def fed_graph():
    x = tf.placeholder(tf.float32, [None], "x")
    loss = tf.reduce_mean(x)
    return x, descent(loss), loss


@pytest.mark.parametrize("numbered", [False, True])
def test_a_graph_that_is_fed_through_placeholders(graph, tmp_path, numbered):
    x, train_op, loss = fed_graph()
    steps = []
    counter = itertools.count()

    def feed_fn(step):
        steps.append(step)
        return {x: [float(step), float(step) + 1]}

    def val_feed_fn():
        for i in range(0, 10, 4):
            yield {x: TEN[i : i + 4]}

    history = train_with_bn(
        train_op, loss, None, loss, None, 6, train_dir=tmp_path, log_every=2, eval_every=3,
        feed_fn=feed_fn if numbered else lambda: feed_fn(next(counter)), val_feed_fn=val_feed_fn,
    )  # fmt: skip
    assert steps == [*range(6)]
    assert of(history, "train") == [0.5, 2.5, 4.5]
    assert of(history, "val") == pytest.approx([4.5] * 3) and of(history, "val", "images") == [10] * 3


@pytest.mark.parametrize(
    ("val_feed_fn", "loss", "images"),
    [
        (lambda x: lambda: {x: TEN}, 4.5, 10),
        (lambda x: lambda k: [{x: TEN[:4]}, {x: TEN[4:]}][k] if k < 2 else next(iter(())), 4.5, 10),
        (lambda x: lambda: [{x: TEN[:4]}, {x: TEN[4:]}], 4.5, 10),
        (lambda x: lambda: ({x: part} for part in np.split(TEN, 5)), 4.5, 10),
    ],
    ids=["one dict", "numbered", "list", "generator"],
)
def test_ways_to_feed_an_evaluation(graph, val_feed_fn, loss, images):
    x, train_op, measured = fed_graph()
    history = train_with_bn(
        train_op, measured, None, measured, None, 1, feed_fn=lambda: {x: [1.0]}, val_feed_fn=val_feed_fn(x)
    )
    assert of(history, "val") == pytest.approx([loss] * 2) and of(history, "val", "images") == [images] * 2


def test_is_training_and_feeds_work_together(graph, tmp_path):
    x, train_op, loss = fed_graph()
    is_training = tf.placeholder(tf.bool, [], "is_training")
    seen = tf.get_variable("seen", initializer=0)
    train_op = tf.group(train_op, tf.assign_add(seen, tf.cast(is_training, tf.int32)))
    loss += 100 * tf.cast(is_training, tf.float32)
    options = {"feed_fn": lambda step: {x: [step]}, "val_feed_fn": lambda: {x: TEN}, "train_dir": tmp_path}
    history = train_with_bn(train_op, loss, None, loss, None, 4, is_training, log_every=1, **options)
    assert of(history, "train") == [0, 1, 2, 3] and of(history, "val") == pytest.approx([4.5] * 2)
    assert final_value(tmp_path, "seen", 4) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "placeholder 'x' got no value: pass feed_fn="),
        ({"feed_fn": lambda: {}}, "placeholder 'x' got no value: pass feed_fn="),
        ({"feed_fn": {"x": 1}}, "feed_fn: is a dict; pass a function that returns a dict {placeholder: value}"),
        ({"feed_fn": lambda: [1]}, "feed_fn: returned a list, not a dict {placeholder: value}"),
        ({"feed_fn": lambda: None}, "feed_fn: returned a NoneType, not a dict"),
        ({"feed_fn": lambda: {"y:0": 1}}, "feed_fn: 'y:0' is not a tensor of this graph"),
        ({"feed_fn": lambda: {"x:0": 1.0}}, "feed_fn: a value of shape () for x:0, which is (None,)"),
        ({"feed_fn": lambda: {"x:0": ["a"]}}, "feed_fn: the value for x:0 does not fit"),
        ({"feed_fn": lambda: {"x:0": [[1], [1, 2]]}}, "feed_fn: the value for x:0 does not fit"),
        ({"feed_fn": lambda: {"x:0": [1.0]}}, "placeholder 'x' got no value: pass val_feed_fn="),
        ({"feed_fn": lambda: {"x:0": [1.0]}, "val_feed_fn": lambda: 3}, "val_feed_fn: returned a int, not a dict"),
        ({"feed_fn": lambda: {"x:0": [1.0]}, "val_feed_fn": lambda: [3]}, "val_feed_fn: returned a int, not a dict"),
    ],
)
def test_a_wrong_feed_gives_a_one_line_error(graph, options, message):
    _, train_op, loss = fed_graph()
    with pytest.raises(UserError) as error:
        train_with_bn(train_op, loss, None, loss, None, 3, eval_at_start=False, **options)
    assert message in str(error.value)


def test_an_evaluation_that_never_ends_gives_a_one_line_error(graph, monkeypatch):
    monkeypatch.setattr("graph_resnet.loop.feeds.ENDLESS", 20)
    x, train_op, loss = fed_graph()
    feeds = {"feed_fn": lambda: {x: [1.0]}, "val_feed_fn": lambda: {x: np.random.rand(4)}}
    with pytest.raises(UserError, match="val_feed_fn: has not ended after 20 batches; pass val_batches=N"):
        train_with_bn(train_op, loss, None, loss, None, 3, **feeds)
    assert len(of(train_with_bn(train_op, loss, None, loss, None, 3, val_batches=3, **feeds), "val")) == 2


def test_an_uninitialized_iterator_gives_a_one_line_error(graph):
    loss = tf.reduce_mean(tf.data.make_initializable_iterator(tf.data.Dataset.from_tensors(TEN).repeat()).get_next())
    with pytest.raises(UserError, match="never initialized: add its initializer, tf.add_to_collection"):
        train_with_bn(descent(loss), loss, None, tf.constant(1.0), None, 3)


# Arguments.


def test_accuracies_are_optional(graph, tmp_path, capsys):
    loss = tf.constant(2.0)
    history = train_with_bn(descent(loss), loss, None, loss, None, 1, train_dir=tmp_path)
    assert [sorted(r) for r in history] == [["loss", "split", "step"]] * 3
    out = capsys.readouterr().out
    assert "[val]: step 0 loss = 2.0000\n" in out and "[train]: step 0 loss = 2.0000 (0." in out


def test_a_run_without_validation(graph, tmp_path):
    loss = tf.constant(2.0)
    history = train_graph(GraphToTrain(descent(loss), loss), 3, train_dir=tmp_path, cadence=Cadence(log_every=2))
    assert [(r["split"], r["step"]) for r in history] == [("train", 0), ("train", 2)]
    assert checkpoints.steps(tmp_path) == [3]


def another_graphs(kind=tf.constant):
    with tf.Graph().as_default():
        return kind(1.0)


EAGER = tf.constant(1.0)  # in no graph


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda: {"train_op": [tf.no_op(), tf.no_op()]}, "train_op: is a list of 2; pass one op: tf.group(*train_op)"),
        (lambda: {"train_op": None}, "train_op: is None; pass what minimize() of a tf.compat.v1.train optimizer"),
        (lambda: {"train_op": tf.keras.optimizers.SGD(0.1)}, "train_op: is a SGD; pass what minimize() of a tf.compat"),
        (lambda: {"train_op": lambda: 1}, "train_op: is a function; pass"),
        (
            lambda: {"train_op": another_graphs(tf.identity)},
            "train_loss: belongs to another graph than train_op; build both",
        ),
        (lambda: {"train_loss": None}, "train_loss: is None; pass the scalar loss tensor"),
        (lambda: {"train_loss": tf.ones([8])}, "train_loss: has shape (8,), must be a scalar; pass tf.reduce_mean("),
        (lambda: {"train_loss": tf.constant("a")}, "train_loss: is of type string, must be a number"),
        (lambda: {"train_loss": EAGER}, "train_loss: is a EagerTensor; pass a tensor, built in a v1 graph"),
        (lambda: {"train_loss": 0.5}, "train_loss: is a float; pass a tensor"),
        (lambda: {"val_loss": tf.ones([1, 2])}, "val_loss: has shape (1, 2), must be a scalar"),
        (lambda: {"val_loss": another_graphs()}, "val_loss: belongs to another graph than train_op"),
        (lambda: {"val_acc": another_graphs()}, "val_acc: belongs to another graph than train_op"),
        (lambda: {"val_acc": np.float32(1)}, "val_acc: is a float32; pass a tensor"),
        (lambda: {"train_acc": tf.constant(True)}, "train_acc: is of type bool, must be a number; pass tf.cast("),
        (lambda: {"val_loss": None, "val_acc": tf.constant(1.0)}, "val_acc: needs val_loss, which is None"),
        (lambda: {"is_training": True}, "is_training: is a bool; pass"),
        (lambda: {"is_training": tf.constant(1.0)}, "is_training: is of type float32; pass the bool placeholder"),
        (lambda: {"learning_rate": "0.1"}, "learning_rate: is a str; pass"),
        (lambda: {"max_step": -1}, "max_step: must be a whole number, at least 0, got -1"),
        (lambda: {"max_step": 2.5}, "max_step: must be a whole number, at least 0, got 2.5"),
        (lambda: {"log_every": 0}, "log_every: must be a whole number, at least 1, got 0"),
        (lambda: {"val_batches": 0}, "val_batches: must be a whole number, at least 1, got 0"),
        (lambda: {"hooks": [tf.train.StopAtStepHook]}, "hooks: StopAtStepHook is not a SessionRunHook"),
    ],
)
def test_a_wrong_argument_gives_one_line_that_names_it(graph, changes, message):
    loss = tf.constant(1.0)
    arguments = {
        "train_op": descent(loss), "train_loss": loss, "train_acc": None,
        "val_loss": loss, "val_acc": None, "max_step": 2,
    }  # fmt: skip
    with pytest.raises(UserError) as error:
        train_with_bn(**{**arguments, **changes()})
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_loss_whose_shape_is_known_only_at_run_time(graph):
    x = tf.placeholder(tf.float32)
    with pytest.raises(UserError, match=r"train_loss: has shape \(3,\), must be a scalar"):
        train_with_bn(descent(tf.constant(1.0)), x, None, tf.constant(1.0), None, 2, feed_fn=lambda: {x: [1, 2, 3]})


def test_an_unknown_option_is_refused(graph):
    loss = tf.constant(1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'evaluate_every'"):
        train_with_bn(descent(loss), loss, None, loss, None, 1, evaluate_every=3)


def test_variables_and_integers_can_be_losses(graph):
    weight = tf.get_variable("w", initializer=3.0)
    history = train_with_bn(descent(weight.read_value()), weight, tf.constant(1), weight, tf.constant(0), np.int64(1))
    assert of(history, "val") == [3.0, 3.0] and of(history, "train", "accuracy") == [1.0]


def test_a_graph_without_any_float_variable(graph, tmp_path):
    step = tf.train.get_or_create_global_step()
    train_with_bn(tf.assign_add(step, 1), tf.constant(1.0), None, None, None, 2, train_dir=tmp_path)
    assert checkpoints.steps(tmp_path) == [2]


# Batch norm.


def bn_graph(*, towers, updates, fused=None, is_training=True):
    """Arguments for train_with_bn, of a net with one batch norm."""
    images = [tf.constant(np.random.RandomState(i).rand(6, 4, 4, 3), tf.float32) for i in (0, 1)]

    def tower(x, training, reuse):
        net = slim.conv2d(x, 2, 3, scope="c", reuse=reuse, normalizer_fn=slim.batch_norm,
                          normalizer_params={"is_training": training, "fused": fused})  # fmt: skip
        return tf.reduce_mean(net**2)

    loss = tower(images[0], is_training, None)
    before = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    val_loss = tower(images[1], False if is_training is True else is_training, True) if towers == 2 else loss
    with tf.control_dependencies(before if updates else []):
        train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, tf.train.get_or_create_global_step())
    return [train_op, loss, None, val_loss, None, 2]


@pytest.mark.parametrize("updates", [True, False])
@pytest.mark.parametrize("placeholder", [True, False])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("towers", [1, 2])
def test_forgotten_update_ops_give_one_warning(graph, capsys, updates, placeholder, fused, towers):
    is_training = tf.placeholder_with_default(False, [], "is_training") if placeholder else True
    arguments = bn_graph(towers=towers, updates=updates, fused=fused, is_training=is_training)
    train_with_bn(*arguments, is_training if placeholder else None)
    out = capsys.readouterr().out
    assert out.count("warning") == (0 if updates else 1), out
    if not updates:
        assert "never updates 2 of batch norm's moving averages" in out
        assert "with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):" in out
        assert "train_op = optimizer.minimize(loss, global_step)" in out


def test_batch_norm_that_is_frozen_or_updates_itself_needs_no_warning(graph, capsys):
    x = tf.constant(np.random.rand(6, 4, 4, 3), tf.float32)
    net = slim.batch_norm(x, is_training=False, scope="frozen")
    net = slim.batch_norm(net, is_training=True, updates_collections=None, scope="in_place")
    loss = tf.reduce_mean(net**2)
    train_with_bn(tf.train.GradientDescentOptimizer(0.1).minimize(loss), loss, None, loss, None, 2)
    assert "warning" not in capsys.readouterr().out


def test_slims_own_train_op_runs_the_update_ops(graph, capsys):
    x = tf.constant(np.random.rand(6, 4, 4, 3), tf.float32)
    loss = tf.reduce_mean(slim.batch_norm(x, is_training=True) ** 2)
    train_op = slim.learning.create_train_op(loss, tf.train.GradientDescentOptimizer(0.1))
    train_with_bn(train_op, loss, None, loss, None, 2)
    assert "warning" not in capsys.readouterr().out


# Non-finite weights.


def hidden_nan(bad_step, **options):
    """A weight that is NaN from a step on, while a ReLU keeps the loss finite."""
    step = tf.train.get_or_create_global_step()
    weight = tf.get_variable("conv/weights", initializer=[1.0])
    loss = tf.reduce_sum(tf.where(tf.is_nan(weight), [0.0], weight))
    with tf.control_dependencies([loss]):
        bad = tf.where(tf.equal(step, bad_step - 1), [np.nan], [1.0])
        with tf.control_dependencies([tf.assign(weight, bad)]):
            train_op = tf.assign_add(step, 1)
    tf.summary.histogram("weights", weight)
    return train_with_bn(train_op, loss, None, loss, None, 9, summary_op=tf.summary.merge_all(), **options)


@pytest.mark.parametrize("when", [{"save_every": 3}, {"eval_every": 3}])
def test_weights_are_checked_before_a_save_and_an_evaluation(graph, tmp_path, when):
    with pytest.raises(UserError, match=r"a weight is not finite after step 6 \(conv/weights\), not saved"):
        hidden_nan(6, train_dir=tmp_path, **when)
    assert 6 not in checkpoints.steps(tmp_path)


def test_a_checkpoint_with_weights_that_are_not_finite_is_not_loaded(graph, tmp_path):
    weight = tf.get_variable("conv/weights", initializer=[1.0, np.nan])
    tf.train.create_global_step()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver([weight, tf.train.get_global_step()]).save(session, str(tmp_path / "model.ckpt"), 0)
    assert checkpoints.fault(path) == "conv/weights is not finite: the net diverged"
    with pytest.raises(UserError, match="none of its checkpoints can be read"):
        checkpoints.newest_whole(tmp_path, say=lambda line: None)


# The best checkpoint.


def test_the_best_checkpoint_is_kept_beside_the_newest(tmp_path):
    accuracies = [0.1, 0.5, 0.4, 0.7, 0.7, 0.2, 0.3]

    def train(end, **options):
        with tf.Graph().as_default():
            step, loss = tf.train.get_or_create_global_step(), tf.constant(1.0)
            accuracy = tf.gather(tf.constant(accuracies), tf.cast(step, tf.int32))
            history = train_with_bn(
                descent(loss, step), loss, None, loss, accuracy, end, train_dir=tmp_path, keep_best=True, eval_every=1,
                save_every=2, **options,
            )  # fmt: skip
            return [record["accuracy"] for record in history if record["split"] == "val"]

    train(2)
    assert checkpoints.best(tmp_path).endswith("model.ckpt-best-1")
    train(6)
    best = checkpoints.best(tmp_path)
    assert best == str(tmp_path / "model.ckpt-best-3") and checkpoints.step_of(best) == 3
    assert tf.train.load_checkpoint(best).get_tensor("weight") == pytest.approx(1 - 3e-3)
    assert [path.name for path in tmp_path.glob("model.ckpt-best-*.index")] == ["model.ckpt-best-3.index"]
    assert checkpoints.steps(tmp_path) == [6, 4, 2]
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-6")


# TensorBoard.


def test_a_resumed_step_is_shown_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def train(end):
        with tf.Graph().as_default():
            weight = tf.get_variable("weight", initializer=1.0)
            loss = weight.read_value() * 1
            train_op = tf.train.GradientDescentOptimizer(0.1).minimize(weight**2)
            tf.summary.histogram("weights", weight)
            options = {"log_every": 1, "eval_every": 2, "save_every": 2, "summary_op": tf.summary.merge_all()}
            train_with_bn(train_op, loss, None, loss, None, end, train_dir=tmp_path, **options)

    train(4)
    events = [path for path in (tmp_path / "train").iterdir()]
    stale = tf.Summary(value=[tf.Summary.Value(tag="loss", simple_value=9.0)])
    with tf.io.TFRecordWriter(str(events[0]) + ".1") as writer:  # written by a killed run after its last checkpoint
        for step in (4, 5):
            writer.write(tf.Event(wall_time=1.0, step=step, summary=stale).SerializeToString())
    train(8)
    for split, steps in (("train", [*range(8)]), ("val", [0, 2, 4, 6, 8])):
        accumulator = EventAccumulator(str(tmp_path / split))
        accumulator.Reload()
        assert [event.step for event in accumulator.Scalars("loss")] == steps
    accumulator = EventAccumulator(str(tmp_path / "train"), size_guidance={"histograms": 0})
    accumulator.Reload()
    assert [event.step for event in accumulator.Histograms("weights")] == [0, 2, 4, 6, 8]


def test_the_state_file_and_the_records_agree(graph, tmp_path):
    loss = tf.constant(1.0)
    history = train_with_bn(descent(loss), loss, None, loss, None, 2, train_dir=tmp_path, **QUIET)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history
