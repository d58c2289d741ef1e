"""Compares this project with others on this machine: training, inference, input, start-up, and the CPU's limit.

    python -m benchmarks.speed.compare            `make bench` installs Keras's, PyTorch's and Flax's packages first
    python -m benchmarks.speed.compare --quick    `make bench-quick`: only training, without eager loops and compilers

Every peer is a separate process. They take turns, one round after the other (A B C, A B C, ...), after a warm-up round,
and only one works at a time. A row is a ratio to ours in the same round: median, minimum and maximum. Before anything
is timed, the nets must have the same number of parameters and, with the same weights, the same logits.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.speed import tables, turns
from benchmarks.speed.tables import Table, cell
from benchmarks.speed.turns import Row, Worker
from graph_resnet import cli
from graph_resnet.data import find
from graph_resnet.errors import UserError

NETS = {"bottleneck": "bottleneck net, 96x96", "resnet18": "ResNet-18, 32x32"}
TRAINED = {**NETS, "fast": "recipe fast, 32x32"}
BATCH = {"bottleneck": 64, "resnet18": 128, "fast": 2000}
PRECISIONS = ("float32", "bfloat16")
TRAIN = (sys.executable, "-m", "graph_resnet.train")
TOLERANCE = 1e-3  # of logits, relative to the largest


def check(facts):
    """Raises a UserError unless all nets have the same parameter count and logits as the first.

    Args:
      facts: {name: {"parameters": int, "logits": [[float]]}}; entries without logits are not nets.
    """
    nets = {name: each for name, each in facts.items() if "logits" in each}
    if not nets:
        return
    (first, expected), *others = nets.items()
    logits = np.array(expected["logits"])
    for name, found in others:
        if found["parameters"] != expected["parameters"]:
            raise UserError(
                f"{name}: has {found['parameters']:,} parameters, {first} {expected['parameters']:,}; not the same net"
            )
        error = np.abs(np.array(found["logits"]) - logits).max() / np.abs(logits).max()
        if not error < TOLERANCE:
            raise UserError(f"{name}: its logits differ from those of {first} by {error:.1e}; not the same net")


class Session:
    """One run of the command: number of rounds, package versions, and results."""

    def __init__(self, rounds, data_dir, quick=False):
        self.rounds, self.data_dir, self.quick = rounds, data_dir, quick
        self.versions, self.seconds, self.tables = {}, {}, []

    def start(self, stack, peers):
        """Starts all workers and waits until they are ready: ({name: Worker}, {name: facts})."""
        say(f"starting {len(peers)} peers")
        workers = {name: stack.enter_context(Worker(*of[:2], **of[2])) for name, of in peers.items()}
        facts = {name: worker.facts() for name, worker in workers.items()}
        for peer_facts in facts.values():
            self.versions |= peer_facts["versions"]
        check(facts)
        return workers, facts

    def measure(self, title, rows):
        """Measures rows in turns and keeps the results for --json."""
        say(f"{title}: {self.rounds} rounds of {len(rows)}")
        turns.measure(rows, self.rounds)
        self.seconds[title] = {row.name: row.seconds for row in rows}

    def training(self, net):
        """Training steps of all peers, and matrix products as the lower bound."""
        what = f"Training, {TRAINED[net]}, batch {BATCH[net]}"
        peers = training_peers(net, self.quick)
        with contextlib.ExitStack() as stack:
            workers, facts = self.start(stack, {**peers, "products": ("ours", "products", {})})
            rows = {name: Row(name, workers[name], "step") for name in peers}
            products = {p: Row(f"products, {p}", workers["products"], p) for p in PRECISIONS}
            self.measure(what, [*rows.values(), *products.values()])
        bases = [rows[f"ours, {precision}"] for precision in PRECISIONS[::-1]]
        self.tables.append(
            Table(
                what,
                ("time of a step, as a multiple", *(f"of {base.name}" for base in bases), "peak MB"),
                [
                    (row.name, *(cell(turns.ratio(row, base)) for base in bases), f"{row.worker.peak_mb:,.0f}")
                    for row in rows.values()
                ],
            )
        )
        with contextlib.ExitStack() as stack:
            flops = self.start(stack, {"step": ("ours", "step_flops", {"net": net})})[1]["step"]["flops"]
        self.tables.append(self._limits(net, rows, products, flops, facts["products"]["flops"]))

    def _limits(self, net, rows, products, flops, product_flops):
        """How close steps are to the lower bound: their products at the rate of a large one of the same round."""
        table_rows = []
        for precision in PRECISIONS:
            theirs = min((r for n, r in rows.items() if n.startswith(f"PyTorch, {precision}")), key=median)
            for row in (rows[f"ours, {precision}"], theirs):
                pairs = zip(products[precision].seconds, row.seconds)
                share = turns.spread([flops / step / (product_flops / product) for product, step in pairs])
                table_rows.append((f"{row.name}: share of the {precision} floor", cell(share)))
        pairs = zip(rows["ours, bfloat16"].seconds, rows["ours, bfloat16, its own input"].seconds)
        input_part = turns.spread([1 - ready / own for ready, own in pairs])
        table_rows.append(("the input's part of a step, bfloat16", cell(input_part, 3)))
        rates = ", ".join(
            f"{product_flops / median(row) / 1e9:,.0f} GFLOP/s in {precision}" for precision, row in products.items()
        )
        note = f"{flops / 1e9:.1f} GFLOP a step; products of 2048x2048 matrices reached {rates}."
        return Table(f"Limits, {TRAINED[net]}", ("", "median (least to greatest)"), table_rows, note)

    def inference(self, net):
        """Predictions, for one image and for 64 at a time."""
        what = f"Inference, {NETS[net]}"
        peers = {f"ours, {p}": ("ours", "inference", {"net": net, "precision": p}) for p in PRECISIONS}
        for precision in PRECISIONS:
            for how in ("eager", "frozen", "compiled"):
                peers[f"PyTorch, {precision}, {how}"] = (
                    "pytorch", "inference", {"net": net, "precision": precision, "how": how},
                )  # fmt: skip
        columns = {}
        with contextlib.ExitStack() as stack:
            workers, _ = self.start(stack, peers)
            for task in ("batch 1", "batch 64"):
                columns[task] = [Row(name, worker, task) for name, worker in workers.items()]
                self.measure(f"{what}, {task}", columns[task])
        cells = []
        for rows in columns.values():
            base = min((row for row in rows if row.name.startswith("ours")), key=median)
            cells.append([cell(turns.ratio(row, base)) for row in rows])
        self.tables.append(
            Table(
                what,
                ("time, as a multiple of ours at its best", *columns),
                [*zip(peers, *cells)],
                "Batch norm folded in all. Ours takes uint8 pictures, PyTorch float batches that are ready.",
            )
        )

    def input(self):
        """Images/s of the training input."""
        with contextlib.ExitStack() as stack:
            workers, facts = self.start(stack, {"input": ("input", "one_core", {"data_dir": self.data_dir})})
            row = Row("batch", workers["input"], "batch")
            self.measure("Input", [row])
        rates = turns.spread([64 / seconds for seconds in row.seconds])
        what = f"images/s at 96x96 from one core, {facts['input']['data']}"
        self.tables.append(Table("Input", ("", "median (least to greatest)"), [(what, cell(rates, 0))]))

    def start_up(self):
        """The time from the command to the first finished step, `--help`, and the peak memory of a whole run."""
        say("start-up")
        first, helps, memory = [], [], []
        for _ in range(3):
            since = time.perf_counter()
            subprocess.run([*TRAIN, "--help"], stdout=subprocess.DEVNULL, check=True)
            helps.append(time.perf_counter() - since)
            seconds, peak = train_once(self.data_dir)
            first.append(seconds)
            memory.append(peak)
        self.seconds["Start-up"] = {"first step": first, "--help": helps}
        rows = [
            ("seconds to the end of the first step, notebook recipe", cell(turns.spread(first), 1)),
            ("seconds of --help", cell(turns.spread(helps), 2)),
            ("peak MB of a run with its evaluation, notebook recipe", cell(turns.spread(memory), 0)),
        ]
        self.tables.append(Table("Start-up and memory of the command", ("", "median (least to greatest)"), rows))


def training_peers(net, quick):
    """{name: (module, function, arguments)} of the peers that train; `quick` skips those that start slowly."""
    peers = {f"ours, {p}": ("ours", "training", {"net": net, "precision": p}) for p in PRECISIONS}
    for precision in PRECISIONS if net in NETS else ():  # `fast` has eight
        peers[f"ours, {precision}, two towers"] = "ours", "training", {"net": net, "precision": precision, "towers": 2}
    own_input = {"net": net, "precision": "bfloat16", "own_input": True}
    peers["ours, bfloat16, its own input"] = ("ours", "training", own_input)
    if net in NETS:
        peers["the tutorial's own graph"] = ("tutorial", "training", {"net": net})
        if not quick:
            peers["Keras 3, GradientTape loop"] = ("keras", "loop", {"net": net})
        peers["Keras 3, fit"] = ("keras", "fit", {"net": net})
    for precision in PRECISIONS:
        for compiled in (False,) if quick else (False, True):
            name = f"PyTorch, {precision}{', torch.compile' if compiled else ''}"
            peers[name] = "pytorch", "training", {"net": net, "precision": precision, "compiled": compiled}
        if net in NETS:
            peers[f"Flax, {precision}"] = "flax", "training", {"net": net, "precision": precision}
    return peers


def train_once(data_dir, steps=20):
    """A short run of the command: (seconds until its first step has ended, peak resident MB)."""
    with tempfile.TemporaryDirectory() as train_dir:
        data = ["--data-dir", data_dir] if data_dir else ["--dataset", "synthetic"]
        command = [*TRAIN, *data, "--train-dir", train_dir, "--steps", str(steps)]
        since = time.perf_counter()
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        seconds = None
        with run.stdout:
            for line in run.stdout:
                if seconds is None and line.startswith("[train]: step 0 "):
                    seconds = time.perf_counter() - since
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode or seconds is None:
        raise UserError(f"{' '.join(command)}: ended with status {run.returncode}")
    return seconds, usage.ru_maxrss / 1000


def median(row):
    """Median in seconds."""
    return turns.spread(row.seconds)[0]


def say(line):
    """Prints progress, separate from the tables."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sections = {
        "training": lambda s: [s.training(net) for net in NETS],
        "fast": lambda s: s.training("fast"),
        "inference": lambda s: [s.inference(net) for net in NETS],
        "input": lambda s: s.input(),
        "start-up": lambda s: s.start_up(),
    }
    add = parser.add_argument
    add("--rounds", type=cli.positive, metavar="N", help="rounds of turns (default: 9; quick: 3)")
    add("--quick", action="store_true", help="under five minutes: only training, only peers that start quickly")
    add("--only", nargs="+", choices=sections, metavar="SECTION", help=", ".join(sections))
    add("--data-dir", metavar="DIR", help="CIFAR-10 for input and start-up (default: drawn images)")
    add("--json", metavar="FILE", help="also write every measurement")
    add("--markdown", metavar="FILE", help="also put the tables between the marks on this page")
    flags = parser.parse_args(cli.arguments())
    about = tables.machine()
    find.cifar("synthetic")  # draws the images now; else all peers would at once
    session = Session(flags.rounds or (3 if flags.quick else 9), flags.data_dir, flags.quick)
    try:
        for name in flags.only or (["training"] if flags.quick else sections):
            sections[name](session)
    finally:  # results from before a peer failed are shown and kept
        about |= session.versions
        text = "\n\n".join(["; ".join(f"{k}: {v}" for k, v in about.items()) + ".", *map(str, session.tables)])
        print(text)
        if flags.json:
            Path(flags.json).write_text(json.dumps({"machine": about, "seconds": session.seconds}, indent=1) + "\n")
    if flags.markdown:
        tables.exchange(flags.markdown, "compare", text)
    return 0


if __name__ == "__main__":
    cli.run(main)
