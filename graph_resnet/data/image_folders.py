"""Images of one's own, one folder a class -> records like CIFAR's, written into the cache once.

`image_listing` says which layouts are understood. Without a folder for validation a tenth of each class, at least one
image, is kept for it: those whose names hash lowest together with a seed. An image more or less thus moves hardly any
other to the other side. The records of a file are in the order of such a hash, so that its first and its last ones are
of all classes.

A record is one label byte, then pixels as three planes; its side is free, so that a net that sees 96x96 gets 96x96. The
classes are the folders in the order of their names. What is skipped, hidden files aside, is counted in
`Records.notes`. The cache is keyed by the content of the files. Typical use:

    records = image_folders.records("flowers", 96)
    train_imgs, train_labels, val_imgs, val_labels = batches.train_and_validation(records, 96, 64)
"""

import hashlib
import os
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
    """Lists the folders, writes the records into the cache unless they are there, and returns `Records`.

    Args:
        directory: with the class folders, or with folders for training and validation that have them.
        side: height and width of a record's image in pixels; `image_files.load` says how it is made.
        seed: of the split, where there is no folder for validation.

    Raises:
        UserError: one line that names the folder at fault, and the fix.
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
        notes.append(f"a tenth of each class is not trained on: {per_class(names, _counts(val, len(names)))}")
    notes += _duplicates(train, val) + _alike(names)
    return _records(directory, side, seed, names, {"train.bin": train, "val.bin": val}, skipped, notes)


def test_set(directory: str | Path, side: int, class_names: Sequence[str]) -> Records:
    """All images of a directory of class folders, to measure a net on; a class need not have any.

    Args:
        directory: with class folders, each of the name of one of the net's classes.
        side: see `records`.
        class_names: the net's, by class number.

    Returns:
        `Records` without any for training.

    Raises:
        UserError: there are no images, or a folder is none of the net's classes.
    """
    directory = _checked(directory)
    skipped = Skipped()
    listed = image_listing.classes(_root(directory), skipped, fewest=1)
    names = tuple(unicodedata.normalize("NFC", name) for name in class_names)
    unknown = [name for name in listed if name not in names]
    if unknown:
        raise UserError(
            f"dataset_dir {directory}: {image_listing.some(unknown)}: none of the net's classes "
            f"({image_listing.some(names)}); rename or remove it"
        )
    images = _read(listed, names, skipped)
    if not images:
        raise UserError(f"dataset_dir {directory}: no {ENDINGS} file in its class folders{_in_brackets(skipped)}")
    return _records(directory, side, 0, tuple(class_names), {"val.bin": images}, skipped, [])


def has_split(directory: str | Path) -> bool:
    """Whether a directory has folders for training and validation, rather than class folders.

    Raises:
        UserError: it is no directory, or one that is not understood.
    """
    return image_listing.find_split(_root(_checked(directory))) is not None


def count(directory: str | Path) -> int:
    """How many image files are in a directory's class folders.

    Raises:
        UserError: it is no directory, or there are no class folders.
    """
    listed = image_listing.classes(_root(_checked(directory)), Skipped(), fewest=1)
    return sum(map(len, listed.values()))


def _checked(directory):
    """The absolute path of a directory that can be read and shown."""
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
    """Where the folders are: in `directory`, or in the only folder of the same name in it."""
    return image_listing.inside(directory)


def _read(listed, names, skipped):
    """The `Image`s of `image_listing.Classes`; files that cannot be read are added to `skipped`."""
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
    """The sha256 of a file's content, or a few words that say why it cannot be read."""
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
    here, there = split.train.name + "/", split.val.name + "/"
    only = [(here, [name for name in train if name not in val]), (there, [name for name in val if name not in train])]
    which = "; ".join(f"only in {part}: {image_listing.some(names)}" for part, names in only if names)
    if which:
        raise UserError(f"dataset_dir {directory}: {here} and {there} hold different classes ({which}); make them one")


def _divided(images, num_classes, seed):
    """(train, val): of each class a tenth for validation, the images whose names hash lowest."""
    train, val = [], []
    for label in range(num_classes):
        of_class = _ranked([image for image in images if image.label == label], seed)
        count = max(1, len(of_class) // 10)
        val += of_class[:count]
        train += of_class[count:]
    return train, val


def _ranked(images, seed):
    """Images in the order of a hash of the seed and of their names."""

    def rank(image):
        return hashlib.sha256(os.fsencode(f"{seed} {image.file.name}")).digest(), image.digest

    return sorted(images, key=rank)


def _counts(images, num_classes):
    return np.bincount(np.array([image.label for image in images], np.int64), minlength=num_classes).tolist()


def _duplicates(train, val):
    """A line about validation images that are training images, too, or none."""
    trained = {image.digest for image in train}
    same = [image.file.name for image in val if image.digest in trained]
    if not same:
        return []
    return [f"{len(same):,} of {len(val):,} validation images are training images, byte by byte, such as {same[0]}"]


def _alike(names):
    """A line about classes whose names differ in capital letters alone, or none: letters do, cat and Cat should not."""
    lower = [name.casefold() for name in names]
    alike = [name for name in names if lower.count(name.casefold()) > 1]
    return [f"classes that differ in capitals alone: {image_listing.some(alike)}"] if alike else []


def _records(directory, side, seed, names, images, skipped, notes):
    """The `Records` of some images, {file name: images}, out of the cache or written into it."""
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
