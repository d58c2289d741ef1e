"""CIFAR records: their layout on disk, the check of a file, and the description by which data is known again.

CIFAR-10 is six files of 3,073-byte records (one label byte, then 32x32 pixels as three planes: red, green, blue);
CIFAR-100 is two files of 3,074-byte records (coarse label, fine label, pixels): see
https://www.cs.toronto.edu/~kriz/cifar.html. `graph_resnet.data.find` finds them.
"""

import hashlib
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from graph_resnet.errors import UserError

SIDE = 32
PIXEL_BYTES = SIDE * SIDE * 3
NAMES_FILE_BYTES = 65536  # the most that is read of a file of class names
OTHERWISE = "pass --data-dir DIR with the files, or --dataset synthetic"

CIFAR10_NAMES = tuple(str.split("airplane automobile bird cat deer dog frog horse ship truck"))
CIFAR100_COARSE_NAMES = tuple(
    str.split("""
    aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
    household_furniture insects large_carnivores large_man-made_outdoor_things
    large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates
    people reptiles small_mammals trees vehicles_1 vehicles_2
    """)
)
CIFAR100_FINE_NAMES = tuple(
    str.split("""
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
    can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter
    palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
    rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower
    sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
    """)
)


class DataError(UserError):
    """Data that cannot be used: one line that names the file, directory or value at fault, and the mend."""

    def __init__(self, message):
        # A file name, or a name inside a hostile file, may hold line breaks and terminal codes.
        super().__init__("".join(each if each.isprintable() else "?" for each in message))


@dataclass(frozen=True)
class Label:
    """A label byte of a record: its kind, the file and official names of its classes, its key in a pickle."""

    kind: str
    names_file: str
    names: tuple
    pickle_key: str


@dataclass(frozen=True)
class Layout:
    """The official files of a dataset, its label bytes in record order, and where it comes from.

    `max_records` is the most that a file holds; `size` (bytes) and `sha256` are of the archive at `url`.
    """

    title: str
    folder: str
    train: tuple
    test: tuple
    labels: tuple
    max_records: int
    url: str
    size: int
    sha256: str
    pickle_folder: str
    pickle_meta: str

    @property
    def record_bytes(self):
        return len(self.labels) + PIXEL_BYTES

    @property
    def files(self):
        return self.train + self.test

    @property
    def archive(self):
        return self.url.rpartition("/")[2]


CIFAR10 = Layout(
    title="CIFAR-10",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test=("test_batch.bin",),
    labels=(Label("fine", "batches.meta.txt", CIFAR10_NAMES, "labels"),),
    max_records=10_000,
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    pickle_folder="cifar-10-batches-py",
    pickle_meta="batches.meta",
)
CIFAR100 = Layout(
    title="CIFAR-100",
    folder="cifar-100-binary",
    train=("train.bin",),
    test=("test.bin",),
    labels=(
        Label("coarse", "coarse_label_names.txt", CIFAR100_COARSE_NAMES, "coarse_labels"),
        Label("fine", "fine_label_names.txt", CIFAR100_FINE_NAMES, "fine_labels"),
    ),
    max_records=50_000,
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    size=168_513_733,
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    pickle_folder="cifar-100-python",
    pickle_meta="meta",
)
LAYOUTS = {"cifar10": CIFAR10, "cifar100": CIFAR100, "synthetic": CIFAR10, "synthetic100": CIFAR100}


def is_synthetic(dataset):
    """Whether a dataset is of drawn pictures."""
    return dataset.startswith("synthetic")


@dataclass(frozen=True)
class Records:
    """Checked record files: each record is `label_bytes` labels, then uint8 pixels [3, side, side].

    Attributes:
        dataset: "cifar10", "cifar100", "synthetic", "synthetic100", or "pictures" (`graph_resnet.data.image_folders`).
        train, test: tuples of pathlib.Path, in record order.
        side: height and width of a picture, in pixels.
        label_bytes: 1, or 2 (coarse, fine) with 100 classes.
        label_offset: which of the label bytes is the class.
        class_names: tuple of str, by class number.
        num_train, num_test: records to train on, and in all of `test`.
        directory: pathlib.Path of the folders that "pictures" were made from.
        held_out: how many records at the end of `train` are kept for validation, in place of `test`: see `hold_out`.
    """

    dataset: str
    train: tuple
    test: tuple
    side: int
    label_bytes: int
    label_offset: int
    class_names: tuple
    num_train: int
    num_test: int
    directory: Path | None = None
    held_out: int = 0

    def split(self, name):
        """(paths, first, count) of a split: its records are `count` from number `first` on in those of `paths`.

        'train' are those to train on, 'test' the test records, 'val' those that were held out or else the test records.
        """
        if name == "train":
            return self.train, 0, self.num_train
        if name == "val" and self.held_out:
            return self.train, self.num_train, self.held_out
        return self.test, 0, self.num_test

    @property
    def num_val(self):
        return self.held_out or self.num_test

    @property
    def num_classes(self):
        return len(self.class_names)

    @property
    def record_bytes(self):
        return self.label_bytes + 3 * self.side * self.side

    @property
    def label(self):
        """'fine' or 'coarse'."""
        return "fine" if self.dataset == "pictures" else LAYOUTS[self.dataset].labels[self.label_offset].kind

    @property
    def title(self):
        """What to show beside a result, such as "CIFAR-100 (20 superclasses)" or "synthetic (10 classes)"."""
        count = f" ({self.num_classes} {'superclasses' if self.label == 'coarse' else 'classes'})"
        if is_synthetic(self.dataset):
            return "synthetic" + count
        if self.dataset == "pictures":
            return f"pictures in {self.directory.name}" + count
        return LAYOUTS[self.dataset].title + (count if self.label == "coarse" else "")


def hold_out(records, count):
    """`Records` that validate on their last `count` training records, and do not train on them.

    Raises:
        DataError: nothing would be left to train on.
    """
    if not 0 <= count < records.num_train:
        raise DataError(f"hold-out {count}: {records.title} has {records.num_train:,} training records; hold out fewer")
    return replace(records, num_train=records.num_train - count, held_out=count)


def check_file(path, layout, shown, mend):
    """The number of records of one file, after a look at its size and every label.

    An error calls the file `shown` and ends with `mend`.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{shown}: not a regular file; {mend}")
        if status.st_size == 0:
            raise DataError(f"{shown}: empty; {mend}")
        count, over = divmod(status.st_size, layout.record_bytes)
        other = CIFAR100 if len(layout.labels) == 1 else CIFAR10
        if over and status.st_size % other.record_bytes == 0:
            raise DataError(f"{shown}: holds {other.title} records, not {layout.title}; {mend}")
        if over:
            whole = f"{count:,} records of {layout.record_bytes:,} bytes"
            raise DataError(f"{shown}: cut off or damaged, {over:,} bytes over {whole}; {mend}")
        records = np.memmap(path, np.uint8, mode="r", shape=(count, layout.record_bytes))
        for offset, label in enumerate(layout.labels):
            labels = np.array(records[:, offset])
            wrong = np.flatnonzero(labels >= len(label.names))
            if wrong.size:
                what = f"record {wrong[0]} has {label.kind} label {labels[wrong[0]]}"
                raise DataError(f"{shown}: {what}, the largest is {len(label.names) - 1}; {mend}")
    except FileNotFoundError as error:
        raise DataError(f"{shown}: missing; {mend}") from error
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror or error}); {mend}") from error
    return count


def sha256(*paths):
    """The sha256 of the bytes of all files, one after another, as a hex string.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); change its permissions") from error
    return digest.hexdigest()


def describe(records):
    """A dict for a config.json by which `same_data` tells whether a later run has the same data, wherever it is."""
    files = []
    for path in records.train + records.test:
        digest, size = sha256(path), path.stat().st_size
        count = size // records.record_bytes
        files.append({"name": path.name, "bytes": size, "records": count, "sha256": digest})
    about = {"dataset": records.dataset, "label": records.label, "num_classes": records.num_classes}
    if records.directory:
        about["directory"] = str(records.directory)
    return {**about, "files": files}


def same_data(old, new):
    """None if two results of `describe` are of the same data, else a phrase for the first difference."""
    for key in ("dataset", "label", "num_classes"):
        if old.get(key) != new.get(key):
            return f"{key} was {old.get(key)!r}, is {new.get(key)!r}"
    before, after = ({file["name"]: file for file in each.get("files", ())} for each in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            return f"file {name} is {'new' if name in after else 'gone'}"
        for key in ("bytes", "records", "sha256"):
            if before[name].get(key) != after[name].get(key):
                return f"{key} of {name} was {before[name].get(key)}, is {after[name].get(key)}"
    return None
