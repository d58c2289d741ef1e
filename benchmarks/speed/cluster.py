"""The cost of a second worker: `python -m benchmarks.speed.cluster [--data-dir DIR] [--rounds 5] [--steps 40]`.

Compares one worker on two cores with two workers of one core each, with the same recipe and global batch, in turns.
Images/s are those of the training command, without its first interval. Then a model estimates the efficiency of n
workers from the step time, the size of the gradients, and the speed of a link.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from graph_resnet import cli

INTERVAL = 10  # steps between training lines
LINKS = (1, 10, 100)  # Gbit/s
WORKERS = (2, 4, 8, 16, 32, 64, 128, 256)
LATENCY = 100e-6  # seconds for one hop of the ring, of which there are 2 (n - 1) in a step


def efficiency(workers, seconds, gradient_bytes, gigabits, latency=LATENCY):
    """Images/s of n workers over n times those of one, in a ring that moves 2 (n - 1) / n times the gradients.

    Each worker has a whole batch, whose step takes `seconds`; the transfer does not overlap with the step.
    """
    transfer = 2 * (workers - 1) / workers * gradient_bytes * 8 / (gigabits * 1e9)
    return seconds / (seconds + transfer + 2 * (workers - 1) * latency)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", metavar="DIR", help="CIFAR (default: drawn images)")
    parser.add_argument("--recipe", default="notebook", metavar="NAME")
    parser.add_argument("--batch-size", default=64, type=int, metavar="N", help="of all workers together")
    parser.add_argument("--rounds", default=5, type=int, metavar="N")
    parser.add_argument("--steps", default=40, type=int, metavar="N")
    parser.add_argument("--gradient-bytes", default=4 * 624_589, type=int, metavar="N", help="what a step averages")
    flags = parser.parse_args(cli.arguments())
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        parser.error("needs two cores")
    os.sched_setaffinity(0, cores)
    print(f"{flags.recipe}, batch {flags.batch_size}, {flags.steps} steps; load {os.getloadavg()[0]:.1f} at the start")
    print("round  one worker  two workers  ratio   (images/s)")
    rates = []
    for k in range(flags.rounds):
        ways = ((), ("--workers", "2")) if k % 2 == 0 else (("--workers", "2"), ())
        speeds = dict(zip(map(len, ways), (_images_per_second(flags, way) for way in ways)))
        rates.append((speeds[0], speeds[2]))
        print(f"{k + 1:5}  {speeds[0]:10.1f}  {speeds[2]:11.1f}  {speeds[2] / speeds[0]:5.3f}")
    ratio = statistics.median(two / one for one, two in rates)
    print(f"median ratio {ratio:.3f}, load {os.getloadavg()[0]:.1f} at the end\n")
    seconds = flags.batch_size / statistics.median(one for one, _ in rates)
    print(f"model: {seconds * 1e3:.0f} ms a step and worker, {flags.gradient_bytes / 1e6:.2f} MB of gradients, "
          f"{LATENCY * 1e6:.0f} us a hop, nothing overlapped")  # fmt: skip
    print("workers  " + "  ".join(f"{link:>3} Gbit/s" for link in LINKS))
    for workers in WORKERS:
        row = (f"{efficiency(workers, seconds, flags.gradient_bytes, link):10.1%}" for link in LINKS)
        print(f"{workers:7}  " + "  ".join(row))


def _images_per_second(flags, more):
    with tempfile.TemporaryDirectory() as directory:
        data = ["--data-dir", flags.data_dir] if flags.data_dir else ["--dataset", "synthetic"]
        command = [
            sys.executable, "-m", "graph_resnet.train", "--recipe", flags.recipe, *data, "--train-dir", directory,
            "--batch-size", flags.batch_size, "--steps", flags.steps, "--log-every", INTERVAL, *more,
        ]  # fmt: skip
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        lines = (Path(directory) / "metrics.jsonl").read_text().splitlines()
    rates = [r["images_per_second"] for r in map(json.loads, lines) if r["split"] == "train" and r["step"] > INTERVAL]
    return statistics.median(rates)


if __name__ == "__main__":
    cli.run(main)
