"""Breaks training runs in the ways listed in docs/reliability.md, and prints their messages and how they end.

    python -m benchmarks.reliability.faults                   # all; needs root, because some mount a small tmpfs
    python -m benchmarks.reliability.faults signals checkpoints

"same end" means: after the repair, the same command ended with the records of `metrics.jsonl` (except the timings) and
the bytes of the final checkpoint of an undisturbed run. Exit status 1 if one did not.
"""

import argparse
import contextlib
import itertools
import os
import pty
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.reliability import torture
from graph_resnet.data import find

STEPS = 40
RUN = "--dataset synthetic --image-size 32 --batch-size 8 --save-every 5 --eval-every 10 --log-every 1".split()
RUN += ["--precision", "float32", "--steps", STEPS]
OURS = ("[data]", "[progress]", "[precision]", "[train]", "[val]", "[report]", "[files]")  # lines of every run


class Trials:
    """Runs in directories below `work`, compared with an undisturbed run."""

    def __init__(self, work):
        self.work, self.log, self.calm = work, work / "log", work / "calm"
        self.failed = False
        self.run("nothing", self.calm)
        self.expected = torture.result(self.calm, STEPS)

    def tell(self, what, status, output):
        lines = [line for line in output.splitlines() if line and not line.startswith(OURS)]
        lines = [line for line in lines if not re.match(r"[IWE]\d{4} ", line)]  # TensorFlow's log
        print(f"{what}: status {status}", *lines, sep="\n    ", flush=True)
        self.failed |= "Traceback" in output

    def run(self, what, train_dir, *flags, at="[train]: step 7 ", act=None):
        """One run to its end; once it has printed `at`, it is suspended while `act()` runs."""
        self.log.unlink(missing_ok=True)
        self.pid = torture.start([*RUN, "--train-dir", train_dir, *flags], self.log)
        status = torture.wait(self.pid, lambda: act and self.log.exists() and at in self.log.read_text())
        if status is None:
            self.send(signal.SIGSTOP)
            act()
            self.send(signal.SIGCONT)
            status = torture.wait(self.pid, lambda: False)
        self.tell(what, status, self.log.read_text())

    def send(self, signum):
        """Sends a signal to the run's process."""
        os.kill(self.pid, signum)

    def again(self, train_dir):
        """Runs the same command again and compares the result."""
        self.run("    again", train_dir)
        self.compare(train_dir)

    def compare(self, train_dir):
        try:
            same = torture.result(train_dir, STEPS) == self.expected
        except FileNotFoundError:
            same = False
        self.failed |= not same
        print("    same end" if same else "    NOT THE SAME END", flush=True)

    def judge(self, what, holds):
        """Prints whether a condition holds that must hold."""
        self.failed |= not holds
        print(f"    {what}" if holds else f"    NOT: {what}", flush=True)

    def command(self, what, train_dir, *flags, before="", **environment):
        """A run as a separate process, for conditions that must hold from its start."""
        command = shlex.join(
            map(str, [sys.executable, "-m", "graph_resnet.train", *RUN, "--train-dir", train_dir, *flags])
        )
        done = subprocess.run(
            before + command, shell=True, env={**os.environ, **environment}, capture_output=True, text=True
        )
        self.tell(what, done.returncode, done.stdout + done.stderr)


@contextlib.contextmanager
def tmpfs(directory, size):
    """Mounts a separate file system of `size` bytes."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def remount(directory, options):
    subprocess.run(["mount", "-o", f"remount,{options}", directory], check=True)


def disk(trials):
    """A disk that is full from the start, soon, or in the middle of a line of metrics.jsonl."""
    for size in ("4k", "1500k", "4m", "8m"):
        with tmpfs(trials.work / f"disk {size}", size) as directory:
            trials.run(f"disk of {size}", directory)
            remount(directory, "size=100m")
            trials.again(directory)

    def fill():
        metrics = directory / "metrics.jsonl"
        while metrics.stat().st_size % 4096 < 3700:  # a few lines before it needs another block
            trials.send(signal.SIGCONT)
            time.sleep(0.001)
            trials.send(signal.SIGSTOP)
        with contextlib.suppress(OSError), open(directory / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    with tmpfs(trials.work / "disk", "64m") as directory:
        trials.run("disk filled in the middle of a run", directory, act=fill)
        (directory / "filler").unlink()
        trials.again(directory)


def train_dirs(trials):
    """A train dir that is a file, read-only, read-only from step 7 on, moved, removed."""
    trials.run("train dir is a file", trials.log)
    with tmpfs(trials.work / "ro", "100m") as directory:
        remount(directory, "ro")
        trials.run("read-only", directory)
        trials.run("a new one in a read-only directory", directory / "new")
    directory, away = trials.work / "run", trials.work / "away"
    trials.run("read-only (chattr +i) at step 7", directory, act=lambda: subprocess.run(["chattr", "+i", directory]))
    subprocess.run(["chattr", "-i", directory], check=True)
    trials.again(directory)
    shutil.rmtree(directory)
    trials.run("renamed at step 7", directory, act=partial(directory.rename, away))
    away.rename(directory)
    trials.again(directory)
    shutil.rmtree(directory)
    trials.run("removed at step 7", directory, act=partial(shutil.rmtree, directory))
    print("    it is there again" if directory.exists() else "    it stays away")
    trials.run("its lock removed at step 7", directory, act=(directory / "lock").unlink)
    trials.again(directory)

    def another():
        shutil.rmtree(directory)
        shutil.copytree(trials.calm, directory)
        before.update(contents(directory))

    shutil.rmtree(directory)
    before = {}
    trials.run("another run's at step 7", directory, "--seed", 1, act=another)
    trials.judge("nothing was written into it", contents(directory) == before)


def contents(directory):
    """{path: bytes} of the files in a directory and below."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and not path.is_symlink()}


def strangers(trials):
    """Pipes, devices, sockets and terabytes of zeros in place of a train dir's files, and links to other files."""
    kinds = {
        "a pipe": os.mkfifo,
        "a socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
        "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "a terabyte": lambda path: subprocess.run(["truncate", "-s", "1T", path], check=True),
    }
    names = ("config.json", "metrics.jsonl", "checkpoint", f"model.ckpt-{STEPS}.index", "lock")
    for number, (name, (kind, make)) in enumerate(itertools.product(names, kinds.items())):
        directory = trials.work / f"stranger {number}"
        shutil.copytree(trials.calm, directory)
        (directory / name).unlink()
        make(directory / name)
        trials.run(
            f"{kind} as {name}, ten steps more", directory, "--steps", STEPS + 10
        )  # otherwise it is already finished
        shutil.rmtree(directory)
    directory, victims = trials.work / "links", trials.work / "victims"
    shutil.copytree(trials.calm, directory)
    shutil.copytree(trials.calm, victims)
    for path in victims.iterdir():
        if path.is_file() and path.name != "lock":
            (directory / path.name).unlink()
            (directory / path.name).symlink_to(path)
    before = contents(victims)
    trials.run("links in the place of its files, ten steps more", directory, "--steps", STEPS + 10)
    trials.judge("nothing was written through them", contents(victims) == before)


def checkpoints(trials):
    """Checkpoints that are truncated, or partly or completely lost."""
    directory = trials.work / "checkpoints"
    shutil.copytree(trials.calm, directory)
    os.truncate(directory / f"model.ckpt-{STEPS}.data-00000-of-00001", 10_000)
    (directory / f"model.ckpt-{STEPS - 5}.index").unlink()
    trials.again(directory)
    for what, pattern in (
        ("no index left", "*.index"),
        ("no file left", "model.ckpt*"),
        ("nor the state", "checkpoint"),
    ):
        for path in directory.glob(pattern):
            path.unlink()
        trials.run(what, directory)
    shutil.copy(trials.calm / f"model.ckpt-{STEPS}.index", directory)
    (directory / "config.json").write_text("{")
    trials.run("half a config.json", directory)
    (directory / "config.json").unlink()
    trials.run("no config.json", directory)


def data(trials):
    """Data that is changed, truncated or removed, during a run and between two."""
    source = find.cifar("synthetic").train[0].parent
    for what, change in {
        "one bit changed": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
        "cut off": lambda path: os.truncate(path, 100_000),
        "removed": Path.unlink,
    }.items():
        here, directory = trials.work / f"data {what}", trials.work / f"run with data {what}"
        shutil.copytree(source, here / source.name)
        path = here / source.name / "data_batch_1.bin"
        trials.run(f"data {what} at step 7", directory, "--data-dir", here, act=partial(change, path))
        trials.compare(directory)
        trials.run("    again", directory, "--data-dir", here)
        if path.exists():
            trials.run("    --allow-other-data", directory, "--data-dir", here, "--allow-other-data")


def loss(trials):
    """A loss that is not finite."""
    trials.run("learning rate 1e20", trials.work / "nan", "--learning-rate", "1e20", "--save-every", "1")


def memory(trials):
    """A batch that fits into no memory, and one that does not fit into `ulimit -v`."""
    directory = trials.work / "memory"
    trials.run("60,000 images of 512x512", directory, "--batch-size", 60_000, "--image-size", 512)
    for gigabytes in (1, 2, 3, 4):
        limit = f"ulimit -c 0 -v {gigabytes * 1_000_000}; "
        trials.command(f"{limit}256 images of 96x96", directory, "--batch-size", 256, "--image-size", 96, before=limit)
    trials.again(directory)


def signals(trials):
    """Each signal that stops a run, once and twice, and a terminal that is closed."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)  # a shell may have set it to ignore
        trials.run(signum.name, trials.work / signum.name, act=partial(trials.send, signum))

    def twice():
        trials.send(signal.SIGTERM)
        trials.send(signal.SIGCONT)
        time.sleep(0.12)
        trials.send(signal.SIGTERM)

    for number in range(2):
        trials.run("SIGTERM twice, 0.12 s apart", trials.work / f"twice {number}", act=twice)
        trials.again(trials.work / f"twice {number}")
    directory = trials.work / "terminal"
    pid, terminal = pty.fork()
    if not pid:
        os.execv(
            sys.executable, [sys.executable, "-m", "graph_resnet.train", *map(str, RUN), "--train-dir", str(directory)]
        )
    seen = b""
    while b"[train]: step 7 " not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    trials.tell("terminal closed", torture.wait(pid, lambda: False), "")
    trials.again(directory)


def names(trials):
    """Train dirs with unusual and with long names."""
    for name in ("a b \u00fcn\u00efc\u00f6d\u00e9 \u706b [1] * ?", "/".join(letter * 200 for letter in "abc")):
        directory = trials.work / "names" / name
        trials.run(
            f"train dir {name:.30}, killed at step 17",
            directory,
            at="step 17 ",
            act=partial(trials.send, signal.SIGKILL),
        )
        trials.again(directory)


def locales(trials):
    """Other locales and time zones, with a train dir whose name is not ASCII."""
    directory = trials.work / "\u00fc \u706b"
    for environment in (
        {"LC_ALL": "C", "TZ": "Pacific/Kiritimati"},
        {"LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ):
        trials.command(" ".join(f"{name}={value}" for name, value in environment.items()), directory, **environment)
        if (directory / "metrics.jsonl").exists():
            trials.compare(directory)
            shutil.rmtree(directory)


def clock(trials):
    """A clock that is set back a day at step 7 and ahead a year at step 17, with libfaketime (path in $LIBFAKETIME)."""
    offset, directory = trials.work / "offset", trials.work / "clock"
    offset.write_text("+0")
    fake = {"LD_PRELOAD": os.environ.get("LIBFAKETIME", "libfaketime.so.1"), "FAKETIME_TIMESTAMP_FILE": str(offset)}
    fake |= {"FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}
    command = [sys.executable, "-m", "graph_resnet.train", *RUN, "--train-dir", directory]
    with subprocess.Popen(
        list(map(str, command)), env={**os.environ, **fake}, stdout=subprocess.PIPE, text=True
    ) as run:
        for line in run.stdout:
            for step, jump in {"step 7 ": "-1d", "step 17 ": "+365d"}.items():
                if line.startswith(f"[train]: {step}"):
                    offset.write_text(jump)
    trials.tell("clock a day back, then a year ahead", run.returncode, "")
    trials.compare(directory)


TRIALS = (disk, train_dirs, strangers, checkpoints, data, loss, memory, signals, names, locales, clock)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability.faults",
        description=__doc__.splitlines()[0],
        epilog="\n".join(f"{trial.__name__:<12} {trial.__doc__}" for trial in TRIALS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = {trial.__name__: trial for trial in TRIALS}
    parser.add_argument(
        "trials", nargs="*", metavar="TRIAL", choices=[*choices, []], help="some of the trials below (default: all)"
    )
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        trials = Trials(Path(work))
        for name in flags.trials or choices:
            choices[name](trials)
    sys.exit(trials.failed)


if __name__ == "__main__":
    main()
