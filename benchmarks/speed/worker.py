"""One peer in a process of its own, which works only when it is told to.

    python -m benchmarks.speed.worker MODULE FUNCTION JSON

The function, called with the JSON object as keywords, returns a `Peer`. What then goes over the pipes, an object a
line: first what the peer is; then, for each `{"task": name, "steps": n}` on stdin, `{"seconds": of the n steps,
"peak_mb": so far}`.
"""

import importlib
import json
import os
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Peer:
    """A peer, warmed up.

    Attributes:
      tasks: {name: function(steps) -> seconds}.
      versions: {package: version}.
      facts: what else the command wants to know: all that JSON can hold.
    """

    tasks: dict
    versions: dict
    facts: dict = field(default_factory=dict)


def timed(step):
    """A task that calls `step()` again and again."""

    def run(steps):
        since = time.perf_counter()
        for _ in range(steps):
            step()
        return time.perf_counter() - since

    return run


def peak_mb():
    """The most memory that this process has had resident, in MB."""
    return int(re.search(r"^VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)[1]) / 1000


def main():
    """The process."""
    module, function, arguments = sys.argv[1:]
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # what a library prints must not come between the answers
        peer = getattr(importlib.import_module(f"benchmarks.speed.{module}"), function)(**json.loads(arguments))
        print(json.dumps({"tasks": list(peer.tasks), "versions": peer.versions, **peer.facts}), file=answers)
        for line in sys.stdin:
            order = json.loads(line)
            seconds = peer.tasks[order["task"]](order["steps"])
            print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), file=answers)


if __name__ == "__main__":
    main()
