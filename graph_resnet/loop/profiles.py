"""Where the time of a training step goes: Chrome traces by TensorFlow's ProfilerHook, and the costliest ops in them.
Typical use:

    hooks = [tf.compat.v1.train.ProfilerHook(save_steps=100, output_dir='profile')]
    ...
    print(profiles.table(profiles.newest('profile')))      # the trace itself opens in chrome://tracing
"""

import json
import re
from collections import defaultdict
from pathlib import Path


def newest(directory):
    """The trace of the latest step in a directory, None if there is none."""
    steps = {int(re.search(r"\d+", path.stem)[0]): path for path in Path(directory).glob("timeline-*.json")}
    return steps[max(steps)] if steps else None


def costliest(trace, top=15):
    """Sums a trace by kind of op.

    Args:
      trace: path of a `timeline-N.json`.
      top: int, how many rows.

    Returns:
      A list of (kind, calls, milliseconds), the costliest first, and the milliseconds of all.
    """
    milliseconds, calls = defaultdict(float), defaultdict(int)
    for event in json.loads(Path(trace).read_text())["traceEvents"]:
        if event.get("ph") == "X" and "dur" in event:
            milliseconds[event["name"]] += event["dur"] / 1000
            calls[event["name"]] += 1
    kinds = sorted(milliseconds, key=milliseconds.get, reverse=True)
    return [(kind, calls[kind], milliseconds[kind]) for kind in kinds[:top]], sum(milliseconds.values())


def table(trace):
    """`costliest` as text."""
    rows, total = costliest(trace)
    width = max(len(kind) for kind, *_ in rows)
    lines = [f"{'op':<{width}}  {'calls':>6}  {'ms':>9}  {'share':>6}"]
    lines += [f"{kind:<{width}}  {count:>6}  {ms:>9.2f}  {ms / total:>6.1%}" for kind, count, ms in rows]
    return "\n".join([*lines, f"{'all':<{width}}  {'':>6}  {total:>9.2f}"])
