"""The session loop on graphs as the TensorFlow 1 programs of 2016 to 2018 build them."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.data import batches
from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints
from tests.helpers import QUIET, RAW, final_value, grey_stream, summaries
from utils.learning import train_with_bn

STEP = tf.GraphKeys.GLOBAL_STEP


def plain(name="global_step", dtype=tf.int32, **options):
    return tf.Variable(tf.zeros([], dtype), trainable=False, name=name, **options)


def descent(loss, step=None):
    """A train op on one new weight: each update subtracts 0.001 * loss, starting from 1."""
    weight = tf.get_variable("weight", initializer=1.0)
    return tf.train.GradientDescentOptimizer(1e-3).minimize(weight * tf.stop_gradient(loss), step)


# The global step.


def plain_step():
    return plain()


def step_of_get_variable():
    return tf.get_variable("global_step", [], tf.int64, tf.zeros_initializer(), trainable=False)


def ref_step():
    return plain(use_resource=False)


def scoped_step():
    with tf.variable_scope("train"):
        return step_of_get_variable()


def step_created_in_a_scope():
    with tf.variable_scope("train"):
        return tf.train.create_global_step()


def listed_twice():
    step = plain("counter")
    for _ in range(2):
        tf.add_to_collection(STEP, step)
    return step


def read_of_a_ref():
    step = plain("counter", use_resource=False)
    tf.add_to_collection(STEP, step.op.outputs[0])
    return step


def outer_of_two():
    scoped_step()
    return plain()


def listed_of_two():
    plain()
    step = plain("counter")
    tf.add_to_collection(STEP, step)
    return step


STEPS = [
    plain_step, step_of_get_variable, ref_step, scoped_step, step_created_in_a_scope, listed_twice, read_of_a_ref,
    outer_of_two, listed_of_two,
]  # fmt: skip


@pytest.mark.parametrize("make", STEPS, ids=lambda make: make.__name__)
def test_the_graphs_own_step_counts_names_checkpoints_and_finds_the_batch(records, tmp_path, make):
    for end in (3, 5):
        with tf.Graph().as_default():
            step = make()
            train_imgs, *_ = batches.train_and_validation(records, 8, 3, **RAW)
            loss = tf.reduce_mean(train_imgs)
            hooks = [tf.train.CheckpointSaverHook(str(tmp_path / "hook"), save_steps=1)]  # finds the step by itself
            train_op = descent(loss, step)
            train_with_bn(train_op, loss, None, None, None, end, train_dir=tmp_path, hooks=hooks, **QUIET)
    assert checkpoints.steps(tmp_path) == [5, 3]
    assert [final_value(tmp_path, step.op.name, n) for n in (3, 5)] == [3, 5]
    assert final_value(tmp_path / "hook", step.op.name, 5) == 5
    assert final_value(tmp_path, "weight", 5) == pytest.approx(1 - 1e-3 * grey_stream(records, 5, 3).mean(1).sum())


def two_listed():
    for name in ("one", "other"):
        tf.add_to_collection(STEP, plain(name))


def two_scoped():
    plain("generator/global_step")
    plain("discriminator/global_step")


def local():
    tf.add_to_collection(STEP, plain("mine", collections=[tf.GraphKeys.LOCAL_VARIABLES]))


def placeholder():
    tf.add_to_collection(STEP, tf.placeholder(tf.int64, [], "fed"))


@pytest.mark.parametrize(
    "make, message",
    [
        (two_listed, "global step: one and other could be it; pass one of them"),
        (two_scoped, "global step: discriminator/global_step and generator/global_step could be it"),
        (local, r"global step: mine is not among tf.global_variables\(\)"),
        (lambda: plain(collections=[tf.GraphKeys.LOCAL_VARIABLES]), "global step: global_step is not among"),
        (placeholder, "global step: fed is not among"),
        (lambda: tf.add_to_collection(STEP, "global_step"), "global step: 'global_step' in the collection"),
        (lambda: plain(dtype=tf.float32), r"global step: global_step is float32 of shape \(\); make it a tf.int64"),
        (lambda: tf.Variable([0], name="global_step"), r"global step: global_step is int32 of shape \(1,\)"),
    ],
)
@pytest.mark.parametrize("data", [True, False])
def test_a_step_that_cannot_be_one_gives_a_one_line_error(graph, records, make, message, data):
    make()
    with pytest.raises(UserError, match=message) as caught:
        loss = tf.reduce_mean(batches.train_and_validation(records, 8, 3)[0]) if data else tf.constant(1.0)
        train_with_bn(descent(loss), loss, None, None, None, 1)
    assert "\n" not in str(caught.value)


def test_the_graph_can_be_written_as_tensorflow_2_20_does_it(graph, tmp_path):
    from tensorflow.python.framework import graph_io

    loss = tf.constant(1.0, name="one")
    train_with_bn(descent(loss), loss, None, None, None, 1, **QUIET)
    assert 'name: "one"' in graph_io.text_format.MessageToString(graph.as_graph_def(), float_format="")


# Summaries.

TEN = np.arange(10, dtype=np.float32)


def of_dataset(kind):
    dataset = tf.data.Dataset.from_tensor_slices(TEN).repeat().batch(2)
    if kind == "one-shot":
        return tf.data.make_one_shot_iterator(dataset).get_next()
    iterator = tf.data.make_initializable_iterator(dataset)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    return iterator.get_next()


def of_queue():
    (value,) = tf.train.slice_input_producer([TEN], shuffle=False)
    return tf.train.batch([value], 2)


def fed():
    x = tf.placeholder(tf.float32, [2])
    return x, {"feed_fn": lambda step: {x: [2 * step % 10, (2 * step + 1) % 10]}}


INPUTS = {
    "one-shot": lambda: (of_dataset("one-shot"), {}),
    "initializable": lambda: (of_dataset("initializable"), {}),
    "queue": lambda: (of_queue(), {}),
    "fed": fed,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("placeholder", [False, True])
@pytest.mark.parametrize("kind", INPUTS)
def test_a_summary_of_the_loss_takes_no_batch_from_training(tmp_path, kind, placeholder):
    def train(directory, *, with_summaries):
        with tf.Graph().as_default():
            batch, options = INPUTS[kind]()
            is_training = tf.placeholder(tf.bool, []) if placeholder else None
            loss = tf.reduce_mean(batch if is_training is None else batch * tf.cast(is_training, tf.float32))
            train_op = descent(loss)
            tf.summary.scalar("mine", loss)
            tf.summary.histogram("weights", tf.global_variables()[0])
            options |= {"summary_op": tf.summary.merge_all()} if with_summaries else {}
            options |= {"log_every": 1000, "eval_every": 2, "train_dir": directory}
            train_with_bn(train_op, loss, None, tf.constant(1.0), None, 5, is_training, **options)
        return final_value(directory, "weight", 5)

    assert train(tmp_path / "with", with_summaries=True) == train(tmp_path / "without", with_summaries=False)
    shown = [(e.step, value.simple_value) for e, value in summaries(tmp_path / "with/train") if value.tag == "mine"]
    means = TEN.reshape(5, 2).mean(1)
    assert shown == [(step, means[step]) for step in (0, 2, 4)]


def random_digits():
    return tf.random_uniform([2], maxval=10, seed=1), {}


def of_python():
    numbers = iter(TEN)
    return tf.reshape(tf.py_func(lambda: next(numbers), [], tf.float32), [1]), {}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [*INPUTS, "random", "python"])
def test_a_measured_line_takes_no_batch_from_training(tmp_path, kind):
    def train(log_every):
        with tf.Graph().as_default():
            batch, options = (INPUTS | {"random": random_digits, "python": of_python})[kind]()
            is_training = tf.placeholder(tf.bool, [])
            scale = tf.cond(is_training, lambda: tf.random_uniform([], seed=2), lambda: 1.0)  # as dropout: drawn anew
            loss = tf.reduce_mean(batch) * scale
            options |= {"log_every": log_every, "train_dir": tmp_path / f"{log_every}", "eval_at_start": False}
            history = train_with_bn(descent(loss), loss, None, tf.constant(1.0), None, 5, is_training, **options)
        measured = [record["loss"] for record in history if record["split"] == "train"]
        return measured, final_value(options["train_dir"], "weight", 5)

    (losses, weight), (fewer, calm) = train(1), train(4)
    assert weight == calm
    assert fewer == [losses[0], losses[4]]
    if kind in INPUTS:
        assert losses == list(TEN.reshape(5, 2).mean(1))


def test_a_summary_of_the_weights_is_also_written_at_the_end(graph, tmp_path):
    loss = tf.constant(1.0)
    train_op = descent(loss)
    tf.summary.scalar("value", tf.global_variables()[0])
    options = {"summary_op": tf.summary.merge_all(), "train_dir": tmp_path, "eval_every": 2}
    train_with_bn(train_op, loss, None, loss, None, 3, **options)
    shown = [(e.step, value.simple_value) for e, value in summaries(tmp_path / "train") if value.tag == "value"]
    assert shown == [(step, pytest.approx(1 - step * 1e-3)) for step in (0, 2, 3)]


@pytest.mark.parametrize("wrong", [lambda x: [tf.summary.scalar("a", x)], lambda x: x, lambda x: "merged"])
def test_a_summary_op_that_is_none_gives_a_one_line_error(graph, wrong):
    loss = tf.constant(1.0)
    with pytest.raises(UserError, match="summary_op: .* is not a summary; pass tf.summary.merge_all"):
        train_with_bn(descent(loss), loss, None, loss, None, 1, summary_op=wrong(loss))


# Feeds. See also test_any_graph.py.


@pytest.mark.parametrize(
    "feed, message",
    [
        ({"y:0": [1.5, 2.0]}, "the value for y:0 does not fit (float64 values would change as int32)"),
        ({"y:0": np.array([np.nan, 1], np.float32)}, "the value for y:0 does not fit (float32 values would change"),
        ({"y:0": [1 << 40, 1]}, "the value for y:0 does not fit (int64 values would change as int32)"),
        ({"y:0": [1 << 70, 1]}, "the value for y:0 does not fit ("),
        ({"y:0": np.array([-1, 1]), "x:0": [1j, 1]}, "the value for x:0 does not fit (complex128 values would change"),
        ({"y:0": [1, 2], "flag:0": 2}, "the value for flag:0 does not fit (int64 values would change as bool)"),
        ({"y:0": "tensor"}, "the value for y:0 does not fit (Cannot convert a symbolic tf.Tensor"),
        ({"y:0": [1, 2], "twice": [1, 2]}, "feeds y:0 twice, as a tensor and by its name"),
    ],
)
def test_a_feed_that_tensorflow_would_change_gives_a_one_line_error(graph, feed, message):
    x, y = tf.placeholder_with_default([1.0, 2.0], [2], "x"), tf.placeholder(tf.int32, [2], "y")
    tf.placeholder_with_default(False, [], "flag")
    loss = tf.reduce_mean(x) + tf.cast(tf.reduce_mean(y), tf.float32)
    feed = {{"twice": y}.get(key, key): loss if isinstance(value, str) else value for key, value in feed.items()}
    with pytest.raises(UserError) as caught:
        train_with_bn(descent(loss), loss, None, None, None, 1, feed_fn=lambda: feed)
    assert f"feed_fn: {message}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [[1.0, 2.0], [True, False], np.array([1, 2]), np.array([1, 2], np.uint64), ["1", "2"]]
)
def test_a_feed_that_tensorflow_converts_without_a_change_is_taken(graph, value):
    y = tf.placeholder(tf.int32, [2], "y")
    loss = tf.cast(tf.reduce_sum(y), tf.float32)
    (record,) = train_with_bn(descent(loss), loss, None, None, None, 1, feed_fn=lambda: {"y:0": value})
    assert record["loss"] == np.sum(np.asarray(value, np.int32))


# Hooks, and what else a graph holds in its collections.


class Feeding(tf.train.SessionRunHook):
    """Feeds a tensor and fetches another; makes the variable `rounds` and initializes it itself."""

    def __init__(self, feed, fetch):
        self.feed, self.fetch, self.seen = feed, fetch, []

    def begin(self):
        self.rounds = tf.get_variable("rounds", initializer=0.0)

    def after_create_session(self, session, coord):
        session.run(self.rounds.initializer)
        self.seen.append(int(session.run(tf.train.get_global_step())))

    def before_run(self, context):
        return tf.train.SessionRunArgs([self.fetch, self.rounds], self.feed)

    def after_run(self, context, values):
        self.seen.append(float(values.results[0]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("own", [None, {}, {"sharded": True}])
def test_hooks_savers_queues_and_tables_leave_training_as_it_is(tmp_path, capsys, own):
    seen = []
    for end in (3, 5):
        with tf.Graph().as_default():
            factor, rate = tf.placeholder_with_default(7.0, []), tf.Variable(1.0, collections=["local_variables"])
            keys = tf.lookup.KeyValueTensorInitializer(tf.constant(["a"]), tf.constant([2.0]))
            loss = (
                tf.reduce_mean(of_queue())
                * factor
                * rate
                * tf.lookup.StaticHashTable(keys, 0.0).lookup(tf.constant("a"))
            )
            train_op = descent(loss, plain())
            if own is not None:
                tf.add_to_collection(tf.GraphKeys.SAVERS, tf.train.Saver(max_to_keep=2, **own))
            merged, events = tf.summary.scalar("mine", loss), str(tmp_path / "hook")
            hooks = [
                tf.train.LoggingTensorHook({"mine": loss}, every_n_iter=1),
                tf.train.SummarySaverHook(save_steps=1, output_dir=events, summary_op=merged),
                tf.train.CheckpointSaverHook(str(tmp_path), save_steps=1),
                tf.train.CheckpointSaverHook(str(tmp_path / "other"), save_steps=1, checkpoint_basename="mine"),
                Feeding({factor: 1.0}, loss),
            ]
            train_with_bn(train_op, loss, None, None, None, end, train_dir=tmp_path, hooks=hooks, **QUIET)
            seen.append(hooks[-1].seen)
    means = [*(2 * TEN.reshape(5, 2).mean(1))]
    assert seen == [[0, *means[:3]], [3, *means[:2]]]  # queues start again
    assert final_value(tmp_path, "weight", 5) == pytest.approx(1 - 1e-3 * sum(means[:3] + means[:2]))
    logged = [value.simple_value for _, value in summaries(tmp_path / "hook") if value.tag == "mine"]
    assert logged == means[:3] + means[:2]
    assert checkpoints.steps(tmp_path)[0] == 5
    kept = len([*(tmp_path / "other").glob("mine-*.index")])
    assert (kept == 6) is (own is None)  # the hook uses the graph's own saver, which keeps fewer


@pytest.mark.parametrize("by", ["feed_fn", "is_training", "hook"])
def test_a_hook_that_feeds_what_is_fed_gives_a_one_line_error(graph, by):
    flag = tf.placeholder(tf.bool, [], "flag")
    loss = tf.cast(flag, tf.float32)
    options = {"feed_fn": {"feed_fn": lambda: {flag: True}}, "is_training": {"is_training": flag}, "hook": {}}[by]
    hooks = [tf.train.FeedFnHook(lambda: {flag: True}) for _ in range(2 if by == "hook" else 1)]
    with pytest.raises(UserError, match="hooks: one feeds flag:0, as feed_fn, is_training or another hook does"):
        train_with_bn(descent(loss), loss, None, None, None, 1, hooks=hooks, **options)


class ReadsABatch(tf.train.SessionRunHook):
    """Looks at a tensor before the first step."""

    def __init__(self, tensor):
        self.tensor = tensor

    def after_create_session(self, session, coord):
        session.run(self.tensor)


def test_a_hook_that_reads_a_batch_first_takes_none_from_training(records, tmp_path):
    for end in (3, 5):
        with tf.Graph().as_default():
            loss = tf.reduce_mean(batches.train_and_validation(records, 8, 3, **RAW)[0])
            train_op = descent(loss, tf.train.get_or_create_global_step())
            train_with_bn(train_op, loss, None, None, None, end, train_dir=tmp_path, hooks=[ReadsABatch(loss)], **QUIET)
    assert final_value(tmp_path, "weight", 5) == pytest.approx(1 - 1e-3 * grey_stream(records, 5, 3).mean(1).sum())


class Raises(tf.train.SessionRunHook):
    """Raises before or after the update of step 3."""

    def __init__(self, when):
        self.when, self.seen = when, 0

    def before_run(self, context):
        self.seen += 1
        if self.seen == 4 and self.when == "before":
            raise ZeroDivisionError("mine")

    def after_run(self, context, values):
        if self.seen == 4:
            raise ZeroDivisionError("mine")


def raises_at_three(step):
    if step == 3:
        raise ZeroDivisionError("mine")
    return {}


def raises_at_the_second_evaluation(history, confusion):
    if len(history) > 1:
        raise ZeroDivisionError("mine")


@pytest.mark.parametrize(
    "options, step",
    [
        (lambda: {"hooks": [Raises("before")]}, 3),
        (lambda: {"hooks": [Raises("after")]}, 4),
        (lambda: {"feed_fn": raises_at_three}, 3),
        (lambda: {"after_evaluation": raises_at_the_second_evaluation, "eval_every": 3}, 3),
    ],
)
def test_an_error_of_the_callers_own_code_loses_no_step(tmp_path, capsys, options, step):
    with tf.Graph().as_default():
        loss = tf.constant(1.0)
        options = {**QUIET, "train_dir": tmp_path, **options()}
        with pytest.raises(ZeroDivisionError, match="mine"):
            train_with_bn(descent(loss), loss, None, loss, None, 9, **options)
    assert f"[stop]: ZeroDivisionError at step {step} of 9: the last good checkpoint is" in capsys.readouterr().out
    assert final_value(tmp_path, "weight", step) == pytest.approx(1 - 1e-3 * step)


@pytest.mark.parametrize("function", [lambda one, two: {}, lambda *, one: {}, lambda step, *, key: {}])
def test_a_feed_function_with_other_parameters_gives_a_one_line_error(graph, function):
    loss = tf.constant(1.0)
    with pytest.raises(UserError, match=r"^feed_fn: takes \(.*\); it is called with the number of the batch, or noth"):
        train_with_bn(descent(loss), loss, None, None, None, 1, feed_fn=function)


# Other parts of such graphs.


def _classes(inputs):
    """(loss, accuracy, a placeholder of labels) of a layer with two classes."""
    labels = tf.placeholder(tf.int32, [None])
    logits = tf.matmul(inputs, tf.get_variable("classes", [inputs.shape[1], 2]))
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    return (
        loss,
        tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels), tf.float32)),
        labels,
    )


def a_loop(flag, x):
    """Dropout inside a while loop."""
    rate = tf.where(flag, 0.5, 0.0)
    _, total = tf.while_loop(lambda i, _: i < 3, lambda i, t: (i + 1, t + tf.nn.dropout(x, rate=rate)), [0, x])
    return total


def a_branch(flag, x):
    noisy = tf.cond(tf.random_uniform([]) > 0.5, lambda: x + tf.random_normal([4]), lambda: x)
    return noisy * tf.where(flag, 1.0, 2.0)


def a_map(flag, x):
    return tf.map_fn(lambda row: 2 * tf.random_shuffle(row), x) * tf.where(flag, 1.0, 2.0)


@pytest.mark.parametrize("build", [a_loop, a_branch, a_map])
@pytest.mark.parametrize("version", [1, 2], ids=["version 1", "version 2"])
def test_random_ops_inside_control_flow_with_is_training(build, version):
    """What is inside a loop or a branch of version 1 cannot be fetched, or fed to the measurement."""
    (tf.disable_control_flow_v2 if version == 1 else tf.enable_control_flow_v2)()
    try:
        with tf.Graph().as_default():
            flag, x = tf.placeholder(tf.bool, []), tf.placeholder(tf.float32, [None, 4])
            loss, accuracy, labels = _classes(build(flag, x))
            op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
            feed = {x: np.eye(4, dtype=np.float32), labels: np.arange(4) % 2}
            fns = {"feed_fn": lambda: feed, "val_feed_fn": lambda: iter([feed])}
            history = train_with_bn(op, loss, accuracy, loss, accuracy, 3, flag, **fns, **QUIET)
    finally:
        tf.enable_control_flow_v2()
    assert [r["step"] for r in history if r["split"] == "val"][-1] == 3


def test_tf_metrics_measure_each_evaluation_by_itself():
    """By hand: the fed predictions of an evaluation are right in 1 of 2 and 2 of 2 images, then in none of 4."""
    with tf.Graph().as_default():
        x, right = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.int32, [None])
        loss = tf.reduce_mean(x) * tf.get_variable("weight", initializer=1.0)
        _, accuracy = tf.metrics.accuracy(tf.ones_like(right), right)
        op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        rounds = iter([[[1, 0], [1, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]])

        def evaluation():
            return iter([{x: [0.0, 0.0], right: batch} for batch in next(rounds)])

        train = lambda: {x: [0.0, 0.0], right: [1, 1]}  # noqa: E731
        options = {"feed_fn": train, "val_feed_fn": evaluation, **QUIET, "eval_every": 1}
        history = train_with_bn(op, loss, None, loss, accuracy, 2, **options)
    assert [r["accuracy"] for r in history if r["split"] == "val"] == [0.75, 0.0, 1.0]


def test_a_sparse_feed(tmp_path):
    with tf.Graph().as_default():
        x = tf.sparse_placeholder(tf.float32)
        loss = tf.reduce_mean(tf.sparse_tensor_dense_matmul(x, tf.get_variable("weight", [4, 2])))
        op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        feed = {x: tf.SparseTensorValue([[0, 0], [2, 1]], [1.0, 2.0], (3, 4))}
        fns = {"feed_fn": lambda: feed, "val_feed_fn": lambda: iter([feed, feed])}
        history = train_with_bn(op, loss, None, loss, None, 2, **fns, **QUIET)
    assert [r["images"] for r in history if r["split"] == "val"][-1] == 6


def test_a_variable_that_holds_infinity_is_saved_and_resumed(tmp_path):
    """A best loss so far begins there. A weight must still be finite, and nothing may be NaN."""

    def train(steps, start=np.inf, trainable=False):
        with tf.Graph().as_default():
            best = tf.get_variable("best_loss", initializer=np.float32(start), trainable=trainable)
            x = tf.placeholder(tf.float32, [None])
            loss = tf.reduce_mean(x) * tf.get_variable("weight", initializer=1.0)
            keep = best.assign(tf.minimum(best, np.inf))
            op = tf.group(tf.train.GradientDescentOptimizer(0.1).minimize(loss), keep)
            options = {"feed_fn": lambda: {x: [1.0]}, **QUIET}
            train_with_bn(op, loss, None, None, None, steps, train_dir=tmp_path / f"{trainable}{start}", **options)

    train(2)
    train(4)
    assert final_value(tmp_path / "Falseinf", "best_loss", 4) == np.inf
    for start, trainable in ((np.inf, True), (np.nan, False)):
        with pytest.raises(UserError, match="a weight is not finite after step . \\(best_loss\\), not saved"):
            train(2, start, trainable)
