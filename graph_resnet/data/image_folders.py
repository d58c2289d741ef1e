"""Pictures of one's own, one folder a class -> records like CIFAR's, written into the cache once.

    flowers/train/daisy/*.jpg            flowers/daisy/*.jpg
    flowers/train/tulip/*.jpg     or     flowers/tulip/*.jpg
    flowers/val/daisy/*.jpg
    flowers/val/tulip/*.jpg

In the second form a tenth of each class, at least one picture, is kept for validation: those whose names hash lowest
together with a seed. A picture more or less thus moves hardly any other to the other side.

A record is one label byte, then pixels as three planes; its side is free, so that a net that sees 96x96 gets 96x96. The
classes are the folders in the order of their names. Whatever is hidden (`.name`) or has no picture's ending is passed
over; a picture that cannot be decoded is an error. Typical use:

    records = image_folders.records("flowers", 96)
    train_imgs, train_labels, val_imgs, val_labels = batches.train_and_validation(records, 96, 64)
"""

import hashlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from graph_resnet.data import image_files
from graph_resnet.data.archives import cache_directory, new_directory
from graph_resnet.data.records import DataError, Records
from graph_resnet.errors import UserError

VERSION = 1  # to be raised when a picture becomes other pixels than before: the cache is then made anew
MOST_CLASSES = 256  # that a label byte tells apart
CHUNK = 256  # pictures in memory at once
SHOWN = 4  # names of each kind in an error
WANTED = "one folder of pictures a class is wanted, in it or in its train/ and val/"


def records(directory, side, *, seed=0):
    """Lists the folders, writes the records into the cache unless they are there, and returns `Records`.

    Args:
        directory: str or path, with the class folders or with train/ and val/ that have them.
        side: int, height and width of a record's picture in pixels; `image_files.load` says how it is made.
        seed: int, of the split where there is no train/ and val/.

    Raises:
        DataError: one line that names the folder or the picture at fault, and the mend.
    """
    directory = Path(os.path.abspath(os.path.expanduser(str(directory))))
    train, val = _listing(directory, seed)
    # Whoever adds, removes or changes a picture gets new records.
    key = hashlib.sha256(repr((VERSION, side, seed, train, val)).encode()).hexdigest()[:16]
    target = cache_directory() / f"pictures-{key}"
    if not os.path.exists(target):
        _write(target, directory, {"train.bin": train, "val.bin": val}, side)
    found = Records(
        dataset="pictures",
        train=(target / "train.bin",),
        test=(target / "val.bin",),
        side=side,
        label_bytes=1,
        label_offset=0,
        class_names=tuple(train),
        num_train=sum(map(len, train.values())),
        num_test=sum(map(len, val.values())),
        directory=directory,
    )
    for (path,), count in ((found.train, found.num_train), (found.test, found.num_test)):
        if not os.path.isfile(path) or os.path.getsize(path) != count * found.record_bytes:
            raise DataError(f"{path}: does not hold {count:,} records; delete {target} and run again")
    return found


def _listing(directory, seed):
    """(train, val): each a dict from class name to a list of (path below `directory`, bytes, mtime in ns), sorted."""
    if not os.path.isdir(directory):
        what = "this is a file" if os.path.exists(directory) else "no such directory"
        raise DataError(f"dataset_dir {directory}: {what}; pass another --dataset-dir")
    if not directory.name.isprintable():
        raise DataError(f"dataset_dir {str(directory)!r}: unprintable characters in its name; rename it")
    if {"train", "val"} <= set(_folders(directory)):
        train, val = _classes(directory, "train/"), _classes(directory, "val/")
        only = [(here, sorted(a.keys() - b.keys())) for here, a, b in (("train/", train, val), ("val/", val, train))]
        if any(names for _, names in only):
            which = "; ".join(f"only in {here}: {_some(names)}" for here, names in only if names)
            raise DataError(f"dataset_dir {directory}: train/ and val/ hold different classes ({which}); mend that")
        return train, val
    classes = _classes(directory)
    for name, files in classes.items():
        if len(files) == 1:
            raise DataError(f"{directory / name}: one picture, not enough for training and validation; add more")
    parts = {name: _split(files, seed) for name, files in classes.items()}
    return tuple({name: sorted(part[i]) for name, part in parts.items()} for i in (0, 1))


def _split(files, seed):
    """(train, val), the files of one class: a tenth for validation."""
    ranked = sorted(files, key=lambda file: hashlib.sha256(os.fsencode(f"{seed} {file[0]}")).digest())
    count = max(1, len(files) // 10)
    return ranked[count:], ranked[:count]


def _classes(directory, part=""):
    """The dict of `_listing` for the class folders in `directory`, or in its 'train/' or 'val/'."""
    names = _folders(directory / part)
    where = f"dataset_dir {directory / part}"
    if not names:
        raise DataError(f"{where}: no class folders; {WANTED}")
    if len(names) == 1:
        raise DataError(f"{where}: only one class folder, {names[0]}; {WANTED}")
    if len(names) > MOST_CLASSES:
        raise DataError(f"{where}: {len(names):,} class folders; a label byte tells {MOST_CLASSES} apart at most")
    for name in names:
        if not name.isprintable():
            raise DataError(f"{where}: unprintable characters in the class name {name!r}; rename the folder")
    return {name: _pictures(directory, part + name) for name in names}


def _pictures(directory, folder):
    """A value of `_classes`."""
    found = []
    for entry in _entries(directory / folder):
        # A dangling link or a pipe counts too, so that it is complained about and not passed over.
        if os.path.splitext(entry.name)[1].lower() in image_files.ENDINGS and not os.path.isdir(entry):
            try:
                status = entry.stat()
            except OSError as error:
                raise DataError(f"{entry.path}: cannot be read ({error.strerror}); mend or remove it") from error
            found.append((f"{folder}/{entry.name}", status.st_size, status.st_mtime_ns))
    if not found:
        endings = ", ".join(image_files.ENDINGS)
        raise DataError(f"{directory / folder}: no {endings} file in this class folder; add some, or remove it")
    return sorted(found)


def _folders(directory):
    return sorted(entry.name for entry in _entries(directory) if os.path.isdir(entry))


def _entries(directory):
    """What is in a directory and not hidden."""
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{directory}: cannot be read ({error.strerror}); change its permissions") from error


def _write(target, directory, listings, side):
    """Decodes all pictures and writes a record file for each of `listings`, {file name: `_listing`'s train or val}."""
    total = sum(len(files) for listing in listings.values() for files in listing.values())
    failures = []
    progress = {"total": total, "desc": f"reading {directory.name}", "unit": "picture"}
    with new_directory(target) as draft, tqdm(**progress, leave=False, disable=None) as bar:
        for name, listing in listings.items():
            paths = [directory / path for files in listing.values() for path, _, _ in files]
            labels = [label for label, files in enumerate(listing.values()) for _ in files]
            with open(draft / name, "wb") as records:
                for label, picture in zip(labels, _decoded(paths, side)):
                    if isinstance(picture, UserError):
                        failures.append(picture)
                    else:
                        records.write(bytes([label]) + picture.transpose(2, 0, 1).tobytes())
                    bar.update()
        if failures:
            count = f"{len(failures):,} of {total:,} pictures cannot be used"
            raise DataError(f"{failures[0]}; {count}: mend or remove {'it' if len(failures) == 1 else 'them'}")
        names = "".join(f"{name}\n" for name in listings["train.bin"])
        (draft / "class_names.txt").write_bytes(names.encode())


def _decoded(paths, side):
    """Yields in order, for each path, its picture as uint8 [side, side, 3] or the UserError about it."""

    def load(path):
        try:
            return image_files.load(path, side)
        except UserError as error:
            return error

    with ThreadPoolExecutor() as pool:
        for first in range(0, len(paths), CHUNK):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's: a damaged file is an error here
                decoded = list(pool.map(load, paths[first : first + CHUNK]))
            yield from decoded


def _some(names):
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
