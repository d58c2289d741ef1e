"""Your own images, one folder per class -> records like CIFAR's, written into the cache once.

`image_listing` documents the accepted layouts. Without a validation folder, a tenth of each class (at least one image)
is kept for validation: the images whose names, hashed with a seed, rank lowest. Adding or removing an image therefore
moves almost no other image to the other side. The records of a file are in the order of such a hash, so that its start
and its end hold all classes.

A record is one label byte, then the pixels as three planes of any side, so a net for 96x96 gets 96x96. The classes are
the folders, sorted by name. Skipped files, except hidden ones, are counted in `Records.notes`. The cache is keyed by
the files' content. Typical use:

    records = image_folders.records("flowers", 96)
    train_imgs, train_labels, val_imgs, val_labels = batches.train_and_validation(records, 96, 64)
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from graph_resnet import files
from graph_resnet.data import image_cache, image_files, image_listing
from graph_resnet.data.image_cache import Image
from graph_resnet.data.image_listing import Skipped
from graph_resnet.data.records import Records, per_class
from graph_resnet.errors import UserError, reason

ENDINGS = ", ".join(image_files.ENDINGS)


def records(directory: str | Path, side: int, *, seed: int = 0) -> Records:
    """Lists the folders, writes the records into the cache if necessary, and returns `Records`.

    Args:
        directory: contains the class folders, or training and validation folders that contain them.
        side: height and width of a record's image in pixels; see `image_files.load`.
        seed: of the split, if there is no validation folder.

    Raises:
        UserError: one line that names the folder and the fix.
    """
    directory = _checked(directory)
    skipped = Skipped()
    split = image_listing.find_split(_root(directory))
    notes = list(split.notes) if split else []
    listed = image_listing.classes(split.train if split else _root(directory), skipped)
    names = tuple(listed)
    images = _read(listed, names, skipped)
    _check_enough(directory, names, images, 1 if split and split.val else 2, skipped)
    if split and split.val:
        val_listed = image_listing.classes(split.val, skipped, fewest=1)
        _check_same_classes(directory, split, names, tuple(val_listed))
        val = _read(val_listed, names, skipped)
        _check_enough(directory, names, val, 1, skipped)
        train = images
    else:
        train, val = _divided(images, len(names), seed)
        notes.append(f"a tenth of each class is kept for validation: {per_class(names, _counts(val, len(names)))}")
    notes += _duplicates(train, val) + _alike(names) + _parts(names)
    return _records(directory, side, seed, names, {"train.bin": train, "val.bin": val}, skipped, notes)


def test_set(directory: str | Path, side: int, class_names: Sequence[str]) -> Records:
    """All images of a directory of class folders, to evaluate a net on; a class may have none.

    Args:
        directory: with class folders, each named like one of the net's classes.
        side: see `records`.
        class_names: the net's, by class number.

    Returns:
        `Records` without training images.

    Raises:
        UserError: there are no images, or a folder is not one of the net's classes.
    """
    directory = _checked(directory)
    skipped = Skipped()
    listed = image_listing.classes(_root(directory), skipped, fewest=1)
    names = tuple(unicodedata.normalize("NFC", name) for name in class_names)
    unknown = [name for name in listed if name not in names]
    if unknown:
        raise UserError(
            f"dataset_dir {directory}: {image_listing.some(unknown)}: not among the net's classes "
            f"({image_listing.some(names)}); rename or remove it"
        )
    images = _read(listed, names, skipped)
    if not images:
        raise UserError(f"dataset_dir {directory}: no {ENDINGS} file in its class folders{_in_brackets(skipped)}")
    return _records(directory, side, 0, tuple(class_names), {"val.bin": images}, skipped, [])


def has_split(directory: str | Path) -> bool:
    """Whether a directory has folders for training and validation, rather than class folders.

    Raises:
        UserError: it is not a directory, or its layout is not recognized.
    """
    return image_listing.find_split(_root(_checked(directory))) is not None


def count(directory: str | Path) -> int:
    """The number of image files in a directory's class folders.

    Raises:
        UserError: it is not a directory, or has no class folders.
    """
    listed = image_listing.classes(_root(_checked(directory)), Skipped(), fewest=1)
    return sum(map(len, listed.values()))


def _checked(directory):
    """The absolute path of a readable directory with a printable name."""
    directory = Path(os.path.abspath(os.path.expanduser(str(directory))))
    try:
        os.listdir(directory)
    except FileNotFoundError:
        raise UserError(f"dataset_dir {directory}: no such directory; pass another --dataset-dir") from None
    except NotADirectoryError:
        what = "this is a file; unpack it if it is an archive, and pass the folder with the class folders"
        raise UserError(f"dataset_dir {directory}: {what}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"dataset_dir {directory}: cannot be read ({reason(error)}); change its permissions") from None
    if not directory.name.isprintable():
        raise UserError(f"dataset_dir {str(directory)!r}: unprintable characters in its name; rename it")
    return directory


def _root(directory):
    """`directory`, or its only subfolder if that has the same name."""
    return image_listing.inside(directory)


def _read(listed, names, skipped):
    """The `Image`s of `image_listing.Classes`; adds unreadable files to `skipped`."""
    labels = {unicodedata.normalize("NFC", name): label for label, name in enumerate(names)}
    labelled = [(labels[name], file) for name, class_files in listed.items() for file in class_files]
    images = []
    with ThreadPoolExecutor() as pool:
        for (label, file), digest in zip(labelled, pool.map(_digest, (file.path for _, file in labelled))):
            if isinstance(digest, bytes):
                images.append(Image(label, file, digest))
            else:
                skipped.unusable.append(f"{file.name}: {digest}")
    return images


def _digest(path):
    """The sha256 of a file, or a phrase that says why it cannot be read."""
    digest = hashlib.sha256()
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > image_files.MAX_BYTES:
                return f"{size:,} bytes, more than {image_files.MAX_BYTES:,}"
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.digest()
    except OSError as error:
        return reason(error)


def _check_enough(directory, names, images, fewest, skipped):
    """Refuses a class with fewer than `fewest` images."""
    for name, count in zip(names, _counts(images, len(names))):
        if count == 0:
            raise UserError(
                f"dataset_dir {directory}: no {ENDINGS} file in the class folder {name}{_in_brackets(skipped)}; "
                "add some, or remove it"
            )
        if count < fewest:
            raise UserError(
                f"dataset_dir {directory}: one image in the class folder {name}, not enough for training and "
                "validation; add more"
            )


def _in_brackets(skipped):
    return f" ({skipped.note()})" if skipped.note() else ""


def _check_same_classes(directory, split, train, val):
    """Refuses training and validation folders with different classes."""
    train_name, val_name = split.train.name + "/", split.val.name + "/"
    only = {
        train_name: [name for name in train if name not in val],
        val_name: [name for name in val if name not in train],
    }
    which = "; ".join(f"only in {part}: {image_listing.some(names)}" for part, names in only.items() if names)
    if which:
        raise UserError(
            f"dataset_dir {directory}: {train_name} and {val_name} hold different classes ({which}); make them equal"
        )


def _divided(images, num_classes, seed):
    """(train, val): a tenth of each class for validation, the images whose names hash lowest."""
    train, val = [], []
    for label in range(num_classes):
        of_class = _ranked([image for image in images if image.label == label], seed)
        count = max(1, len(of_class) // 10)
        val += of_class[:count]
        train += of_class[count:]
    return train, val


def _ranked(images, seed):
    """Images sorted by a hash of the seed and their names."""

    def rank(image):
        return hashlib.sha256(os.fsencode(f"{seed} {image.file.name}")).digest(), image.digest

    return sorted(images, key=rank)


def _counts(images, num_classes):
    return np.bincount(np.array([image.label for image in images], np.int64), minlength=num_classes).tolist()


def _duplicates(train, val):
    """A line about validation images that are also training images, or none."""
    trained = {image.digest for image in train}
    same = [image.file.name for image in val if image.digest in trained]
    if not same:
        return []
    return [f"{len(same):,} of {len(val):,} validation images are also training images, byte by byte, e.g. {same[0]}"]


def _alike(names):
    """A line about classes whose names differ only in case, or none. They stay separate classes."""
    lower = [name.casefold() for name in names]
    alike = [name for name in names if lower.count(name.casefold()) > 1]
    return [f"classes whose names differ only in case: {image_listing.some(alike)}"] if alike else []


def _parts(names):
    """A line about classes that are called like parts of a dataset, such as fold1 and fold2, or none."""
    words = {re.sub(r"[\W\d_]", "", name.casefold()).removesuffix("s") for name in names}
    if not words <= {"fold", "part", "batch", "chunk", "shard", "image", "img", "mask", "label", "annotation"}:
        return []
    return [f"{image_listing.some(names)} become classes, but look like parts of a dataset; "
            f"{image_listing.WANTED}"]  # fmt: skip


def _records(directory, side, seed, names, images, skipped, notes):
    """The `Records` of {file name: images}, read from the cache or written into it."""
    written = image_cache.write(directory, side, names, {name: _ranked(part, seed) for name, part in images.items()})
    skipped.unusable += written.unusable
    return Records(
        dataset="pictures",
        train=(written.directory / "train.bin",) if "train.bin" in images else (),
        test=(written.directory / "val.bin",),
        side=side,
        label_bytes=1,
        label_offset=0,
        class_names=names,
        num_train=written.counts.get("train.bin", 0),
        num_test=written.counts["val.bin"],
        directory=directory,
        notes=(*notes, *filter(None, [skipped.note()])),
    )
