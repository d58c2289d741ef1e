"""Fixtures: tiny record files, a fresh graph, a separate cache, a trained net."""

import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest

from graph_resnet import session

session.use_onednn()  # as the commands, whose bits tests compare with those of this process
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # tests read what commands print; TensorFlow's log would get in between
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")  # as where tf_keras is not installed; some tests set "1"
os.environ.pop("PYTHONUNBUFFERED", None)  # buffered streams, which keep what they could not write, are harder
# Signals that the parent process ignores (nohup, a background job) would also be ignored in child processes.
for signum, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(signum) is signal.SIG_IGN:
        signal.signal(signum, handler)


# Files whose tests run commands or train: `make quick` skips them. Single slow tests elsewhere have the marker.
SLOW_FILES = set(
    "any_graph benchmarks cluster compat_slim docs evaluate export graph inference init_checkpoint machine notebook "
    "predict reliability report resnet18_keras stands_alone summary tensorboard tf1_programs tf1_run train "
    "train_dir training".split()
)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem.removeprefix("test_") in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def graph():
    """A fresh default graph."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache directory of this test session, so that the user's own is not touched."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("CIFAR_DATA_DIR", raising=False)


@pytest.fixture
def public_dir():
    """A directory that every user may read and write (pytest's own ones are private)."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@pytest.fixture
def records(tmp_path):
    """Records of 20 training and 7 test images of 8x8. Image n has grey level n and class number n % 3."""
    from graph_resnet.data.find import Records

    def write(name, first, count):
        rows = [[i % 3] + [i] * (3 * 8 * 8) for i in range(first, first + count)]
        np.array(rows, np.uint8).tofile(tmp_path / name)
        return (tmp_path / name,)

    return Records(
        dataset="synthetic",
        train=write("train.bin", 0, 20),
        test=write("test.bin", 100, 7),
        side=8,
        label_bytes=1,
        label_offset=0,
        class_names=("a", "b", "c"),
        num_train=20,
        num_test=7,
    )


@pytest.fixture(scope="session")
def trained_dir(tmp_path_factory, cache):
    """(train dir, last line of stdout) of a tiny net after 20 steps, for commands that read a train dir."""
    from tests.helpers import TINY, run

    directory = tmp_path_factory.mktemp("trained dir")
    options = [*TINY, "--batch-size", "50", "--steps", "20", "--train-dir", directory]
    status, lines, err = run(*options, env={**os.environ, "XDG_CACHE_HOME": str(cache)})
    assert status == 0, err
    return directory, lines[-1]
