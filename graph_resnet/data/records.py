"""Records: checked record files, their split into training and validation, and a description to recognize them by.

A record is its label bytes, then the pixels of an image as three planes: red, green, blue. `graph_resnet.data.find`
finds them.
"""

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from graph_resnet import files
from graph_resnet.data.layouts import CIFAR10, CIFAR100, LAYOUTS, RecordFormat, is_synthetic
from graph_resnet.errors import UserError

LISTED = 10  # up to this many classes, each one's number of images is listed


@dataclass(frozen=True)
class Records:
    """Checked record files: each record is `label_bytes` labels, then uint8 pixels [3, side, side].

    Attributes:
        dataset: "cifar10", "cifar100", "synthetic", "synthetic100", or "pictures" (`graph_resnet.data.image_folders`).
        train, test: files in record order; `train` is empty for a folder of images that is only evaluated.
        side: height and width of an image, in pixels.
        label_bytes: 1, or 2 (coarse, fine) with 100 classes.
        label_offset: which label byte is the class.
        class_names: by class number.
        num_train, num_test: number of records to train on, and in all of `test`.
        directory: absolute path to pass as --data-dir or --dataset-dir to find the same records again.
        held_out: number of records at the end of `train` used for validation instead of `test`: see `hold_out`.
        notes: lines for the user: what was skipped, how many images of each class are held out.
    """

    dataset: str
    train: tuple[Path, ...]
    test: tuple[Path, ...]
    side: int
    label_bytes: int
    label_offset: int
    class_names: tuple[str, ...]
    num_train: int
    num_test: int
    directory: Path | None = None
    held_out: int = 0
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[tuple[Path, ...], int, int]:
        """(paths, first, count) of a split: `count` records, starting at number `first` of those in `paths`.

        'train' are the records to train on, 'test' the test records, 'val' the held-out ones or else the test records.

        Raises:
            UserError: there are no training images.
        """
        if name == "train":
            if not self.num_train:
                raise UserError(f"split 'train': {self.title} are only measured; pass --split val")
            return self.train, 0, self.num_train
        if name == "val" and self.held_out:
            return self.train, self.num_train, self.held_out
        return self.test, 0, self.num_test

    def class_counts(self, split: str) -> np.ndarray:
        """int64 [num_classes]: the number of records of each class in a split."""
        paths, first, count = self.split(split)
        rows = [np.memmap(path, np.uint8, mode="r").reshape(-1, self.record_bytes) for path in paths]
        labels = np.concatenate([np.array(part[:, self.label_offset]) for part in rows])
        return np.bincount(labels[first : first + count], minlength=self.num_classes)

    @property
    def num_val(self) -> int:
        return self.held_out or self.num_test

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def record_bytes(self) -> int:
        return self.label_bytes + 3 * self.side * self.side

    @property
    def label(self) -> str:
        """'fine' or 'coarse'."""
        return "fine" if self.dataset == "pictures" else LAYOUTS[self.dataset].labels[self.label_offset].kind

    @property
    def title(self) -> str:
        """The name for results, such as "CIFAR-100 (20 superclasses)" or "synthetic (10 classes)"."""
        count = f" ({self.num_classes} {'superclasses' if self.label == 'coarse' else 'classes'})"
        if is_synthetic(self.dataset):
            return "synthetic" + count
        if self.dataset == "pictures":
            return f"images in {self.directory.name}" + count
        return LAYOUTS[self.dataset].title + (count if self.label == "coarse" else "")


def hold_out(records: Records, count: int) -> Records:
    """`Records` that use their last `count` training records for validation instead of training.

    Raises:
        UserError: nothing would be left to train on.
    """
    if not count:
        return records
    if not 0 < count < records.num_train:
        raise UserError(f"hold-out {count}: {records.title} has {records.num_train:,} training records; hold out fewer")
    held = replace(records, num_train=records.num_train - count, held_out=count)
    note = f"held out of each class: {per_class(records.class_names, held.class_counts('val'))}"
    return replace(held, notes=(*records.notes, note))


def per_class(names: Sequence[str], counts: Sequence[int]) -> str:
    """The number of images per class, in short: '3 cat, 2 dog', or '40 (whale) to 61 (apple)' for many classes."""
    if len(names) <= LISTED:
        return ", ".join(f"{count} {name}" for name, count in zip(names, counts))
    fewest, most = int(np.argmin(counts)), int(np.argmax(counts))
    return f"{counts[fewest]} ({names[fewest]}) to {counts[most]} ({names[most]})"


def check_file(path: Path, form: RecordFormat, shown: object, fix: str) -> int:
    """Checks a file's size and every label, and returns its number of records.

    Errors call the file `shown` and end with `fix`.

    Raises:
        UserError: it is missing, damaged, not a regular file, larger than its dataset, or of another dataset.
    """
    try:
        count = _record_count(path, form, shown, fix)
        records = np.memmap(path, np.uint8, mode="r", shape=(count, form.record_bytes))
        for offset, (kind, classes) in enumerate(form.classes.items()):
            labels = np.array(records[:, offset])
            wrong = np.flatnonzero(labels >= classes)
            if wrong.size:
                what = f"record {wrong[0]} has {kind} label {labels[wrong[0]]}"
                raise UserError(f"{shown}: {what}, the largest is {classes - 1}; {fix}")
    except FileNotFoundError as error:
        raise UserError(f"{shown}: missing; {fix}") from error
    except OSError as error:
        raise UserError(f"{shown}: cannot be read ({error.strerror or error}); {fix}") from error
    return count


def _record_count(path, form, shown, fix):
    """The number of records in a file, from its size."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{shown}: not a regular file; {fix}")
    if status.st_size == 0:
        raise UserError(f"{shown}: empty; {fix}")
    count, over = divmod(status.st_size, form.record_bytes)
    for other in (CIFAR10, CIFAR100):
        if over and status.st_size % other.record_bytes == 0:
            raise UserError(f"{shown}: holds {other.title} records, not {form.title}; {fix}")
    if over:
        whole = f"{count:,} records of {form.record_bytes:,} bytes"
        raise UserError(f"{shown}: cut off or damaged, {over:,} bytes over {whole}; {fix}")
    if count > form.max_records:
        raise UserError(f"{shown}: {count:,} records, a file of {form.title} has at most {form.max_records:,}; {fix}")
    return count


def sha256(*paths: Path) -> str:
    """The sha256 of the bytes of all files, one after another, as a hex string.

    Raises:
        UserError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with files.open_regular(path) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); change its permissions") from error
    return digest.hexdigest()


def describe(records: Records) -> dict:
    """A dict for config.json: `same_data` compares the files; the directory says where to find them."""
    described = []
    for path in records.train + records.test:
        size = path.stat().st_size
        about = {"name": path.name, "bytes": size, "records": size // records.record_bytes, "sha256": sha256(path)}
        described.append(about)
    about = {"dataset": records.dataset, "label": records.label, "num_classes": records.num_classes}
    if records.directory:
        about["directory"] = str(records.directory)
    return {**about, "files": described}


def same_data(old: dict, new: dict) -> str | None:
    """None if two results of `describe` are of the same data, in any directory, else the first difference."""
    for key in ("dataset", "label", "num_classes"):
        if old.get(key) != new.get(key):
            return f"{key} was {old.get(key)!r}, is {new.get(key)!r}"
    before, after = ({file["name"]: file for file in about.get("files", ())} for about in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            return f"file {name} is {'new' if name in after else 'gone'}"
        for key in ("bytes", "records", "sha256"):
            if before[name].get(key) != after[name].get(key):
                return f"{key} of {name} was {before[name].get(key)}, is {after[name].get(key)}"
    return None
