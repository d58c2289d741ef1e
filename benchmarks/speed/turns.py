"""Measures peers in turns: A B C, A B C, ... Only one works at a time; the others wait."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

from graph_resnet.errors import UserError

SECONDS = 0.5  # duration of a turn, unless one step is longer


class Worker:
    """A `benchmarks.speed.worker` process.

    Args:
      module, function: the function that makes the peer, such as 'ours', 'training'.
      arguments: for the function.
    """

    def __init__(self, module, function, **arguments):
        self.name = f"{module}.{function}({arguments})"
        command = [sys.executable, "-m", "benchmarks.speed.worker", module, function, json.dumps(arguments)]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by __exit__)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        self.peak_mb = None

    def facts(self):
        """The peer's facts, once it is ready."""
        return self._answer()

    def run(self, task, steps):
        """Seconds of that many steps."""
        self._process.stdin.write(json.dumps({"task": task, "steps": steps}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.peak_mb = answer["peak_mb"]
        return answer["seconds"]

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["nothing was printed"])[-1]
            raise UserError(f"{self.name}: ended with status {self._process.returncode} ({last})")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            stream.close()


@dataclass
class Row:
    """The measurements of one peer: seconds per step, one for each round."""

    name: str
    worker: Worker
    task: str
    seconds: list[float] = field(default_factory=list)


def measure(rows, rounds):
    """Fills `seconds` of the rows, which take turns in each round; an extra first round warms up."""
    steps = {}
    for row in rows:
        seconds = row.worker.run(row.task, 1)
        steps[id(row)] = min(1000, max(1, round(SECONDS / seconds)))
    for _ in range(rounds):
        for row in rows:
            n = steps[id(row)]
            row.seconds.append(row.worker.run(row.task, n) / n)


def ratio(row, base):
    """(median, minimum, maximum) over the rounds of a row's time divided by the base's in the same round."""
    return spread([a / b for a, b in zip(row.seconds, base.seconds)])


def spread(values):
    """(median, minimum, maximum)."""
    return statistics.median(values), min(values), max(values)
