"""One peer in a separate process that works only when it is told to.

    python -m benchmarks.speed.worker MODULE FUNCTION JSON

The function, called with the JSON object as keywords, returns a `Peer`. Then the pipes carry one JSON object per line:
first the peer's facts; then, for each `{"task": name, "steps": n}` on stdin, `{"seconds": of the n steps, "peak_mb": so
far}`.
"""

import importlib
import json
import os
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from graph_resnet import session


@dataclass
class Peer:
    """A peer that has warmed up.

    Attributes:
      tasks: {name: function(steps) -> seconds}.
      versions: {package: version}.
      facts: what else the command needs to know, as JSON values.
    """

    tasks: dict
    versions: dict
    facts: dict = field(default_factory=dict)


def timed(step):
    """A task that calls `step()` repeatedly."""

    def run(steps):
        since = time.perf_counter()
        for _ in range(steps):
            step()
        return time.perf_counter() - since

    return run


def peak_mb():
    """The peak resident memory of this process, in MB."""
    return int(re.search(r"^VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)[1]) / 1000


def main():
    module, function, arguments = sys.argv[1:]
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # messages of libraries must not mix with the answers
        session.use_onednn()  # for every peer in TensorFlow, so that nets are compared, not kernels
        peer = getattr(importlib.import_module(f"benchmarks.speed.{module}"), function)(**json.loads(arguments))
        print(json.dumps({"tasks": list(peer.tasks), "versions": peer.versions, **peer.facts}), file=answers)
        for line in sys.stdin:
            order = json.loads(line)
            seconds = peer.tasks[order["task"]](order["steps"])
            print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), file=answers)


if __name__ == "__main__":
    main()
