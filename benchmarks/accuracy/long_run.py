"""Watches a long training run from outside: memory, threads, open files, and the content of its train dir.

    python -m benchmarks.accuracy.long_run --steps 20000

It trains the tutorial's net on drawn images of 8x8, two per batch: a step is cheap, and everything else is as usual.
Exit status 1 if memory at the last sample is more than 5% above that at step 1,000, or if the number of threads or open
files has grown since the first evaluation. Needs /proc.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from graph_resnet import cli

TINY = "--dataset synthetic --image-size 8 --batch-size 2 --learning-rate 1e-4 --eval-every 5000".split()


def sample(pid, train_dir):
    """(resident MB, threads, open files, files in the train dir, their size in MB)."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes, threads = (
        int(re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[1]) for name in ("VmRSS", "Threads")
    )
    sizes = [path.stat().st_size for path in train_dir.rglob("*") if path.is_file()]
    return kilobytes / 1000, threads, len(os.listdir(f"/proc/{pid}/fd")), len(sizes), sum(sizes) / 1e6


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.long_run", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=cli.positive, default=20_000, help="more than 6,000 (default: 20,000)")
    flags = parser.parse_args()
    samples = {}
    with tempfile.TemporaryDirectory() as train_dir:
        command = [sys.executable, "-m", "graph_resnet.train", *TINY, "--steps", flags.steps, "--train-dir", train_dir]
        print(f"{'step':>6} {'resident MB':>12} {'threads':>8} {'open files':>11} {'files kept':>11} {'MB kept':>8}")
        with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as run:
            for line in run.stdout:
                step = re.match(r"\[train\]: step (\d+)", line)
                if step and int(step[1]) % 1000 in (0, 950):
                    now = samples[int(step[1])] = sample(run.pid, Path(train_dir))
                    print(
                        f"{step[1]:>6} {now[0]:>12.1f} {now[1]:>8} {now[2]:>11} {now[3]:>11} {now[4]:>8.1f}", flush=True
                    )
        if run.returncode:
            raise SystemExit(f"the run ended with status {run.returncode}")
    # The first evaluation, at step 5,000, starts the input's threads and opens the fonts of the plots.
    begin, settled, end = samples[1000], samples[6000], samples[max(samples)]
    growth, threads, files = end[0] / begin[0] - 1, end[1] - settled[1], end[2] - settled[2]
    print(f"memory {growth:+.1%} since step 1000, threads {threads:+} and open files {files:+} since step 6000")
    if growth > 0.05 or threads > 0 or files > 0:
        raise SystemExit("it grows")


if __name__ == "__main__":
    main()
