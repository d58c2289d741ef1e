"""The metrics of a run: `metrics.jsonl`, TensorBoard's event files, and the history in memory.

`metrics.jsonl` holds one JSON object a line, `{"step", "split", "loss", "accuracy", ...}`. Lines are appended and never
rewritten. A resumed run drops the lines after its checkpoint, then repeats those steps with the same results.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow.compat.v1 as tf

from graph_resnet import files, locks
from graph_resnet.errors import UserError, reason, writing

FILE = "metrics.jsonl"
LARGEST = 1e100  # of a value; plots overflow near the largest float
MOST = 1 << 30  # bytes: about 8 million records


def read(path: str | os.PathLike) -> tuple[list[dict], list[int]]:
    """Records of a `metrics.jsonl`, oldest first, without an incomplete last line (of a killed run).

    Returns:
      (records, the byte offset after each).

    Raises:
      UserError: the file cannot be read, or a line is not a record.
    """
    try:
        lines = files.read(path, MOST).split(b"\n")[:-1]
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); restore it, or remove it") from error
    records, ends, end = [], [], 0
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        fault = _fault(record, records[-1]["step"] if records else 0)
        if fault:
            raise UserError(f"{path}: line {number} is not a record of a run ({fault}); fix or remove that line")
        end += len(line) + 1
        records.append(record)
        ends.append(end)
    return records, ends


def _fault(record, before):
    """What is wrong with a record that follows one of step `before`, None if nothing is."""
    if not isinstance(record, dict):
        return "not a JSON object"
    step = record.get("step")
    if not (type(step) is int and 0 <= step < 2**63):
        return "its step is not a whole number from 0 to 2**63 - 1"
    if step < before:  # what is resumed, drawn and reported relies on the order
        return f"its step {step} follows step {before}"
    if record.get("split") not in ("train", "val"):
        return "its split is neither train nor val"
    if "loss" not in record:
        return "it has no loss"
    wrong = next((name for name, value in record.items() if name != "split" and not is_finite(value)), None)
    return wrong and f"its {wrong:.40} is not a finite number"


def is_finite(value: object) -> bool:
    """Whether a value can be recorded: a finite number, and not near the largest float."""
    return type(value) in (int, float) and -LARGEST < value < LARGEST


def _missing(records, step, every):
    """Which training records before the checkpoint of `step` are missing, as a phrase; None if none are.

    Args:
      records: the records up to `step`.
      step: int.
      every: int, steps between training records, None if not known.
    """
    trained = [record["step"] for record in records if record["split"] == "train"]
    if step and not trained:  # a run writes a record at its first step
        return f"holds no training record before step {step}"
    gaps = [b - a for a, b in zip(trained[-2:], trained[-1:])] + [every or 0]
    if trained and max(gaps) and trained[-1] + max(gaps) < step:
        return f"holds no training record between step {trained[-1]} and step {step}"
    return None


class MetricsLog:
    """Appends records to `metrics.jsonl` and to event files under `train/` and `val/`; keeps `history`.

    Args:
      train_dir: directory, or None to keep only the history.
      step: global step that the run starts from. Training records of `step` and later are dropped: their updates run
        again. The evaluation of `step` stays: it was made with the same weights.
      graph_def: tf.GraphDef that TensorBoard draws.
      every: int, steps between training records; with it, lost records are reported.
      say: called with a line about lost records, and about values that cannot be recorded.

    Raises:
      UserError: `metrics.jsonl` or an event file cannot be read or written.
    """

    def __init__(
        self,
        train_dir: str | Path | None,
        step: int,
        graph_def: tf.GraphDef | None = None,
        every: int | None = None,
        say: Callable[[str], object] = print,
    ):
        self.history = []
        self._say, self._undefined = say, set()
        self._file, self._events = None, {}
        if train_dir is None:
            return
        self._path = Path(train_dir) / FILE
        records, ends = read(self._path)
        kept = len(records)
        while kept and records[kept - 1]["step"] >= step + (records[kept - 1]["split"] == "val"):
            kept -= 1
        self.history = records[:kept]
        lost = every and _missing(self.history, step, every)
        if lost:
            say(f"[metrics]: {self._path} {lost}: it was truncated or removed; the run goes on without them")
        locks.check(self._path)
        with writing(self._path):
            self._path.parent.mkdir(exist_ok=True)  # no parents=True: if the parent is gone, fail
            # A new file: the old one may be a symbolic link, or have other hard links.
            files.write(self._path, files.read(self._path, MOST)[: ends[kept - 1]] if kept else b"")
            flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            # Unbuffered: Python would try to write the rest again when it closes the file.
            self._file = open(os.open(self._path, flags), "ab", buffering=0)  # noqa: SIM115 (closed by close())
        self._events = {split: Events(Path(train_dir) / split, step) for split in ("train", "val")}
        if graph_def is not None:
            self._events["train"].add(graph_def=graph_def.SerializeToString())
        for split, events in self._events.items():
            # Tells TensorBoard to drop what an earlier run wrote from this step on, as above for the records: the
            # evaluation of this step stays, its update runs again.
            first = step + 1 if split == "val" and step else step
            events.add(session_log=tf.SessionLog(status=tf.SessionLog.START), step=first)

    def has(self, split: str, step: int) -> bool:
        """Whether that record exists already."""
        return any(r["split"] == split and r["step"] == step for r in reversed(self.history[-2:]))

    def add(self, split: str, step: int, **values: float | None) -> dict:
        """Appends a record; `values` are numbers. None is skipped, and so is what `read` would refuse, such as NaN."""
        undefined = {name for name, value in values.items() if value is not None and not is_finite(value)}
        for name in sorted(undefined - self._undefined):
            self._say(f"[metrics]: the {name} is {values[name]} at step {step}: such values are not recorded")
        self._undefined |= undefined
        values = {name: value for name, value in values.items() if value is not None and name not in undefined}
        record = {"step": step, "split": split, **values}
        self.history.append(record)
        if self._file is None:
            return record
        line = json.dumps(record).encode() + b"\n"
        locks.check(self._path)
        with writing(self._path):
            if self._file.write(line) < len(line):  # the disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        shown = {_tag(name): value for name, value in values.items() if name != "images"}
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in shown.items()])
        self.add_summary(split, summary, step)
        return record

    def add_summary(self, split: str, summary: bytes | tf.Summary, step: int) -> None:
        """Writes a summary (serialized, or a proto) for TensorBoard."""
        if split in self._events:
            if isinstance(summary, bytes):
                summary = tf.Summary.FromString(summary)
            self._events[split].add(summary=summary, step=step)

    def close(self):
        if self._file is not None:
            self._file.close()
        for events in self._events.values():
            events.close()


def _tag(name):
    """TensorBoard expands only its first two groups: loss and accuracy get those."""
    return name if name in ("loss", "accuracy") else f"training/{name}"


def pictures(pngs: dict[str, bytes]) -> tf.Summary:
    """A tf.Summary of PNG images, {tag: bytes}, for TensorBoard."""
    values = [tf.Summary.Value(tag=tag, image=tf.Summary.Image(encoded_image_string=png)) for tag, png in pngs.items()]
    return tf.Summary(value=values)


class Events:
    """A TensorBoard event file that is flushed after each event.

    tf.summary.FileWriter is not used: it writes in a thread, which ends in a traceback when the disk is full.

    Args:
      directory: created if missing.
      step: int, part of the file name, so that two starts within a second get different names.
    """

    def __init__(self, directory: str | Path, step: int):
        name = f"events.out.tfevents.{int(time.time()):010d}.{platform.node()}.{os.getpid()}.{step}"
        self._path = Path(directory) / name
        locks.check(self._path)
        with writing(self._path, tf.errors.OpError):
            Path(directory).mkdir(exist_ok=True)
            while os.path.lexists(self._path):  # started twice in a second
                self._path = self._path.with_name(f"{self._path.name}.2")
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # TensorFlow follows a link
            self._writer = tf.io.TFRecordWriter(str(self._path))
        self.add(file_version="brain.Event:2")

    def add(self, **fields: object) -> None:
        """Writes a tf.Event with these fields."""
        event = tf.Event(wall_time=time.time(), **fields)
        locks.check(self._path)
        with writing(self._path, tf.errors.OpError):
            self._writer.write(event.SerializeToString())
            self._writer.flush()

    def close(self):
        # Every event is flushed already, or its failure was reported.
        with contextlib.suppress(tf.errors.OpError):
            self._writer.close()
