"""Shared by several tests: commands as subprocesses, tiny graphs, records of runs."""

import dataclasses
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import fields, recipes
from graph_resnet.architectures import ARCHITECTURES
from graph_resnet.data import batches

ROOT = Path(__file__).parent.parent


CASES = int(os.environ.get("FUZZ_CASES", "150"))  # of each test that feeds random input to a reader


# 8 images of 32 pixels: the real command with about a hundredth of the work.
TINY = "--dataset synthetic --image-size 32 --batch-size 8 --seed 3 --log-every 1 --precision float32".split()


def start(*arguments, module="graph_resnet.train", **options):
    """Starts a command in the repository's root; stdout and stderr are separate text streams."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **{"cwd": ROOT, **pipes, **options})


# Progress lines, which a run on a slow machine writes to stderr.
PROGRESS = re.compile(r"^(?:\[worker \d+\] )?\[progress\]: .*\n", re.MULTILINE)


def run(*arguments, **options):
    """Runs a command to its end: (exit status, lines of stdout, stderr without progress lines)."""
    process = start(*arguments, **options)
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, out.splitlines(), PROGRESS.sub("", err)


def as_nobody(imports, code, *arguments):
    """The output of Python code run as the user nobody, who has no special permissions.

    Args:
      imports: str, imports to run as root before.
      code: str, reads `arguments` in sys.argv[1:].
      arguments: converted to str.
    """
    code = f"import os, sys\n{imports}\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n{code}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    return process.stdout


needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"
)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome here to open the page in")


def browse(url, profile, width=1200):
    """Opens a page in a real browser and returns its DOM as text, after 20 seconds of the page's own time.

    Args:
      url: str.
      profile: directory for the browser's own files.
      width: of the window, pixels.
    """
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --window-size=WIDTH,900 --virtual-time-budget=20000 --dump-dom"
    )
    command = [BROWSER, *flags.replace("WIDTH", str(width)).split(), f"--user-data-dir={profile / 'browser'}", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


RAW = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3}  # leaves pixels unchanged, 0..255


def initialized_session():
    """A session with everything that the input needs initialized, as its docstring says."""
    opened = tf.Session()
    opened.run(tf.global_variables_initializer())
    opened.run(tf.local_variables_initializer())
    opened.run(tf.tables_initializer())
    return opened


def grey_stream(records, count, batch_size=8, **options):
    """Mean grey levels of the images in the first batches: [count, batch_size]."""
    with tf.Graph().as_default():
        train_imgs, train_labels, _, _ = batches.train_and_validation(records, 8, batch_size, **{**RAW, **options})
        grey = tf.reduce_mean(train_imgs, [1, 2, 3])
        with initialized_session() as s:
            pairs = [s.run([grey, train_labels]) for _ in range(count)]
    greys = np.round([grey for grey, _ in pairs]).astype(int)
    np.testing.assert_array_equal(greys % 3, [labels for _, labels in pairs])  # each image still has its label
    return greys


QUIET = {"log_every": 1000, "eval_every": 1000}


def regression(records, batch_size=3, *, placeholder=False, counts=True):
    """A graph with one weight, whose losses are the batches' grey levels; returns arguments for train_with_bn."""
    train_imgs, _, val_imgs, _ = batches.train_and_validation(records, 8, batch_size, **RAW)
    weight = tf.get_variable("weight", initializer=1.0)
    train_grey, val_grey = tf.reduce_mean(train_imgs), tf.reduce_mean(val_imgs)
    is_training = tf.placeholder_with_default(False, [], "is_training") if placeholder else None
    step = tf.train.get_or_create_global_step() if counts else None
    train_op = tf.train.GradientDescentOptimizer(1e-3).minimize(weight * train_grey, step)
    return [train_op, train_grey, tf.constant(0.5), val_grey, tf.constant(0.25)], is_training


def summaries(directory):
    """(event, value) of each summary in the event files of a directory, in order."""
    files = sorted(map(str, directory.glob("events.out.tfevents.*")))
    return [(e, value) for file in files for e in tf.train.summary_iterator(file) for value in e.summary.value]


def final_value(train_dir, name, step):
    return tf.train.load_checkpoint(str(train_dir / f"model.ckpt-{step}")).get_tensor(name)


def diverging(bad_step, *, weights=False):
    """A graph whose loss (or whose weight, one step before its loss) is not finite from step `bad_step` on."""
    step = tf.train.get_or_create_global_step()
    weight = tf.get_variable("weight", initializer=1.0)
    bad = tf.cast(step, tf.float32) >= bad_step
    update = tf.where(bad, np.inf, 0.5)
    # Not tf.identity, which may show the variable as it is after the update.
    loss = weight * 1.0 if weights else tf.where(bad, np.nan, 1.0)
    with tf.control_dependencies([loss, update]):  # which read the weight and the step from before the update
        train_op = tf.group(tf.assign(weight, update), tf.assign_add(step, 1))
    return [train_op, loss, loss, tf.constant(1.0), tf.constant(1.0)]


def records_of(train_dir):
    return [json.loads(line) for line in (train_dir / "metrics.jsonl").read_text().splitlines()]


def comparable(train_dir):
    """The records without their only time-dependent number."""
    return [{name: value for name, value in r.items() if name != "images_per_second"} for r in records_of(train_dir)]


def wait_for_step(process, train_dir, step):
    """Returns when the training line of that step is written."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        metrics = train_dir / "metrics.jsonl"
        if metrics.exists() and f'"step": {step},' in metrics.read_text():
            return
        time.sleep(0.002)
    process.kill()
    raise AssertionError(f"no step {step}")


# name: net, dataset, image size, batch, optimizer, learning rate, steps, epochs, flip, mean, std
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF, ONE = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
SOURCES = {
    "notebook": ("bottleneck", "cifar10", 96, 64, "momentum", 0.01, 20_000, None, True, None, None),
    "resnet18-cifar100": ("resnet18", "cifar100", 32, 512, "adam", 1e-3, None, 500, False, HALF, ONE),
    "resnet18-flip": ("resnet18", "cifar10", 32, 256, "adam", 1e-3, None, 500, True, *IMAGENET),
    "resnet18-adam": ("resnet18", "cifar10", 32, 512, "adam", 1e-4, None, 100, False, HALF, HALF),
    "resnet34-cifar100": ("resnet34", "cifar100", 32, 512, "adam", 1e-3, None, 500, False, HALF, ONE),
}


FLAGS = [f for f in dataclasses.fields(recipes.Recipe) if f.metadata["flag"]]


def another(f, value):
    """(command line words, resulting field) for a value that differs from the recipe's."""
    flag, kind = "--" + f.name.replace("_", "-"), f.metadata["kind"]
    if f.name == "net":
        kind = fields.Choice(ARCHITECTURES)
    if isinstance(kind, fields.Switch):
        return ([f"--no{flag[1:]}"], False) if value else ([flag], True)
    if isinstance(kind, fields.Choice):
        other = next(choice for choice in kind.names if choice != value)
        return [flag, other], other
    if isinstance(kind, fields.Several):
        return [flag, "0.25", "0.5", "0.75"], (0.25, 0.5, 0.75)
    return ([flag, "0.125"], 0.125) if isinstance(kind, fields.Number) else ([flag, "77"], 77)


def png(width, height, rows=b"", depth=8, color=2):
    """A PNG file that claims any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
