"""Profiles of training steps: Chrome traces, and the slowest ops in them. Typical use:

hooks = [profiles.Profiler(save_steps=100, output_dir='profile')]
...
print(profiles.table(profiles.newest('profile')))      # chrome://tracing shows the trace itself
"""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from pathlib import Path

import tensorflow.compat.v1 as tf
from tensorflow.python.client import timeline  # private, but nothing else writes Chrome's trace format

from graph_resnet import files
from graph_resnet.errors import UserError, reason, writing

MOST = 1 << 30  # bytes of a trace


class Profiler(tf.train.ProfilerHook):
    """TensorFlow's hook, but with `files.write`: TensorFlow's own writing follows symbolic links."""

    def _save(self, step, save_path, step_stats):
        trace = timeline.Timeline(step_stats).generate_chrome_trace_format(self._show_dataflow, self._show_memory)
        with writing(save_path):
            files.write(save_path, trace.encode())


def newest(directory: str | os.PathLike) -> Path | None:
    """The trace of the latest step in a directory, None if there is none."""
    names = os.listdir(directory) if os.path.isdir(directory) else ()
    matches = filter(None, (re.fullmatch(r"timeline-([0-9]{1,19})\.json", name) for name in names))
    last = max(matches, key=lambda match: int(match[1]), default=None)
    return last and Path(directory) / last[0]


def costliest(trace: str | os.PathLike, top: int = 15) -> tuple[list[tuple[str, int, float]], float]:
    """The time of each kind of op in a trace.

    Args:
      trace: path of a `timeline-N.json`.
      top: number of rows.

    Returns:
      A list of (kind, calls, milliseconds), slowest first, and the total milliseconds.

    Raises:
      UserError: the file is not a trace.
    """
    milliseconds, calls = defaultdict(float), defaultdict(int)
    for kind, duration in _durations(trace):
        milliseconds[kind] += duration
        calls[kind] += 1
    kinds = sorted(milliseconds, key=milliseconds.get, reverse=True)
    return [(kind, calls[kind], milliseconds[kind]) for kind in kinds[:top]], sum(milliseconds.values())


def _durations(trace):
    """(kind of op, milliseconds) of each event with a duration."""
    try:
        content = files.read_json(trace, MOST)
        for event in content["traceEvents"]:
            if event.get("ph") == "X" and "dur" in event:
                kind, duration = event["name"], float(event["dur"]) / 1000
                if not (isinstance(kind, str) and kind.isprintable() and math.isfinite(duration) and duration >= 0):
                    raise ValueError("an event without a name or a duration")
                yield kind, duration
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise UserError(f"{trace}: not a TensorFlow trace ({reason(error)}); remove it") from None


def table(trace: str | os.PathLike) -> str:
    """`costliest` as text.

    Raises:
      UserError: the file is not a trace.
    """
    rows, total = costliest(trace)
    width = max((len(kind) for kind, *_ in rows), default=2)
    lines = [f"{'op':<{width}}  {'calls':>6}  {'ms':>9}  {'share':>6}"]
    for kind, count, ms in rows:
        share = ms / total if total else 0
        lines.append(f"{kind:<{width}}  {count:>6}  {ms:>9.2f}  {share:>6.1%}")
    return "\n".join([*lines, f"{'all':<{width}}  {'':>6}  {total:>9.2f}"])
