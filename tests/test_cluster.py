"""Several workers over loopback: in step, killed, restarted, refused; and what they print."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import tower
from graph_resnet.architectures import ARCHITECTURES, Architecture, Group, Stem
from graph_resnet.data import find, synthetic
from graph_resnet.distributed import cluster, local_workers, tf_config
from graph_resnet.distributed.sync_batch_norm import synchronized_batch_norm
from graph_resnet.errors import UserError
from graph_resnet.loop.precise_batch_norm import PreciseBatchNorm
from graph_resnet.loop.signals import Interrupted
from graph_resnet.recipes import RECIPES
from graph_resnet.session import bfloat16_fault, session_config
from graph_resnet.training import graph
from tests.helpers import PROGRESS, TINY, comparable, records_of, run, start, wait_for_step

import tf_slim as slim  # isort: skip  (graph_resnet makes it importable)

BUILDING = threading.Lock()  # slim's stack of arg_scopes is shared by all threads
LENGTH = "--steps 24 --save-every 5 --eval-every 12 --lookahead 5 --precise-batch-norm 2".split()


def environment(index, addresses, job="worker", **cluster):
    """The environment of one task in a cluster."""
    task = {"cluster": {"worker": addresses, **cluster}, "task": {"type": job, "index": index}}
    return {**os.environ, "TF_CONFIG": json.dumps(task)}


def start_all(*arguments, count=2, module="graph_resnet.train", more=((), ())):
    """Starts the same command as `count` workers; `more` has extra flags for each."""
    addresses = local_workers.free_addresses(count)
    return addresses, [
        start(*arguments, *flags, module=module, env=environment(i, addresses)) for i, flags in zip(range(count), more)
    ]


def finish(processes):
    """[(exit status, lines of stdout, stderr)] of processes, once they have exited."""
    try:
        results = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        (process.returncode, out.splitlines(), PROGRESS.sub("", err)) for process, (out, err) in zip(processes, results)
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache):
    """(train dir, lines of stdout) of two workers that ran without interruption."""
    train_dir = tmp_path_factory.mktemp("two workers")
    status, lines, err = run(
        *TINY, *LENGTH, "--train-dir", train_dir, "--workers=2", env={**os.environ, "XDG_CACHE_HOME": str(cache)}
    )
    said = [line for line in err.splitlines() if "[progress]: " not in line]  # a slow machine prints progress lines
    assert (status, said) == (0, [])
    return train_dir, lines


def test_workers_record_the_command_that_started_them(undisturbed):
    command = json.loads((undisturbed[0] / "config.json").read_text())["command"]
    assert command.startswith(f"{sys.executable} -m graph_resnet.train ") and command.endswith(" --workers=2")


def test_workers_on_one_machine(undisturbed):
    train_dir, lines = undisturbed
    assert re.fullmatch(r"\[worker 0\] \[final\]: step 24 loss = .* \(1000 images\)", lines[-1])
    told = {i: [line for line in lines if line.startswith(f"[worker {i}] ")] for i in (0, 1)}
    assert sorted(told[0] + told[1]) == sorted(lines)
    assert any(line.endswith("worker 1 of 2 workers, rows 4 to 7 of each batch") for line in told[1])
    assert not any("[train]" in line or "[val]" in line for line in told[1])
    assert [r["step"] for r in records_of(train_dir) if r["split"] == "train"] == list(range(24))


def test_stopped_killed_and_resumed_workers_end_like_undisturbed_ones(undisturbed, tmp_path):
    # `--workers` gave each worker one core; with more threads the sums would be rounded differently.
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    command = [*TINY, *LENGTH, "--threads", threads, "--train-dir", tmp_path]
    _, processes = start_all(*command)
    wait_for_step(processes[0], tmp_path, 6)
    processes[1].send_signal(signal.SIGTERM)  # to the worker that saves nothing: all stop, and the chief saves
    (status, _, err), other = finish(processes)
    assert (status, other[0]) == (143, 143)
    saved = re.fullmatch(r"stopped at step (\d+): the last good checkpoint is .*\n", err)[1]
    assert (tmp_path / f"model.ckpt-{saved}.index").exists()
    assert other[2].startswith(
        f"stopped at step {saved}: the checkpoints are the chief's; to go on: {sys.executable} -m "
    )

    addresses, processes = start_all(*command)
    wait_for_step(processes[0], tmp_path, 17)
    processes[1].send_signal(signal.SIGKILL)
    (status, _, err), _ = finish(processes)
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"error: worker 1 ({addresses[1]}) has ended or cannot be reached; ")

    _, processes = start_all(*command)
    (status, lines, err), other = finish(processes)
    assert (status, err, other[0], other[2]) == (0, "", 0, "")
    whole_dir, whole_lines = undisturbed
    assert "[worker 0] " + lines[-1] == whole_lines[-1]
    assert comparable(tmp_path) == comparable(whole_dir)
    name = "model.ckpt-24.data-00000-of-00001"
    assert (tmp_path / name).read_bytes() == (whole_dir / name).read_bytes()


@pytest.mark.skipif(bfloat16_fault() is not None, reason="TensorFlow has no bfloat16 on this CPU")
@pytest.mark.parametrize("recipe", ["notebook", "resnet18-flip", "fast"])  # convolutions without and with a bias
def test_in_bfloat16(recipe, tmp_path):
    options = "--dataset synthetic --image-size 16 --batch-size 16 --steps 2 --precision bfloat16 --workers 2".split()
    status, lines, err = run("--recipe", recipe, *options, "--train-dir", tmp_path)
    assert (status, err) == (0, "")
    assert lines[-1].startswith("[worker 0] [final]: step 2 loss = ")


@pytest.fixture
def few_records(tmp_path):
    """Records of 20 training and 10 test synthetic images."""
    synthetic.write(tmp_path / f"synthetic-{synthetic.VERSION}", num_train=20, num_test=10)
    return find.cifar("synthetic", tmp_path)


def updates(recipe, records, count, place=None):
    """Runs `count` updates, as one of several workers if `place` is given; returns {variable name: value}.

    The moving averages are then recomputed from the recipe's precise batches, if it has any.
    """
    config = session_config(threads=1)
    workers = cluster.Cluster(place, recipe.batch_size, config) if place else None
    if workers:
        workers.start({}, 60)
    with tf.Graph().as_default():
        with BUILDING:
            built = graph.build(recipe, records, seed=5, cluster=workers)
        precise = PreciseBatchNorm(built, workers) if recipe.precise_batch_norm else None
        broadcast = workers.broadcast() if workers else tf.no_op()
        initialize = [tf.global_variables_initializer(), tf.local_variables_initializer()]
        with tf.Session(workers.target if workers else "", config=config) as session:
            for op in (initialize, broadcast, tf.tables_initializer()):
                session.run(op)
            losses = [session.run([built.train_loss, built.train_op])[0] for _ in range(count)]
            if precise:
                precise.run(session, 0)
            result = {v.op.name: session.run(v) for v in tf.global_variables()}
    if workers:
        workers.finished()
    return {**result, "losses": losses}


def updates_of_two(recipe, records, count):
    """`updates` of two workers, with two servers in this process."""
    jobs = {"worker": local_workers.free_addresses(2)}
    with ThreadPoolExecutor() as pool:
        places = [tf_config.Place(jobs, "worker", i) for i in (0, 1)]
        return pool.map(lambda place: updates(recipe, records, count, place), places)


@pytest.fixture
def slices(monkeypatch):
    """A recipe with a small net and batches of 7 images, of which the workers get 3 and 4."""
    small = Architecture(
        scope="resnet",
        stem=Stem("block1", "conv5_5", 8, 5, stride=2),
        groups=(Group("block2", 2, 16, bottleneck=8, pool=(3, 2)),),  # two branches of one shape, which must not mix
        keras_style=True,  # biases and gammas
    )
    monkeypatch.setitem(ARCHITECTURES, "bottleneck", small)
    return replace(RECIPES["notebook"], image_size=16, batch_size=7, crop=2, weight_decay=1e-3)


@pytest.mark.parametrize("way", ["frozen", "synchronized"])
def test_workers_make_the_updates_of_one(way, slices, few_records, monkeypatch):
    recipe = slices
    if way == "frozen":
        logits = tower.logits
        monkeypatch.setattr(
            tower, "logits", lambda *args, **options: logits(*args, **{**options, "is_training": False})
        )
    else:
        recipe = replace(recipe, sync_batch_norm=True)
    first, second = updates_of_two(recipe, few_records, 3)
    one = updates(recipe, few_records, 3)
    assert first.keys() == one.keys() and len(one) > 50
    for name in one:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], one[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_two_towers_make_the_updates_of_two_workers(slices, few_records):
    """To the last bit: weights, momentum, moving averages, losses."""
    recipe = replace(slices, batch_size=8, beta_rate=3.0)
    worker, _ = updates_of_two(recipe, few_records, 3)
    towers = updates(replace(recipe, towers=2), few_records, 3)
    assert worker.keys() == towers.keys() and len(towers) > 50
    losses = worker.pop("losses"), towers.pop("losses")
    for name in towers:
        np.testing.assert_array_equal(worker[name], towers[name], err_msg=name)
    np.testing.assert_array_equal(*losses)
    whole = updates(recipe, few_records, 3)  # normalizes by all 8 images
    assert np.any(whole["resnet/block1/conv5_5/weights"] != towers["resnet/block1/conv5_5/weights"])


def test_moving_averages_are_those_of_all_slices(slices, few_records):
    """After one update, for the first batch norm, whose input is the same as with one worker."""
    first, second = updates_of_two(slices, few_records, 1)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    one, batch_norm = updates(slices, few_records, 1), "resnet/block1/conv5_5/BatchNorm/"
    mean, variance = batch_norm + "moving_mean", batch_norm + "moving_variance"
    np.testing.assert_allclose(first[mean], one[mean], rtol=1e-4, atol=1e-6)
    # The mean of the slices' variances is the batch's variance minus the variance of the slices' means.
    assert np.mean(first[variance]) < np.mean(one[variance])


@pytest.mark.parametrize(
    "options, message",
    [({"is_training": False}, "is_training is False; use slim.batch_norm"), ({"center": False}, "no option center")],
)
def test_synchronized_batch_norm_refuses_unsupported_options(options, message):
    with tf.Graph().as_default(), slim.arg_scope([slim.batch_norm], **options):
        with pytest.raises(ValueError, match=message):
            synchronized_batch_norm(tf.zeros([2, 4, 4, 3]), cluster=None)


def test_precise_moving_averages_are_those_of_all_slices(slices, few_records):
    """Equal on both workers; the first batch norm's equal those of one worker, up to the n - 1 of its variances."""
    recipe = replace(slices, precise_batch_norm=3)
    first, second = updates_of_two(recipe, few_records, 0)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    one, batch_norm = updates(recipe, few_records, 0), "resnet/block1/conv5_5/BatchNorm/"
    for name, rtol in ((batch_norm + "moving_mean", 1e-3), (batch_norm + "moving_variance", 1e-2)):
        np.testing.assert_allclose(first[name], one[name], rtol=rtol, atol=1e-4, err_msg=name)
    pixels = 3 * 64 - 1  # of the smaller slice, where n - 1 matters most
    assert np.all(first[batch_norm + "moving_variance"] < one[batch_norm + "moving_variance"] * (1 + 1 / pixels))


def test_workers_with_different_settings_are_refused(tmp_path):
    flags = [*TINY, "--train-dir", tmp_path]
    _, processes = start_all(*flags, more=((), ("--learning-rate", "0.02", "--seed", "4")))
    for status, _, err in finish(processes):
        assert status == 1
        assert err == (
            "error: recipe.learning_rate is 0.01 for worker 0 and 0.02 for worker 1; start all workers with the same "
            "command, program and data\n"
        )
    assert not (tmp_path / "config.json").exists()


def test_a_worker_that_does_not_start(tmp_path):
    addresses = local_workers.free_addresses(2)
    status, _, err = run(*TINY, "--train-dir", tmp_path, "--cluster-timeout", 1, env=environment(0, addresses))
    assert (status, err) == (
        1,
        f"error: worker 1 ({addresses[1]}) did not answer within 1 s; start all workers, or allow more time with "
        "--cluster-timeout\n",
    )


def test_a_recipe_without_a_length_is_refused_before_the_workers_join(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import dataclasses\nfrom graph_resnet.recipes import RECIPES\n"
        "RECIPE = dataclasses.replace(RECIPES['notebook'], name='mine', steps=None, epochs=None)\n"
    )
    env = environment(1, local_workers.free_addresses(2))
    status, _, err = run(*TINY, "--recipe", tmp_path / "mine.py", "--train-dir", tmp_path / "run", env=env)
    assert (status, err) == (1, "error: recipe mine: it has neither steps nor epochs; pass --steps N\n")


def test_an_evaluator_measures_the_newest_checkpoint(undisturbed):
    train_dir, lines = undisturbed
    addresses = local_workers.free_addresses(2)
    env = environment(0, addresses, "evaluator")
    status, _, err = run(*TINY, "--train-dir", train_dir, "--hold-out", 10, "--allow-other-data", env=env)
    assert (status, err.count("\n")) == (1, 1)
    assert "0 records are held out, 10 for this evaluator" in err
    status, told, err = run(*TINY, "--train-dir", train_dir, "--cluster-timeout", 1, env=env)
    assert (status, err) == (0, "")
    assert "[worker 0] " + told[-1] == lines[-1]
    [record] = records_of(train_dir / "eval")
    assert (record["step"], record["split"], record["images"]) == (24, "val", 1000)
    status, _, err = run(*TINY, "--train-dir", train_dir / "none", "--cluster-timeout", 1, env=env)
    assert (status, err.count("\n")) == (1, 1)
    assert f"no checkpoint, and worker 0 ({addresses[0]}) has not answered for 1 s" in err


def test_an_evaluator_waits_for_a_finished_run_that_goes_on(undisturbed, tmp_path):
    train_dir = shutil.copytree(undisturbed[0], tmp_path / "longer")
    addresses = local_workers.free_addresses(2)
    command = [*TINY, *LENGTH, "--steps", 26, "--train-dir", train_dir]
    evaluator = start(*command, env=environment(0, addresses, "evaluator"))
    deadline = time.monotonic() + 100
    while not (train_dir / "eval" / "metrics.jsonl").exists():  # it has measured step 24, the last one so far
        assert evaluator.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    workers = [start(*command, env=environment(i, addresses)) for i in range(2)]
    *_, (status, lines, err) = finish([*workers, evaluator])
    assert (status, err) == (0, "")
    assert lines[-1].startswith("[final]: step 26 ")
    assert records_of(train_dir / "eval")[-1]["step"] == 26


TOY = """
import os, signal, sys, time
def leave(signum, frame):
    print("asked to stop", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, leave)
index = int(os.environ["TF_CONFIG"][-3])
print(sorted(os.sched_getaffinity(0)), os.environ.get("CUDA_VISIBLE_DEVICES"), *sys.argv[1:], flush=True)
if index == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "wait":
    time.sleep(60)
"""


STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(float(sys.argv[1])), print("saved", flush=True), sys.exit(143)))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("seconds, error", [(1, Interrupted), (60, UserError)])
def test_workers_get_time_to_save_after_a_stop_signal(tmp_path, monkeypatch, capsys, seconds, error):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(local_workers, "GRACE", 0.1)
    monkeypatch.setattr(local_workers, "STOPPING", 8)
    monkeypatch.setattr(local_workers, "_status_of_all", lambda workers: interrupt_when_ready(capsys))
    with pytest.raises(error, match="stopped by SIGTERM|not stopped 8 s after SIGTERM were killed"):
        local_workers.run("stubborn", [str(seconds)], 2, batch_size=2)
    assert capsys.readouterr().out.count("saved") == (2 if error is Interrupted else 0)


def test_a_second_signal_does_not_wait_for_the_workers(tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    (tmp_path / "two.py").write_text("""
from graph_resnet import cli
from graph_resnet.distributed import local_workers
cli.run(lambda: local_workers.run("stubborn", ["50"], 2, batch_size=2))
""")
    process = start(module="two", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert sorted(process.stdout.readline() for _ in range(2)) == ["[worker 0] ready\n", "[worker 1] ready\n"]
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)  # waits for its workers
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    assert process.communicate() == ("", "stopped by SIGTERM\n")  # both pipes are closed: the workers have exited


def interrupt_when_ready(capsys):
    said = ""
    while said.count("ready") < 2:
        said += capsys.readouterr().out
        time.sleep(0.05)
    raise Interrupted(signal.SIGTERM, "stopped by SIGTERM")


def test_when_a_local_worker_dies_the_others_are_stopped(tmp_path, monkeypatch, capsys):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    monkeypatch.setattr(local_workers, "GRACE", 1)
    arguments = ["wait", "--workers", "3", "--workers=3", "--steps", "3"]
    assert local_workers.run("toy", arguments, 3, batch_size=3) == 128 + signal.SIGKILL
    out = capsys.readouterr().out.splitlines()
    cores = sorted(os.sched_getaffinity(0))
    mine = cores[: len(cores) // 3] if len(cores) >= 3 else cores[:1]
    assert f"[worker 0] {mine} 4 wait --steps 3" in out
    assert sorted(line for line in out if "asked" in line) == ["[worker 0] asked to stop", "[worker 2] asked to stop"]
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(UserError, match="TF_CONFIG names one; use only one of them"):
        local_workers.run("toy", [], 2, batch_size=2)
