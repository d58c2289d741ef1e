"""What several tests share: tiny record files, a fresh graph, the training command as a subprocess."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # the tests read what the commands print: nothing of the runtime between it
os.environ.pop("PYTHONUNBUFFERED", None)  # streams that keep what they could not write are the harder case
ROOT = Path(__file__).parent.parent
# Whoever starts the tests may ignore signals that they send (nohup, a job in the background), and children inherit it.
for signum, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(signum) is signal.SIG_IGN:
        signal.signal(signum, handler)

CASES = int(os.environ.get("FUZZ_CASES", "150"))  # of each test that feeds a reader with anything at all
# 32 pixels, 8 images: the command's real path at about a hundredth of the work.
TINY = "--dataset synthetic --image-size 32 --batch-size 8 --seed 3 --log-every 1 --precision float32".split()


@pytest.fixture
def graph():
    """A fresh default graph."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache directory of this test session, so that nobody's own is read or written."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("CIFAR_DATA_DIR", raising=False)


@pytest.fixture
def records(tmp_path):
    """Records of 20 training and 7 test images of 8x8, each of one grey level: its number, and its class number % 3."""
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
    """(train dir, last line of stdout) of a tiny net after 20 steps, for the commands that read one."""
    directory = tmp_path_factory.mktemp("trained dir")
    options = [*TINY, "--batch-size", "50", "--steps", "20", "--train-dir", directory]
    status, lines, err = run(*options, env={**os.environ, "XDG_CACHE_HOME": str(cache)})
    assert status == 0, err
    return directory, lines[-1]


def start(*arguments, module="graph_resnet.train", **options):
    """Starts a command from the repository's root; its output is text, its errors apart."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, **{**pipes, **options})


def run(*arguments, **options):
    """Runs a command to its end: (exit status, lines of stdout, stderr)."""
    process = start(*arguments, **options)
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, out.splitlines(), err


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome here to open the page in")


def browse(url, profile):
    """What a real browser makes of a page: its DOM as text, after 20 seconds of the page's own time.

    Args:
      url: str.
      profile: directory for the browser's own files.
    """
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --window-size=1200,900 --virtual-time-budget=20000 --dump-dom"
    )
    command = [BROWSER, *flags.split(), f"--user-data-dir={profile / 'browser'}", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
