"""Other operating systems, and limits on the cores that a process may use."""

import os
import subprocess
import sys

import pytest

from graph_resnet import machine
from tests.helpers import ROOT, TINY, run

# Modules that Python lacks on Windows or macOS; this file is found before the project's modules.
WINDOWS = """
import signal, sys
sys.modules["fcntl"] = None
del signal.SIGHUP, signal.SIGPIPE
import platform
platform.system = lambda: "Windows"
"""
MACOS = """
import os
del os.sched_getaffinity, os.sched_setaffinity
"""


def elsewhere(tmp_path, source):
    """The environment of a Python that first runs `source`."""
    (tmp_path / "sitecustomize.py").write_text(source)
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "export"])
def test_a_system_without_locks_is_named_in_one_line(command, tmp_path):
    flags = {"train": [], "predict": ["--train-dir", "x", "x.png"], "export": ["--train-dir", "x", "--export-dir", "y"]}
    arguments = flags.get(command, ["--train-dir", "x"])
    status, lines, err = run(*arguments, module=f"graph_resnet.{command}", env=elsewhere(tmp_path, WINDOWS))
    assert (status, lines, err.count("\n")) == (1, [], 1)
    assert err.startswith("error: Windows: the commands run on Linux and macOS; on Windows run them in WSL")


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "export", "report"])
def test_a_python_without_docstrings(command):
    words = [sys.executable, "-OO", "-m", f"graph_resnet.{command}", "--help"]
    done = subprocess.run(words, cwd=ROOT, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "") and "--version" in done.stdout


@pytest.mark.slow
def test_blocks_work_on_any_system(tmp_path):
    source = """
import tensorflow.compat.v1 as tf
from graph_resnet import ResNet
with tf.Graph().as_default():
    print(ResNet(tf.zeros([2, 96, 96, 3]), 10).shape)
"""
    environment = {**elsewhere(tmp_path, WINDOWS), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert done.stdout == "(2, 10)\n", done.stderr


def test_legacy_keras_is_asked_for_but_not_installed(tmp_path):
    """TensorFlow itself can be imported then."""
    code = "from graph_resnet import cli; cli.import_quietly().layers.dense"
    env = {**elsewhere(tmp_path, "import sys\nsys.modules['tf_keras'] = None\n"), "TF_USE_LEGACY_KERAS": "1"}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
def test_workers_on_a_system_without_cpu_affinity(tmp_path):
    environment = elsewhere(tmp_path, MACOS)
    status, lines, err = run(*TINY, "--steps", 2, "--workers", 2, "--train-dir", tmp_path / "run", env=environment)
    assert (status, err) == (0, "")
    assert lines[-1].startswith("[worker 0] [final]: step 2 ")


@pytest.fixture
def groups(tmp_path):
    """A function that writes control groups below tmp_path and returns their `machine._quota`."""

    def quota(membership, **files):
        (tmp_path / "self").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "fs" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(path.name.replace("cpu_", "cpu.")).write_text(text)
        return machine._quota(tmp_path / "self", tmp_path / "fs")

    return quota


def test_quota_of_version_2(groups):
    assert groups("0::/a/b\n") == float("inf")
    assert groups("0::/a/b\n", cpu_max="max 100000\n") == float("inf")
    assert groups("0::/a/b\n", a__cpu_max="350000 100000\n") == 3.5
    assert groups("0::/a/b\n", a__b__cpu_max="50000 100000\n") == 0.5
    assert groups("0::/elsewhere\n", cpu_max="200000 100000\n") == 2  # a container sees its own group as the root


def test_quota_of_version_1(groups):
    membership = "4:memory:/a\n3:cpu,cpuacct:/a\n1:name=systemd:/a\n"
    assert groups(membership, cpu__a__cpu_cfs_quota_us="-1\n", cpu__a__cpu_cfs_period_us="100000\n") == float("inf")
    assert groups(membership, cpu__a__cpu_cfs_quota_us="150000\n") == 1.5


@pytest.mark.parametrize("text", ["", "x y\n", "1\n", "1 0\n", "\xff\n"])
def test_an_unreadable_quota_is_ignored(groups, text):
    assert groups("0::/\n", cpu_max=text) == float("inf")
    assert groups("no colons\n") == float("inf")


def test_cores(monkeypatch):
    monkeypatch.setattr(machine, "_quota", lambda: float("inf"))
    assert machine.cores() == len(os.sched_getaffinity(0)) == len(machine.affinity())
    monkeypatch.setattr(machine, "_quota", lambda: 0.2)
    assert machine.cores() == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7, 9})
    monkeypatch.setattr(machine, "_quota", lambda: 2.5)
    assert (machine.affinity(), machine.cores()) == ([3, 5, 7, 9], 3)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert (machine.affinity(), machine.cores()) == (None, 1)
