"""The training command as a subprocess: run, killed, resumed, interrupted, given nonsense."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import machine
from graph_resnet.session import has_bfloat16
from tests.helpers import ROOT, TINY, comparable, records_of, run, start, summaries, wait_for_step

LENGTH = "--steps 24 --save-every 5 --eval-every 12 --optimizer muon --lookahead 4 --precise-batch-norm 2".split()


def command(train_dir, *more):
    return [*TINY, *LENGTH, "--train-dir", train_dir, *more]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache):
    """(train dir, lines of stdout) of an uninterrupted run."""
    train_dir = tmp_path_factory.mktemp("undisturbed")
    status, lines, err = run(*command(train_dir), env={**os.environ, "XDG_CACHE_HOME": str(cache)})
    assert status == 0, err
    return train_dir, lines


def test_the_train_dir_holds_what_is_promised(undisturbed):
    train_dir, lines = undisturbed
    names = {path.name for path in train_dir.iterdir()}
    checkpoints = {f"model.ckpt-24.{end}" for end in ("index", "meta", "data-00000-of-00001")}
    assert checkpoints | {"checkpoint", "graph.pbtxt", "config.json", "metrics.jsonl", "report.html"} <= names
    for picture in ("curves", "confusion", "mistakes"):
        assert (train_dir / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    found = records_of(train_dir)
    assert [r["step"] for r in found if r["split"] == "train"] == list(range(24))
    assert [r["step"] for r in found if r["split"] == "val"] == [12, 24]
    assert all(r["learning_rate"] == 0.01 and r["images_per_second"] > 0 for r in found if r["split"] == "train")
    config = json.loads((train_dir / "config.json").read_text())
    assert (config["seed"], config["recipe"]["image_size"], config["precision"]) == (3, 32, "float32")
    assert re.fullmatch(r"\[final\]: step 24 loss = \d+\.\d{4} acc = [01]\.\d{4} \(1000 images\)", lines[-1])
    assert sum(line.startswith("[train]: step ") for line in lines) == 24
    assert any("synthetic" in line for line in lines)


def test_what_tensorboard_shows(undisturbed):
    train_dir, _ = undisturbed
    train, val = (summaries(train_dir / split) for split in ("train", "val"))
    assert [(e.step, v.tag) for e, v in val] == [
        (step, tag) for step in (12, 24) for tag in ("loss", "accuracy", "confusion")
    ]
    assert {v.tag for e, v in train if v.HasField("simple_value")} == {
        "loss", "accuracy", "training/learning_rate", "training/images_per_second"
    }  # fmt: skip
    pictures = [(e.step, v.tag, v.image) for e, v in train if v.HasField("image")]
    assert len(pictures) == 12 and {step for step, _, _ in pictures} == {0}
    assert all(re.fullmatch(r"first_images/\d\d [a-z]+", tag) for _, tag, _ in pictures)
    for image in [image for *_, image in pictures] + [v.image for _, v in val if v.tag == "confusion"]:
        assert image.encoded_image_string.startswith(b"\x89PNG")
    histograms = {(e.step, v.tag) for e, v in train if v.HasField("histo")}
    assert {(12, "weights/resnet/block1/conv5_5/weights"), (24, "weights/resnet/block1/conv5_5/weights")} <= histograms
    (file,) = (train_dir / "train").glob("events.out.tfevents.*")
    graphs = [e.graph_def for e in tf.train.summary_iterator(str(file)) if e.HasField("graph_def")]
    (names,) = ([node.name.split("/") for node in tf.GraphDef.FromString(graph).node] for graph in graphs)
    assert {name[0] for name in names} == {
        "global_step", "input", "resnet", "training", "validation", "learning_rate", "gradients", "Muon", "weights",
        "lookahead",
    }  # fmt: skip
    assert {name[2] for name in names if name[:2] == ["resnet", "block3"]} == {"residual_block1", "residual_block2"}


def test_a_killed_and_resumed_run_ends_like_an_undisturbed_one(undisturbed, tmp_path):
    for step in (8, 17):
        process = start(*command(tmp_path))
        wait_for_step(process, tmp_path, step)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    status, lines, err = run(*command(tmp_path))
    assert status == 0, err
    saved = int(re.search(r"going on from .*model.ckpt-(\d+)$", "\n".join(lines), re.MULTILINE)[1])
    first = next(re.match(r"\[train\]: step (\d+) ", line)[1] for line in lines if line.startswith("[train]"))
    assert int(first) == saved >= 15  # it did not start from the beginning, which would end the same
    whole_dir, whole_lines = undisturbed
    assert lines[-1] == whole_lines[-1]
    assert comparable(tmp_path) == comparable(whole_dir)
    name = "model.ckpt-24.data-00000-of-00001"
    assert (tmp_path / name).read_bytes() == (whole_dir / name).read_bytes()
    # Once more: nothing is left to do, and the answer is the same.
    status, lines, err = run(*command(tmp_path))
    assert (status, lines[-1]) == (0, whole_lines[-1])
    assert comparable(tmp_path) == comparable(whole_dir)


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no bfloat16 arithmetic")
def test_bfloat16_is_what_the_session_computes_in(undisturbed, tmp_path):
    status, _, err = run(*command(tmp_path, "--precision", "bfloat16"))
    assert status == 0, err
    (ours, theirs) = (records_of(directory)[0]["loss"] for directory in (tmp_path, undisturbed[0]))
    assert ours != theirs
    assert ours == pytest.approx(theirs, rel=0.05)


def test_sigterm_saves_and_the_second_run_is_refused_meanwhile(tmp_path):
    process = start(*TINY, "--steps", 100000, "--train-dir", tmp_path)
    wait_for_step(process, tmp_path, 2)
    status, lines, err = run(*TINY, "--steps", 100000, "--train-dir", tmp_path)
    assert (status, lines) == (1, [])
    assert err == (
        f"error: train dir {tmp_path}: process {process.pid} trains into it; wait, or pass another --train-dir\n"
    )
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143
    last = err.splitlines()[-1]  # after progress lines, on a slow machine
    stopped = re.fullmatch(r"stopped at step (\d+): the last good checkpoint is .*; to go on: (.*)", last)
    saved = int(stopped[1])
    words = ["-m", "graph_resnet.train", *map(str, TINY), "--steps", "100000", "--train-dir", str(tmp_path)]
    assert shlex.split(stopped[2]) == [sys.executable, *words]
    assert (tmp_path / f"model.ckpt-{saved}.index").exists()
    assert records_of(tmp_path)[-1]["step"] == saved - 1


def test_a_stop_before_the_first_step_names_the_command_and_leaves_no_train_dir(tmp_path):
    process = start(*TINY, "--steps", 3, "--train-dir", tmp_path / "run")
    assert process.stdout.readline().startswith("[data]: ")  # next comes the import of TensorFlow
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130
    assert err.startswith("stopped by SIGINT; to go on: ") and err.endswith(f" --train-dir {tmp_path / 'run'}\n")
    assert err.count("\n") == 1 and not (tmp_path / "run").exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_threads_are_as_many_as_asked(tmp_path):
    counts = []
    for threads in (1, 9):
        train_dir = tmp_path / str(threads)
        process = start(*TINY, "--steps", 100000, "--threads", threads, "--whitening", "--train-dir", train_dir)
        wait_for_step(process, train_dir, 2)
        counts.append(len(os.listdir(f"/proc/{process.pid}/task")))
        process.kill()
        process.communicate()
    assert counts[1] - counts[0] == 8


@pytest.mark.skipif("avx512f" not in machine.cpu_flags(), reason="small ops have one thread only with AVX-512")
def test_small_ops_side_by_side_have_the_bits_of_one_thread(tmp_path):
    weights = []
    for threads in (1, 2):
        status, _, err = run(*TINY, "--steps", 5, "--threads", threads, "--train-dir", tmp_path / str(threads))
        assert status == 0, err
        weights.append((tmp_path / str(threads) / "model.ckpt-5.data-00000-of-00001").read_bytes())
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--data-dir", "/nowhere"], "/nowhere"),
        (["--dataset", "synthetic", "--label", "coarse"], "coarse"),
        (["--dataset", "synthetic", "--train-dir", __file__], "is a file"),
    ],
)
def test_what_the_user_can_fix_is_one_line(tmp_path, flags, message):
    status, lines, err = run("--train-dir", tmp_path, *flags)
    assert (status, lines) == (1, [])
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_without_data_and_network_it_says_what_to_pass(tmp_path):
    dead = "http://127.0.0.1:9"  # nothing listens at this port
    env = {**os.environ, "https_proxy": dead, "http_proxy": dead, "XDG_CACHE_HOME": str(tmp_path / "empty")}
    status, _, err = run("--train-dir", tmp_path / "run", env=env)
    assert status == 1
    assert err.splitlines()[-1].startswith("error: ")
    assert "--data-dir" in err.splitlines()[-1] and "--dataset synthetic" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_flags_have_their_effect(tmp_path):
    """Flags that the other tests leave at their defaults, in training and in evaluation."""
    flags = "--batch-size 50 --steps 4 --save-every 2 --hold-out 100 --mean 0.3 --std 0.2".split()
    status, lines, err = run(*TINY, *flags, "--trainable-scopes", "resnet/classification", "--train-dir", tmp_path)
    assert status == 0, err
    assert lines[-1].endswith("(100 images)")
    early, late = (tf.train.load_checkpoint(str(tmp_path / f"model.ckpt-{step}")) for step in (2, 4))
    moved = {n for n in late.get_variable_to_shape_map() if (early.get_tensor(n) != late.get_tensor(n)).any()}
    assert {name for name in moved if name.endswith(("weights", "biases", "beta"))} == {
        "resnet/classification/logit/weights",
        "resnet/classification/logit/biases",
    }

    def evaluated(*flags):
        status, lines, err = run("--train-dir", tmp_path, "--json", *flags, module="graph_resnet.evaluate")
        assert status == 0, err
        return json.loads(lines[0])

    plain = evaluated()
    assert (plain["step"], plain["images"]) == (4, 100)
    assert f" loss = {plain['loss']:.4f} acc = {plain['accuracy']:.4f} " in lines[-1]  # also with that mean and std
    other = evaluated("--split", "test", "--checkpoint", tmp_path / "model.ckpt-2", "--tta", "--precision", "float32")
    assert (other["step"], other["images"], other["tta"]) == (2, 1000, True)


@pytest.mark.slow
def test_terminal_codes_in_the_name_of_a_train_dir_are_escaped(tmp_path):
    """Also in the last lines, and in the command that goes on after a signal."""
    directory = tmp_path / "\x1b[31mred"
    status, lines, err = run(*TINY, "--steps", 1, "--train-dir", directory)
    assert (status, err) == (0, "")
    assert "\x1b" not in "".join(lines) and rf"checkpoints {tmp_path}/\x1b[31mred/model.ckpt-*" in lines[-2]
    stop = "from graph_resnet import cli; from graph_resnet.loop.signals import Interrupted\n" \
        "def main(): raise Interrupted(15, 'to go on: \x1b[31mred')\ncli.run(main)"  # fmt: skip
    process = subprocess.run([sys.executable, "-c", stop], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (143, "to go on: \\x1b[31mred\n")
