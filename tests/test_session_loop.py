"""The session loop on graphs so small that every number is known."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.data import batches, streams
from graph_resnet.errors import UserError
from graph_resnet.loop import metrics_log, progress
from graph_resnet.loop.signals import Interrupted
from graph_resnet.training.options import Show
from tests.helpers import QUIET, RAW, ROOT, diverging, final_value, grey_stream, regression, summaries
from utils.learning import train_with_bn


@pytest.mark.parametrize("counts", [True, False])
def test_the_loop_runs_exactly_max_step_updates(records, graph, tmp_path, counts):
    arguments, _ = regression(records, counts=counts)
    train_with_bn(*arguments, 7, train_dir=tmp_path, **QUIET)
    # The gradient is the batch's grey level, so each update subtracts a thousandth of it.
    expected = 1 - 1e-3 * grey_stream(records, 7, batch_size=3).mean(axis=1).sum()
    assert final_value(tmp_path, "weight", 7) == pytest.approx(expected, rel=1e-5)
    assert final_value(tmp_path, "global_step", 7) == 7


def test_it_prints_the_tutorials_lines_and_returns_them(records, graph, capsys):
    arguments, _ = regression(records)
    history = train_with_bn(*arguments, 4, log_every=2, eval_every=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    greys = grey_stream(records, 4, batch_size=3).mean(axis=1)
    assert [line.split(" (")[0] for line in lines] == [
        "[val]: step 0 loss = 103.0000 acc = 0.2500",
        f"[train]: step 0 loss = {greys[0]:.4f} acc = 0.5000",
        "[val]: step 2 loss = 103.0000 acc = 0.2500",
        f"[train]: step 2 loss = {greys[2]:.4f} acc = 0.5000",
        "[val]: step 4 loss = 103.0000 acc = 0.2500",
    ]
    assert all(line.endswith(" / batch)") for line in lines if line.startswith("[train]"))
    assert [(r["split"], r["step"]) for r in history] == [
        ("val", 0), ("train", 0), ("val", 2), ("train", 2), ("val", 4)
    ]  # fmt: skip
    assert history[1]["images_per_second"] > 0


def test_evaluation_weights_batches_by_their_images(records, graph):
    # Batches of 3, 3 and 1: the mean of their means is 103.67, the mean of the images 103.
    arguments, _ = regression(records)
    history = train_with_bn(*arguments, 1, **QUIET)
    assert history[-1]["loss"] == pytest.approx(103, rel=1e-6)
    assert history[-1]["images"] == 7


def test_the_logits_of_each_evaluation_are_handed_over_in_the_datas_order(records, graph):
    train_imgs, _, val_imgs, _ = batches.train_and_validation(records, 8, 3, **RAW)
    weight = tf.get_variable("weight", initializer=1.0)
    loss = tf.reduce_mean(train_imgs)
    train_op = tf.train.GradientDescentOptimizer(1e-3).minimize(weight * loss, tf.train.get_or_create_global_step())
    grey = tf.reduce_mean(val_imgs, [1, 2, 3])
    taken = []
    train_with_bn(
        *(train_op, loss, None, tf.reduce_mean(grey), None, 2),
        val_logits=tf.stack([grey, -grey], axis=1),
        take_logits=lambda step, logits: taken.append((step, logits)),
        log_every=1,
        eval_every=1,
    )
    assert [step for step, _ in taken] == [0, 1, 2]
    for _, logits in taken:
        np.testing.assert_allclose(logits, [[k, -k] for k in range(100, 107)], rtol=1e-6)


def test_the_confusion_matrix_is_summed_over_an_evaluation(records, graph, tmp_path):
    arguments, _ = regression(records)
    labels = next(stream.labels for stream in streams.registered(graph) if stream.in_order)
    confusion = tf.math.confusion_matrix(labels, tf.fill([tf.size(labels)], 1), 3)  # all predicted as class 1
    seen = []

    def after(history, confusion):
        seen.append((history[-1]["step"], confusion))
        return metrics_log.pictures({"confusion": b"a picture"})

    first = metrics_log.pictures({"x": b"1"})
    options = {"val_confusion": confusion, "after_evaluation": after, "first_summary": first, "eval_at_start": False}
    train_with_bn(*arguments, 2, train_dir=tmp_path, **QUIET, **options)
    ((step, found),) = seen
    assert step == 2 and found.dtype == np.int64
    # Images 100 to 106, whose classes are number % 3.
    np.testing.assert_array_equal(found, [[0, 2, 0], [0, 3, 0], [0, 2, 0]])
    images = [(e.step, v.tag, v.image.encoded_image_string) for e, v in summaries(tmp_path / "val") if v.tag != "loss"]
    assert (2, "confusion", b"a picture") in images
    assert next((e.step, v.tag) for e, v in summaries(tmp_path / "train")) == (0, "x")


def test_without_a_validation_set_the_confusion_matrix_covers_one_batch(graph):
    weight = tf.get_variable("weight", initializer=2.0)
    train_op = tf.train.GradientDescentOptimizer(0.25).minimize(weight**2)
    seen = []
    train_with_bn(
        train_op, weight, weight, weight, weight, 1, val_confusion=tf.eye(2, dtype=tf.int32), eval_at_start=False,
        after_evaluation=lambda history, confusion: seen.append(confusion.tolist()),
    )  # fmt: skip
    assert seen == [[[1, 0], [0, 1]]]


def test_a_graph_can_be_trained_again_unless_it_is_finalized(records, graph):
    arguments, _ = regression(records)
    for max_step in (1, 2):
        assert train_with_bn(*arguments, max_step, **QUIET)[-1]["step"] == max_step
    graph.finalize()
    with pytest.raises(UserError, match=r"^this graph is finalized .* build it again after tf.reset_default_graph"):
        train_with_bn(*arguments, 3, **QUIET)


def test_a_loss_without_an_input_is_measured_on_one_batch(graph):
    weight = tf.get_variable("weight", initializer=2.0)
    loss = weight**2
    train_op = tf.train.GradientDescentOptimizer(0.25).minimize(loss)
    accuracy = tf.constant(0.5)
    history = train_with_bn(train_op, loss, accuracy, weight * 10, accuracy, 2, learning_rate=0.25, **QUIET)
    assert [(r["split"], r["loss"]) for r in history] == [("val", 20.0), ("train", 4.0), ("val", 5.0)]
    assert history[1]["learning_rate"] == 0.25
    assert "images" not in history[-1]


def test_the_placeholder_is_true_for_updates_and_false_for_measurements(records, graph, tmp_path):
    arguments, is_training = regression(records, placeholder=True)
    updates = tf.get_variable("updates", initializer=0)
    count = tf.assign_add(updates, tf.cast(is_training, tf.int32))
    arguments[0] = tf.group(arguments[0], count)
    for i in (1, 2, 3, 4):  # a measured value shows whether it was measured in training mode
        arguments[i] = arguments[i] + tf.where(is_training, 1000.0, 0.0)
    history = train_with_bn(*arguments, 5, is_training, train_dir=tmp_path, log_every=1, eval_every=2)
    assert final_value(tmp_path, "updates", 5) == 5
    assert all(r["loss"] < 200 for r in history)


def test_measuring_with_a_placeholder_uses_up_no_training_batch(records, graph, tmp_path):
    arguments, is_training = regression(records, placeholder=True)
    history = train_with_bn(*arguments, 6, is_training, train_dir=tmp_path, log_every=1, eval_every=4)
    greys = grey_stream(records, 6, batch_size=3).mean(axis=1)
    assert final_value(tmp_path, "weight", 6) == pytest.approx(1 - 1e-3 * greys.sum(), rel=1e-5)
    assert [r["loss"] for r in history if r["split"] == "train"] == pytest.approx(list(greys), rel=1e-5)


def batch_normalized(records, *, leak, static):
    """The tutorial's cells on a net with one batch norm; returns the arguments of train_with_bn, and is_training."""
    import graph_resnet.compat.slim  # noqa: F401

    import tf_slim as slim  # isort: skip

    train_imgs, _, val_imgs, _ = batches.train_and_validation(records, 8, 3, **RAW)
    is_training = tf.placeholder(tf.bool, [], "is_training")

    def tower(images, training, reuse=None):
        net = slim.batch_norm(images, decay=0.5, is_training=training, reuse=reuse, scope="bn")
        return tf.reduce_mean(net**2)

    train_loss = tower(train_imgs, True if static else is_training)
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    val_loss = tower(val_imgs, False if static else is_training, reuse=True)
    if leak:
        update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(update_ops):
        train_op = tf.train.GradientDescentOptimizer(0.0).minimize(train_loss)
    accuracy = tf.constant(0.5)
    return [train_op, train_loss, accuracy, val_loss, accuracy], None if static else is_training


@pytest.mark.parametrize("static", [True, False])
def test_validation_never_changes_a_moving_average(records, graph, tmp_path, static, capsys):
    arguments, is_training = batch_normalized(records, leak=False, static=static)
    train_with_bn(*arguments, 4, is_training, train_dir=tmp_path, log_every=1, eval_every=1)
    mean = 0.0
    for grey in grey_stream(records, 4, batch_size=3).mean(axis=1):
        mean = 0.5 * mean + 0.5 * grey
    np.testing.assert_allclose(final_value(tmp_path, "bn/moving_mean", 4), [mean] * 3, rtol=1e-5)
    assert "warning" not in capsys.readouterr().out


def test_the_tutorials_own_cells_get_a_correct_evaluation_and_a_warning(records, graph, tmp_path, capsys):
    arguments, is_training = batch_normalized(records, leak=True, static=False)
    history = train_with_bn(*arguments, 5, is_training, train_dir=tmp_path, log_every=2, eval_every=5)
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1 and "before the validation tower" in warnings[0]
    # Training has read validation batches, but the last evaluation still covers all seven images.
    mean, variance = (final_value(tmp_path, f"bn/moving_{name}", 5)[0] for name in ("mean", "variance"))
    beta = final_value(tmp_path, "bn/beta", 5)[0]
    expected = np.mean([((grey - mean) / np.sqrt(variance + 1e-3) + beta) ** 2 for grey in range(100, 107)])
    assert history[-1]["images"] == 7
    assert history[-1]["loss"] == pytest.approx(expected, rel=1e-4)


def test_a_resumed_run_equals_an_uninterrupted_one(records, tmp_path):
    def train(directory, max_step):
        with tf.Graph().as_default():
            arguments, _ = regression(records)
            return train_with_bn(
                *arguments, max_step, train_dir=tmp_path / directory, log_every=1, eval_every=4, save_every=3
            )

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = train("whole", 11)
    for max_step in (2, 4, 9, 11, 11):
        parts = train("parts", max_step)

    def comparable(history, drop):
        return [{**r, "images_per_second": 0} for r in history if (r["split"], r["step"]) not in drop]

    # Each part ends with an extra evaluation.
    assert comparable(parts, {("val", 2), ("val", 9)}) == comparable(whole, set())
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == parts
    assert final_value(tmp_path / "parts", "weight", 11) == final_value(tmp_path / "whole", "weight", 11)
    kept = sorted(path.name for path in (tmp_path / "parts").glob("*.index"))
    assert len(kept) == 5  # the newest five of 2, 3, 4, 6, 9, 11: rotation continues across restarts
    assert "model.ckpt-2.index" not in kept


def test_a_loss_that_is_not_finite_stops_the_run(graph, tmp_path):
    with pytest.raises(UserError) as error:
        train_with_bn(*diverging(5), 20, train_dir=tmp_path, save_every=2, **QUIET)
    assert "the loss is nan at step 5" in str(error.value)
    assert f"the last good checkpoint is {tmp_path / 'model.ckpt-4'}" in str(error.value)
    assert final_value(tmp_path, "weight", 4) == 0.5
    assert not (tmp_path / "model.ckpt-6.index").exists()


def test_a_weight_that_is_not_finite_is_not_saved(graph, tmp_path):
    with pytest.raises(UserError) as error:
        train_with_bn(*diverging(5, weights=True), 20, train_dir=tmp_path, save_every=3, **QUIET)
    assert "a weight is not finite after step 6" in str(error.value)
    assert "model.ckpt-3" in str(error.value)
    assert not (tmp_path / "model.ckpt-6.index").exists()


class SignalAt(tf.train.SessionRunHook):
    """Sends this process a signal after update `step`."""

    def __init__(self, step, signum):
        self.step, self.signum = step, signum

    def after_run(self, run_context, run_values):
        self.step -= 1
        if self.step < 0:
            os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_exits(records, graph, tmp_path, signum):
    before = signal.getsignal(signum)
    arguments, _ = regression(records)
    with pytest.raises(Interrupted) as stop:
        train_with_bn(*arguments, 9, train_dir=tmp_path, hooks=[SignalAt(2, signum)], **QUIET)
    assert stop.value.signum == signum
    assert "stopped at step 3" in str(stop.value) and "model.ckpt-3" in str(stop.value)
    assert final_value(tmp_path, "global_step", 3) == 3
    assert signal.getsignal(signum) == before


def test_a_signal_during_an_evaluation_leaves_no_half_evaluation(records, graph, tmp_path):
    arguments, _ = regression(records)
    with pytest.raises(Interrupted):
        train_with_bn(
            *arguments, 9, train_dir=tmp_path, hooks=[SignalAt(3, signal.SIGTERM)], log_every=100, eval_every=4,
            eval_at_start=False,
        )  # fmt: skip
    records_ = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(r["split"], r["step"]) for r in records_] == [("train", 0)]


def test_a_damaged_checkpoint_is_skipped_for_the_previous_one(records, tmp_path, capsys):
    def train(max_step):
        with tf.Graph().as_default():
            arguments, _ = regression(records)
            return train_with_bn(*arguments, max_step, train_dir=tmp_path, log_every=1, save_every=2)

    undisturbed = train(6)
    weight = final_value(tmp_path, "weight", 6)
    data = tmp_path / "model.ckpt-6.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    (tmp_path / "model.ckpt-4.data-00000-of-00001").unlink()
    capsys.readouterr()
    again = train(6)
    told = [line for line in capsys.readouterr().out.splitlines() if "cannot be used" in line]
    assert len(told) == 2 and "model.ckpt-6" in told[0] and "model.ckpt-4" in told[1]
    assert [(r["split"], r["step"], r["loss"]) for r in again] == [
        (r["split"], r["step"], r["loss"]) for r in undisturbed
    ]
    assert final_value(tmp_path, "weight", 6) == weight
    for path in tmp_path.glob("*.data-*"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="none of its checkpoints can be read"):
        train(8)


WITHOUT_V2 = """
import tensorflow.compat.v1 as tf
from utils.learning import train_with_bn
tf.disable_v2_behavior()
weight = tf.get_variable("weight", initializer=2.0)
optimizer = tf.train.GradientDescentOptimizer(0.25)
for step in (None, tf.train.get_or_create_global_step()):
    train_op = optimizer.minimize(weight ** 2, step)
    history = train_with_bn(train_op, weight, weight, weight, weight, 2, train_dir=None, eval_at_start=False)
    assert [(r["split"], r["step"]) for r in history] == [("train", 0), ("val", 2)], history
    assert history[-1]["loss"] == 0.5, history
"""


def test_it_runs_in_a_program_without_v2_behavior():
    """In such a program variables are not resources."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_V2], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_path_with_terminal_codes_is_shown_and_not_sent(capsys):
    progress.say("[train dir]: runs/\x1b[31m\udcff\nand a second line")
    assert capsys.readouterr().out == "[train dir]: runs/\\x1b[31m\\udcff\nand a second line\n"
    lines = []
    Show(say=lines.append).line("[report]: \x1b]0;title\x07")
    assert lines == ["[report]: \\x1b]0;title\\x07"]


def test_progress_lines_show_the_remaining_time(monkeypatch, capsys):
    """Estimated from the steps after the first one, which takes longer."""
    clock = iter([0.0, 60.0, 60.0, 60.0, 60.0, 62.0, 62.0, 62.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(progress, "FIRST_LINE", 10)
    monkeypatch.setattr(progress, "NEXT_LINES", 1)
    with progress.Progress(0, 101, images=64) as shown:
        shown.update(1, 2.5, 60.0)
        shown.update(2, 2.25, 2.0)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "[progress]: step 1 of 101, loss 2.5, 1 images/s, 01:00 elapsed, ? left"
    assert second.startswith("[progress]: step 2 of 101, loss 2.25, ") and second.endswith(
        ", 01:02 elapsed, 03:18 left"
    )
