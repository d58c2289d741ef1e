"""The record of a run: `metrics.jsonl`, TensorBoard's event files, and the history they come from.

`metrics.jsonl` holds one object a line, `{"step", "split", "loss", "accuracy", ...}`; a line is appended when it is
measured and never rewritten. A resumed run cuts off what the checkpoint does not know: the steps come again, the same.
"""

import json
import os
from pathlib import Path

import tensorflow.compat.v1 as tf

from utils.errors import UserError

FILE = "metrics.jsonl"


def read(path):
    """Records of a `metrics.jsonl`, oldest first; a half line at the end (a killed run's) is left out.

    Returns:
      (list of dicts, list of the byte offset behind each).

    Raises:
      UserError: a line is not a record.
    """
    records, ends, end = [], [], 0
    try:
        lines = Path(path).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return [], []
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        try:
            record = json.loads(line)
            known = record["split"] in ("train", "val") and isinstance(record["step"], int)
        except (ValueError, KeyError, TypeError, RecursionError):
            known = False
        if not known:
            raise UserError(f"{path}: line {number} is not a record of a run; mend or remove that line")
        end += len(line)
        records.append(record)
        ends.append(end)
    return records, ends


class MetricsLog:
    """Appends records to `metrics.jsonl` and to event files under `train/` and `val/`; keeps `history`.

    Args:
      train_dir: directory, or None to keep the history alone.
      step: global step that the run starts from. A training record belongs to the update it came with, so those of
        `step` and later are cut off; an evaluation was made with the weights of its step, so that of `step` stays.
      graph: drawn by TensorBoard.
    """

    def __init__(self, train_dir, step, graph=None):
        self.history = []
        self._file, self._writers = None, {}
        if train_dir is None:
            return
        path = Path(train_dir) / FILE
        records, ends = read(path)
        kept = len(records)
        while kept and records[kept - 1]["step"] >= step + (records[kept - 1]["split"] == "val"):
            kept -= 1
        self.history = records[:kept]
        self._path, self._file = path, open(path, "ab")  # noqa: SIM115 (closed by close())
        self._file.truncate(ends[kept - 1] if kept else 0)
        for split in ("train", "val"):
            writer = tf.summary.FileWriter(str(Path(train_dir) / split), graph if split == "train" else None)
            # Tells TensorBoard to forget what an earlier run wrote beyond this step.
            writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), global_step=step)
            self._writers[split] = writer

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
        try:
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"cannot write {self._path} ({os.strerror(error.errno)}); mend that and run the same command"
            ) from None
        summary = tf.Summary(value=[tf.Summary.Value(tag=name, simple_value=v) for name, v in values.items()])
        self.add_summary(split, summary, step)
        self._writers[split].flush()
        return record

    def add_summary(self, split, summary, step):
        """Hands a summary (serialized, or a proto) to TensorBoard."""
        if split in self._writers:
            self._writers[split].add_summary(summary, step)

    def close(self):
        if self._file is not None:
            self._file.close()
        for writer in self._writers.values():
            writer.close()


def add_picture(train_dir, split, tag, png, step):
    """Shows a PNG file among TensorBoard's images."""
    image = tf.Summary.Image(encoded_image_string=Path(png).read_bytes())
    with tf.Graph().as_default(), tf.summary.FileWriter(str(Path(train_dir) / split)) as writer:
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag=tag, image=image)]), step)
