"""Kills training runs with SIGKILL at random moments until each has finished, and compares with an undisturbed run.

    python -m benchmarks.reliability.torture --kills 50

It trains a tiny net on drawn images with a checkpoint every other step, so that much of the time is spent saving. Every
run must end with the same records in `metrics.jsonl` (except the speed) and the same bytes in its checkpoint as the
undisturbed run. Exit status 1 if one does not. Needs os.fork: each start is a fork of a process that has imported
TensorFlow already, which saves most of the start-up time.
"""

import argparse
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import graph_resnet.training.run  # noqa: F401  (imported before the forks)
from graph_resnet import cli, files, train

TINY = "--dataset synthetic --image-size 32 --batch-size 8 --log-every 1 --save-every 2 --eval-every 20".split()


def start(flags, log):
    """Starts the training command in a fork and returns its process id. Its output goes to the file `log`."""
    pid = os.fork()
    if pid:
        return pid
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv[1:] = map(str, flags)
    try:
        cli.run(train.main)
    except SystemExit as end:
        os._exit(end.code)


def ended(pid):
    """The exit status of a process, None if it still runs."""
    ended_pid, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended_pid else None


def wait(pid, until):
    """Waits until `until()` is true or the process has ended; returns its status in the second case."""
    while True:
        status = ended(pid)
        if status is not None or until():
            return status
        time.sleep(0.005)


def live(train_dir, steps, precision, moment):
    """Starts a run once. `moment` is (seconds until the kill, whether they count from the first step or the start).

    Returns:
      Whether it was killed; if not, the run has finished.
    """
    seconds, after_a_step = moment
    log = Path(f"{train_dir}.log")
    log.unlink(missing_ok=True)
    pid = start([*TINY, "--steps", steps, "--precision", precision, "--train-dir", train_dir], log)
    status = None
    if after_a_step:
        status = wait(pid, lambda: log.exists() and "[train]: step" in log.read_text())
    deadline = time.monotonic() + seconds
    if status is None:
        status = wait(pid, lambda: time.monotonic() > deadline)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        status = os.waitstatus_to_exitcode(status)
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"a life ended with status {status}:\n{log.read_text()}")
    return status != 0


def in_a_save(train_dir):
    """Whether a kill came during a save: it left a draft, or a checkpoint that lacks a file or is missing in the state
    file."""
    names = {path.name for path in train_dir.iterdir()} if train_dir.exists() else set()
    if any(map(files.DRAFT.fullmatch, names)):
        return True
    matches = (re.match(r"model\.ckpt-(\d+)\.", name) for name in names)
    steps = {int(match[1]) for match in matches if match}
    if not steps:
        return False
    parts = [f"model.ckpt-{max(steps)}.{end}" for end in ("data-00000-of-00001", "index", "meta")]
    state = (train_dir / "checkpoint").read_text() if "checkpoint" in names else ""
    return not set(parts) <= names or f'model_checkpoint_path: "model.ckpt-{max(steps)}"' not in state


def result(train_dir, steps):
    """What must not depend on kills: the records, and the bytes of the last checkpoint."""
    records = [json.loads(line) for line in (train_dir / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("images_per_second", None)
    last = f"model.ckpt-{steps}"
    return records, *((train_dir / f"{last}.{end}").read_bytes() for end in ("data-00000-of-00001", "index"))


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability.torture", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=cli.positive, default=50, help="total number of kills (default: 50)")
    parser.add_argument("--steps", type=cli.positive, default=60, help="steps of a run (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: 0)")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    flags = parser.parse_args()
    moments = random.Random(flags.seed)
    kills = saves = early = runs = 0
    with tempfile.TemporaryDirectory() as work:
        calm = Path(work) / "calm"
        begin = time.monotonic()
        live(calm, flags.steps, flags.precision, (float("inf"), False))
        whole = time.monotonic() - begin
        expected = result(calm, flags.steps)
        while kills < flags.kills:
            runs += 1
            train_dir = Path(work) / f"run {runs}"
            done = False
            while not done:
                # One kill in five is timed from the start, the others within a second of the first step.
                after_a_step = moments.random() < 0.8
                moment = (moments.uniform(0, 1 if after_a_step else whole / 2), after_a_step)
                if kills == flags.kills:
                    moment = (float("inf"), False)
                done = not live(train_dir, flags.steps, flags.precision, moment)
                if not done:
                    kills += 1
                    early += not after_a_step
                    saves += in_a_save(train_dir)
                    print(f"kill {kills}: {train_dir.name}", flush=True)
            if result(train_dir, flags.steps) != expected:
                raise SystemExit(f"run {runs} did not end like the undisturbed one")
    print(
        f"{flags.precision}: {kills} kills, {saves} of them inside a save, {early} timed from the start; {runs} runs "
        f"of {flags.steps} steps, all ended with the undisturbed run's records and final checkpoint, bit for bit"
    )


if __name__ == "__main__":
    main()
