"""Evaluates a trained net on a whole split of its data; each image counts once. Typical use:

    result = evaluate("runs/notebook")
    print(result.accuracy, result.classes[0]["name"], result.classes[0]["accuracy"])

The calibration error is that of C. Guo, G. Pleiss, Y. Sun, K. Weinberger: On calibration of modern neural networks,
arXiv:1706.04599, 2017, with their 15 bins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graph_resnet import config
from graph_resnet.config import TrainedNet
from graph_resnet.data import of_runs
from graph_resnet.data.find import Records
from graph_resnet.errors import UserError, printable
from graph_resnet.inference import metrics
from graph_resnet.session import resolved_precision

SPLITS = ("val", "test", "train")


@dataclass(frozen=True)
class Evaluation:
    """The results of a trained net on one split.

    Attributes:
      train_dir, checkpoint: paths.
      step: global step of the checkpoint; None if it does not record one.
      data: title of the data, such as 'CIFAR-10'.
      split: 'val', 'test' or 'train'.
      tta: whether the logits are averaged over each image and its mirror image.
      precision: 'bfloat16' or 'float32'.
      images: number of images.
      loss: mean cross entropy, nats.
      accuracy, top5_accuracy, calibration_error: 0..1.
      classes: dicts {"name", "images", "accuracy"}; the accuracy of a class without images is None.
      confusion: int64 [C, C], number of images of class `row` predicted as class `column`.
      logits: float32 [N, C], in the order of the records.
      labels: int32 [N].
      recipe: name of the recipe.
      class_names: C strings.
      records: the data.
      notes: lines about the data, retired fields of config.json, newer checkpoints that could not be read.
    """

    train_dir: str
    checkpoint: str
    step: int | None
    data: str
    split: str
    tta: bool
    precision: str
    images: int
    loss: float
    accuracy: float
    top5_accuracy: float
    calibration_error: float
    classes: list[dict[str, Any]]
    confusion: np.ndarray
    logits: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    recipe: str
    class_names: tuple[str, ...] = field(repr=False)
    records: Records = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What the images are: 'training', 'held-out', 'validation' or 'test'."""
        return kind(self.records, self.split)

    @property
    def title(self) -> str:
        """One line: 'strong at step 20000, 10,000 test images of CIFAR-10'."""
        step = "an unknown step" if self.step is None else f"step {self.step}"
        mirrored = ", with their mirror images" if self.tta else ""
        return printable(f"{self.recipe} at {step}, {self.images:,} {self.kind} images of {self.data}{mirrored}")

    def as_json(self) -> dict[str, Any]:
        """The object that `python -m graph_resnet.evaluate --json` prints, without its file names."""
        names = (
            "train_dir", "checkpoint", "step", "data", "split", "tta", "precision", "images", "loss", "accuracy",
            "top5_accuracy", "calibration_error", "classes",
        )  # fmt: skip
        return {**{name: getattr(self, name) for name in names}, "confusion": self.confusion.tolist()}


def kind(records: Records, split: str) -> str:
    """What the images of a split are: 'training', 'held-out', 'validation' or 'test'.

    A user's own images are test images only if their folder is called so; else they were kept for validation.
    """
    if split == "train":
        return "training"
    if split == "val" and records.held_out:
        return "held-out"
    # A folder of images that the net was not trained on has no training images.
    return "validation" if records.dataset == "pictures" and records.num_train else "test"


def evaluate(
    train_dir: str | Path,
    *,
    checkpoint: str | Path | None = None,
    split: str = "val",
    tta: bool = False,
    data: str | Path | Records | None = None,
    allow_other_data: bool = False,
    precision: str = "auto",
    threads: int | None = None,
    progress: bool = False,
    before_tensorflow: Callable[[], object] | None = None,
) -> Evaluation:
    """Evaluates a trained net on a whole split, in a new graph.

    Args:
      train_dir: of a run of `graph_resnet.train`.
      checkpoint: a prefix such as 'runs/a/model.ckpt-5000', one of its files, a directory, or 'best'; default: the
        newest readable checkpoint of the train dir.
      split: 'val', the validation images of the training run; 'test'; or 'train', here without augmentation.
      tta: averages the logits of each image and its mirror image (test-time augmentation).
      data: directory of the record files or image folders, or `Records`; default: where they were in training.
      allow_other_data: allows data that the net was not trained with.
      precision: 'bfloat16', 'float32', or 'auto': as in training, if this machine supports it.
      threads: of one op; default all cores.
      progress: shows a bar on stderr if that is a terminal.
      before_tensorflow: called after the checks that need no TensorFlow; the commands import it quietly there.

    Raises:
      UserError: one line: no such train dir, other data, a checkpoint that does not fit, a net that diverged, ...
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r}: not one of {', '.join(SPLITS)}")
    net = config.read(train_dir)
    records = data if isinstance(data, Records) else records_of(net, data)
    config.check_data(net, records, allow_other=allow_other_data)
    precision = resolved_precision(precision, net.precision)
    if before_tensorflow is not None:
        before_tensorflow()
    from graph_resnet.inference import forward, restore
    from graph_resnet.loop import checkpoints

    notes = [*net.notes, *(f"[data]: {printable(line)}" for line in records.notes)]
    prefix = restore.find_checkpoint(train_dir, checkpoint, say=notes.append)
    step = checkpoints.step_of(prefix)  # now: a run that trains may remove it during a long evaluation
    logits, labels = forward.over_split(
        net, prefix, records, split=split, tta=tta, precision=precision, threads=threads, progress=progress
    )
    return of_logits(
        net, records, logits, labels, checkpoint=prefix, step=step, split=split, tta=tta,
        precision=precision, notes=notes,
    )  # fmt: skip


def of_logits(
    net: TrainedNet,
    records: Records,
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    checkpoint: str,
    step: int | None,
    split: str = "val",
    tta: bool = False,
    precision: str | None = None,
    notes: Sequence[str] = (),
) -> Evaluation:
    """The `Evaluation` of given logits, float32 [N, C], and int32 labels [N], in record order."""
    values = measures(logits, labels, net.class_names)
    values["confusion"] = np.array(values["confusion"], np.int64)
    return Evaluation(
        train_dir=str(net.directory),
        checkpoint=checkpoint,
        step=step,
        data=records.title,
        split=split,
        tta=tta,
        precision=precision or net.precision,
        **values,
        logits=logits,
        labels=labels,
        recipe=net.recipe.name,
        class_names=net.class_names,
        records=records,
        notes=tuple(notes),
    )


def of_training(train_dir: str | Path, records: Records, step: int, logits: np.ndarray) -> Evaluation:
    """The `Evaluation` of training's own pass over the validation images, so that both report the same numbers.

    Args:
      train_dir: of the run, with its config.json.
      records: its data.
      step: of the pass.
      logits: float [N, C], in the order of the records: see `loop.Shown.take_logits`.
    """
    net = config.read(train_dir)
    labels = record_labels(records, "val")
    checkpoint = str(Path(train_dir) / f"model.ckpt-{step}")
    return of_logits(net, records, logits.astype(np.float32), labels, checkpoint=checkpoint, step=step)


def record_labels(records: Records, split: str) -> np.ndarray:
    """The classes of a split's images, in order: int32 [N]."""
    from graph_resnet.data import batches

    _, _, count = records.split(split)
    return batches.labels(records, range(count), split).astype(np.int32)


def records_of(net: TrainedNet, data: str | Path | None = None) -> Records:
    """The data of a trained net: in `data`, or at its path in training.

    Raises:
      UserError: it is missing; the line says what to pass.
    """
    pictures = net.recipe.dataset == "pictures"
    return of_runs.for_trained(net, None if pictures else data, data if pictures else None)


def measures(logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Scores float logits [N, C] against int labels [N]: the attributes of `Evaluation`, ready for JSON."""
    ranks = metrics.ranks(logits, labels)
    matrix = metrics.confusion_matrix(labels, logits.argmax(axis=1), len(class_names))
    counts = matrix.sum(axis=1)
    return {
        "images": len(labels),
        "loss": float(metrics.cross_entropy(logits, labels).mean()),
        "accuracy": float((ranks == 0).mean()),
        "top5_accuracy": float((ranks < 5).mean()),
        "calibration_error": metrics.calibration_error(metrics.softmax(logits), labels),
        "classes": [
            {"name": name, "images": int(count), "accuracy": float(right / count) if count else None}
            for name, count, right in zip(class_names, counts, matrix.diagonal())
        ],
        "confusion": matrix.tolist(),
    }


def table(result: dict[str, Any]) -> str:
    """The result of `measures`, or of `Evaluation.as_json`, as text for a terminal."""
    lines = [
        f"loss               {result['loss']:8.4f}  nats",
        f"accuracy           {result['accuracy']:8.2%}",
        f"top-5 accuracy     {result['top5_accuracy']:8.2%}",
        f"calibration error  {result['calibration_error']:8.4f}  expected, 15 bins",
        "",
    ]
    names = [printable(record["name"]) for record in result["classes"]]
    width = max(len("class"), *map(len, names))
    lines.append(f"{'class':<{width}}  {'images':>7}  {'accuracy':>8}  most often taken for")
    for k, (name, record) in enumerate(zip(names, result["classes"])):
        accuracy = "-" if record["accuracy"] is None else f"{record['accuracy']:.2%}"
        confused = most_confused(result["confusion"], k)
        other = "-" if confused is None else f"{names[confused[0]]} {confused[1]:.1%}"
        lines.append(f"{name:<{width}}  {record['images']:>7,}  {accuracy:>8}  {other}")
    return "\n".join(lines)


def most_confused(confusion: Sequence[Sequence[int]] | np.ndarray, k: int) -> tuple[int, float] | None:
    """(class that class `k` is most often predicted as, its share of the images of `k`), None if there is none."""
    row = np.array(confusion[k])
    others = np.where(np.arange(len(row)) == k, 0, row)
    worst = int(others.argmax())
    return (worst, float(others[worst] / row.sum())) if others[worst] else None
