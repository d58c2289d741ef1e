"""How cost grows: images/s of training by batch size, image size and cores, and the memory.

    python -m benchmarks.speed.scaling

Trains the bottleneck net with the command's input and threads. Each line is measured in three processes, one after the
other.
"""

import argparse
import os

from benchmarks.speed import tables, turns
from benchmarks.speed.tables import Table
from benchmarks.speed.turns import Row, Worker
from graph_resnet import cli
from graph_resnet.recipes import RECIPES

SIZES, BATCHES = (32, 64, 96, 128), (16, 64, 256)


def rate(image_size, batch_size, cores, precision, rounds, towers=1):
    """(images/s, peak MB)."""
    sizes = {"image_size": image_size, "batch_size": batch_size, "cores": cores, "towers": towers}
    with Worker("ours", "training", net="bottleneck", precision=precision, own_input=True, **sizes) as worker:
        worker.facts()
        row = Row("", worker, "step")
        turns.measure([row], rounds)
        return batch_size / turns.spread(row.seconds)[0], worker.peak_mb


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=cli.positive, default=5, metavar="N", help="measured rounds (default: 5)")
    parser.add_argument("--markdown", metavar="FILE", help="also put the table between the marks on this page")
    flags = parser.parse_args(cli.arguments())
    about = tables.machine()
    cores = len(os.sched_getaffinity(0))
    from graph_resnet.training.precision import choose_precision

    precision, _ = choose_precision("auto", RECIPES["notebook"])
    rows = []
    for size in SIZES:
        for batch in BATCHES:
            (one, _), (all_cores, memory) = (rate(size, batch, n, precision, flags.rounds) for n in (1, cores))
            towers, _ = rate(size, batch, cores, precision, flags.rounds, towers=2)
            cells = (f"{one:,.0f}", f"{all_cores:,.0f}", f"{all_cores / one:.2f}")
            cells += (f"{towers:,.0f}", f"{towers / one:.2f}", f"{memory:,.0f}")
            rows.append((f"{size}x{size}, batch {batch}", *cells))
            print(*rows[-1], sep="  ", flush=True)
    header = (
        "images", "images/s, 1 core", f"{cores} cores", "times", "two towers", "times", f"peak MB, {cores} cores"
    )  # fmt: skip
    table = Table(f"Training the bottleneck net, {precision}", header, rows)
    text = "; ".join(f"{what}: {value}" for what, value in about.items()) + f".\n\n{table}"
    print(text)
    if flags.markdown:
        tables.exchange(flags.markdown, "scaling", text)
    return 0


if __name__ == "__main__":
    cli.run(main)
