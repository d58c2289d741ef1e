"""The record of a run: `metrics.jsonl`, TensorBoard's event files, and the history they come from.

`metrics.jsonl` holds one object a line, `{"step", "split", "loss", "accuracy", ...}`; a line is appended when it is
measured and never rewritten. A resumed run cuts off what the checkpoint does not know: the steps come again, the same.
"""

import contextlib
import errno
import json
import os
import platform
import time
from pathlib import Path

import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError, reason, writing

FILE = "metrics.jsonl"


def read(path):
    """Records of a `metrics.jsonl`, oldest first; a half line at the end (a killed run's) is left out.

    Returns:
      (list of dicts, list of the byte offset behind each).

    Raises:
      UserError: a line is not a record.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); put it back, or remove it") from error
    records, ends, end = [], [], 0
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not _is_record(record):
            raise UserError(f"{path}: line {number} is not a record of a run; mend or remove that line")
        end += len(line) + 1
        records.append(record)
        ends.append(end)
    return records, ends


def _is_record(value):
    """Whether a JSON value is a record: a step, a split, and numbers."""
    if not (isinstance(value, dict) and value.get("split") in ("train", "val") and type(value.get("step")) is int):
        return False
    return value["step"] >= 0 and all(type(v) in (int, float) for name, v in value.items() if name != "split")


class MetricsLog:
    """Appends records to `metrics.jsonl` and to event files under `train/` and `val/`; keeps `history`.

    Args:
      train_dir: directory, or None to keep the history alone.
      step: global step that the run starts from. A training record belongs to the update it came with, so those of
        `step` and later are cut off; an evaluation was made with the weights of its step, so that of `step` stays.
      graph_def: tf.GraphDef that TensorBoard draws.
    """

    def __init__(self, train_dir, step, graph_def=None):
        self.history = []
        self._file, self._events = None, {}
        if train_dir is None:
            return
        self._path = Path(train_dir) / FILE
        records, ends = read(self._path)
        kept = len(records)
        while kept and records[kept - 1]["step"] >= step + (records[kept - 1]["split"] == "val"):
            kept -= 1
        self.history = records[:kept]
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what could not be written is not tried again behind our back.
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 (closed by close())
            self._file.truncate(ends[kept - 1] if kept else 0)
        self._events = {split: Events(Path(train_dir) / split, step) for split in ("train", "val")}
        if graph_def is not None:
            self._events["train"].add(graph_def=graph_def.SerializeToString())
        for events in self._events.values():
            # Tells TensorBoard to forget what an earlier run wrote beyond this step (all, where this is the beginning).
            events.add(session_log=tf.SessionLog(status=tf.SessionLog.START), step=step + 1 if step else 0)

    def has(self, split, step):
        """Whether that record is there already."""
        return any(r["split"] == split and r["step"] == step for r in reversed(self.history[-2:]))

    def add(self, split, step, **values):
        """Appends a record; `values` are numbers, None is left out."""
        values = {name: value for name, value in values.items() if value is not None}
        record = {"step": step, "split": split, **values}
        self.history.append(record)
        if self._file is None:
            return record
        line = json.dumps(record).encode() + b"\n"
        with writing(self._path):
            if self._file.write(line) < len(line):  # the disk filled up in the middle of the line
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        shown = {_tag(name): value for name, value in values.items() if name != "images"}
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in shown.items()])
        self.add_summary(split, summary, step)
        return record

    def add_summary(self, split, summary, step):
        """Hands a summary (serialized, or a proto) to TensorBoard."""
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
    """TensorBoard opens its first two groups: what both splits have is to be seen at once, side by side."""
    return name if name in ("loss", "accuracy") else f"training/{name}"


def pictures(pngs):
    """A tf.Summary that shows PNG files, a dict {tag: bytes}, among TensorBoard's images."""
    values = [tf.Summary.Value(tag=tag, image=tf.Summary.Image(encoded_image_string=png)) for tag, png in pngs.items()]
    return tf.Summary(value=values)


class Events:
    """An event file of TensorBoard, each event in it as soon as it is added.

    tf.summary.FileWriter writes in a thread of its own, and on a full disk it is that thread which fails, aloud.

    Args:
      directory: made where it is missing.
      step: int, part of the file's name: with it two starts in one second, or after the clock was set back, differ.
    """

    def __init__(self, directory, step):
        name = f"events.out.tfevents.{int(time.time()):010d}.{platform.node()}.{os.getpid()}.{step}"
        self._path = Path(directory) / name
        with writing(self._path, tf.errors.OpError):
            Path(directory).mkdir(exist_ok=True)
            self._writer = tf.io.TFRecordWriter(str(self._path))
        self.add(file_version="brain.Event:2")

    def add(self, **fields):
        """Writes a tf.Event with these fields."""
        event = tf.Event(wall_time=time.time(), **fields)
        with writing(self._path, tf.errors.OpError):
            self._writer.write(event.SerializeToString())
            self._writer.flush()

    def close(self):
        # All has been written, or it has been said that it could not be.
        with contextlib.suppress(tf.errors.OpError):
            self._writer.close()
