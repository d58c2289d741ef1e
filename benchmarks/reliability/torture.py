"""Kills training runs with SIGKILL at random moments until each has ended all the same, and compares with a calm one.

    python -m benchmarks.reliability.torture --kills 50

A tiny net is trained on drawn images, with a checkpoint every other step, so that much of the time goes into saving.
Every run must end with the records of `metrics.jsonl` (but the clock's number) and the bytes of the checkpoint that the
calm run ended with. Exit status 1 if one does not. Needs os.fork: each life is a fork of a process that has imported
TensorFlow already, which saves most of a start.
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
    """Starts the training command in a fork: its process id. What it prints goes to the file `log`."""
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
    """The status of a process that has ended, None of one that runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def wait(pid, until):
    """Returns when `until()` holds or the process has ended, with its status then."""
    while True:
        status = ended(pid)
        if status is not None or until():
            return status
        time.sleep(0.005)


def live(train_dir, steps, precision, moment):
    """One life. `moment` is (seconds after the start or after the first step, which).

    Returns:
      Whether it was killed; else the run is done.
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
    """Whether a kill has left something half written: a draft, or a checkpoint that lacks a file, or its name in the
    state file."""
    names = {path.name for path in train_dir.iterdir()} if train_dir.exists() else set()
    if any(map(files.DRAFT.fullmatch, names)):
        return True
    steps = {int(name[1]) for name in (re.match(r"model\.ckpt-(\d+)\.", each) for each in names) if name}
    if not steps:
        return False
    parts = [f"model.ckpt-{max(steps)}.{end}" for end in ("data-00000-of-00001", "index", "meta")]
    state = (train_dir / "checkpoint").read_text() if "checkpoint" in names else ""
    return not set(parts) <= names or f'model_checkpoint_path: "model.ckpt-{max(steps)}"' not in state


def result(train_dir, steps):
    """What must not depend on the kills: the records, and the bytes of the last checkpoint."""
    records = [json.loads(line) for line in (train_dir / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("images_per_second", None)
    last = f"model.ckpt-{steps}"
    return records, *((train_dir / f"{last}.{end}").read_bytes() for end in ("data-00000-of-00001", "index"))


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability.torture", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=cli.positive, default=50, help="in all (default: 50)")
    parser.add_argument("--steps", type=cli.positive, default=60, help="of a run (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
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
                # One kill in five falls anywhere from the start on, the others within a second of the first step.
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
                raise SystemExit(f"run {runs} did not end as the calm one")
    print(
        f"{flags.precision}: {kills} kills, {saves} of them inside a save, {early} timed from the start; {runs} runs "
        f"of {flags.steps} steps, all ended with the calm run's records and final checkpoint, bit for bit"
    )


if __name__ == "__main__":
    main()
