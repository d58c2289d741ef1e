"""Finds the records of a dataset in any of its forms, and checks them.

The synthetic images of `graph_resnet.data.synthetic` have CIFAR's layout, so everything after this module is shared.
Typical use:

    records = find.cifar("cifar10", data_dir)  # or a UserError: one line that says what to do
    print(records.title, records.num_train, records.train)
"""

import os
import stat
from pathlib import Path

from graph_resnet import files
from graph_resnet.data import pickles, synthetic
from graph_resnet.data.archives import cache_directory, check_unpacked, download, new_directory, unpack
from graph_resnet.data.layouts import CIFAR10, CIFAR100, LAYOUTS, NAMES_FILE_BYTES, OTHERWISE, SIDE, is_synthetic
from graph_resnet.data.records import Records, check_file, describe, same_data, sha256
from graph_resnet.errors import UserError, reason

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "LAYOUTS",
    "SIDE",
    "Records",
    "cache_directory",
    "cifar",
    "describe",
    "in_usual_places",
    "same_data",
]

GZIP = b"\x1f\x8b"  # the first bytes of every .gz file


def cifar(dataset: str = "cifar10", data_dir: str | Path | None = None, *, label: str = "fine") -> Records:
    """Finds a dataset's record files, checks them (sizes, every label) and returns `Records`.

    If `data_dir` is given, only it is searched; otherwise $CIFAR_DATA_DIR, then the cache directory, and then the
    archive is downloaded into the cache. A directory may hold the record files, the archive's folder, the archive, or
    CIFAR's pickled Python version; the last two are converted to record files in the cache. `data_dir` may also be the
    archive itself. The synthetic images are drawn once, into `data_dir` or the cache.

    Args:
        dataset: a key of `LAYOUTS`.
        data_dir: where to look.
        label: "fine", or "coarse" for the 20 superclasses of a dataset with 100 classes.

    Raises:
        UserError: no usable files, or a damaged one; the message is one line.
    """
    if dataset not in LAYOUTS:
        raise UserError(f"dataset {dataset!r}: choose one of {', '.join(LAYOUTS)}")
    layout = LAYOUTS[dataset]
    kinds = [row.kind for row in layout.labels]
    if label not in kinds:
        raise UserError(f"label {label!r}: {dataset} has only {' and '.join(kinds)} labels")
    place, directory = (_locate_synthetic if is_synthetic(dataset) else _locate)(dataset, data_dir)
    directory = Path(os.path.abspath(directory))  # a graph may be run after a chdir
    # Files that this project wrote can be deleted and written again; the user's own files must not be.
    ours = is_synthetic(dataset) or cache_directory() in directory.parents
    fix = f"delete {directory} and run again" if ours else f"put the right file there, or {OTHERWISE}"
    counts = {name: check_file(directory / name, layout.format, directory / name, fix) for name in layout.files}
    return Records(
        dataset=dataset,
        train=tuple(directory / name for name in layout.train),
        test=tuple(directory / name for name in layout.test),
        side=SIDE,
        label_bytes=len(layout.labels),
        label_offset=kinds.index(label),
        class_names=_class_names(directory, layout.labels[kinds.index(label)], dataset),
        num_train=sum(counts[name] for name in layout.train),
        num_test=sum(counts[name] for name in layout.test),
        directory=Path(os.path.abspath(place)),
    )


def drawn_folder(dataset: str) -> str:
    """Name of the directory of a synthetic dataset."""
    return f"{dataset}-{synthetic.VERSION}"


def _locate_synthetic(dataset, data_dir):
    """(the directory that was searched, that of the record files); draws the images if they are missing."""
    base = cache_directory() if data_dir is None else _path(data_dir)
    directory = base / drawn_folder(dataset)
    if not os.path.exists(directory):
        synthetic.write(directory, num_classes=len(LAYOUTS[dataset].labels[-1].names))
    return base, directory


def _locate(dataset, data_dir):
    """(the directory or archive that was searched, the directory of the record files); downloads if necessary."""
    layout = LAYOUTS[dataset]
    if data_dir is not None:
        place = _path(data_dir)
        directory = _search(place, "data_dir", layout)
        if directory is None:
            forms = f"{layout.folder}, {layout.archive} or {layout.pickle_folder}"
            fix = _other_dataset(_held(place), layout) or OTHERWISE
            raise UserError(f"data_dir {place}: holds no {layout.title} ({forms}); {fix}")
        return place, directory
    place, directory = in_usual_places(layout)
    return place, directory or download(layout, place / layout.folder)


def in_usual_places(layout):
    """(the directory that was searched, that of the record files or None): $CIFAR_DATA_DIR, then the cache."""
    if os.environ.get("CIFAR_DATA_DIR"):
        place = _path(os.environ["CIFAR_DATA_DIR"])
        directory = _search(place, "$CIFAR_DATA_DIR", layout)
        if directory is not None:
            return place, directory
    cache = cache_directory()
    return cache, _search(cache, "cache directory", layout) if os.path.lexists(cache) else None


def _path(directory):
    return Path(os.path.expanduser(directory))  # Path.expanduser raises for an unknown user


def _search(place, what, layout):
    """The directory of the record files in `place`, in any form, or None. `what` names the place in an error."""
    mode = _mode(place, what)
    if stat.S_ISREG(mode):
        _check_gzip(place, what)
        return _from_archive(place, layout)
    if not stat.S_ISDIR(mode):
        raise UserError(f"{what} {place}: neither a directory nor an archive; {OTHERWISE}")
    for directory in (place, place / layout.folder, place / layout.pickle_folder):
        if os.path.isdir(directory) and not os.access(directory, os.R_OK | os.X_OK):
            raise UserError(f"{what} {directory}: cannot be read; change its permissions")
    folder = _record_folder(place, layout)
    if folder and all(os.path.isfile(folder / name) for name in layout.files):
        return folder
    archive = place / layout.archive
    if os.path.isfile(archive):
        return _from_archive(archive, layout)
    for directory in (place / layout.pickle_folder, place):
        if all(os.path.isfile(directory / name) for name in layout.pickles[:-1]):
            return pickles.convert(directory, layout, cache_directory())
    return folder  # only some of the files: the check names the first one missing


def _mode(place, what):
    """The file mode of a path.

    Raises:
        UserError: there is none.
    """
    try:
        return os.stat(place).st_mode
    except FileNotFoundError:
        raise UserError(f"{what} {place}: no such directory; {OTHERWISE}") from None
    except PermissionError:
        # os.access, because a parent that can be listed but not searched hides its files as well.
        locked = next((d for d in reversed(place.parents) if not os.access(d, os.X_OK)), place)
        raise UserError(f"{what} {place}: cannot be read; change the permissions of {locked}") from None
    except (OSError, ValueError) as error:  # a name that is too long, a loop of links, a null byte
        raise UserError(f"{what} {place}: cannot be read ({reason(error)}); {OTHERWISE}") from None


def _record_folder(directory, layout):
    """`directory` or the archive's folder in it, whichever holds more record files; None if neither holds any."""
    folders = (directory, directory / layout.folder)
    held = [sum(os.path.lexists(folder / name) for name in layout.files) for folder in folders]
    return folders[held.index(max(held))] if any(held) else None


def _held(directory):
    """Names of all record files, of any dataset, in a directory or in an archive's folder in it."""
    layouts = (CIFAR10, CIFAR100)
    return {name for layout in layouts if (folder := _record_folder(directory, layout)) for name in os.listdir(folder)}


def _other_dataset(names, layout):
    """A hint if files of these names belong to another dataset, else None."""
    for dataset in ("cifar10", "cifar100"):
        other = LAYOUTS[dataset]
        if other.title != layout.title and names & {*other.files, *other.pickles}:
            return f"it holds {other.title}: pass --dataset {dataset}"
    return None


def _check_gzip(path, what):
    """Refuses a file that is not a gzip archive."""
    try:
        with files.open_regular(path) as file:
            begins = file.read(len(GZIP))
    except OSError as error:
        raise UserError(f"{what} {path}: cannot be read ({reason(error)}); change its permissions") from error
    if begins != GZIP:
        raise UserError(f"{what} {path}: this file is not a .tar.gz archive; pass one, or the files' directory")


def _from_archive(archive, layout):
    """The directory of an archive's record files; unpacks them into the cache if necessary."""
    target = cache_directory() / f"{layout.folder}-{sha256(archive)[:16]}"
    if not os.path.exists(target):
        with new_directory(target) as draft:
            names = unpack(archive, layout, draft)
            if not names & set(layout.files):
                hint = _other_dataset(names, layout)
                if hint:
                    raise UserError(f"{archive}: holds no {layout.title}; {hint}")
                if set(layout.pickles[:-1]) <= names:
                    _convert(draft, layout, archive)
            for name in layout.pickles:
                (draft / name).unlink(missing_ok=True)
            check_unpacked(draft, layout, archive)
    return target


def _convert(draft, layout, archive):
    """Converts the unpacked pickles in `draft`; errors name the archive instead."""
    try:
        pickles.write_records(draft, layout, draft)
    except UserError as error:
        raise UserError(str(error).replace(f"{draft}{os.sep}", f"{archive}: ")) from error


def _class_names(directory, label, dataset):
    """The class names in the file beside the records, or the official ones if there is none."""
    drawn = synthetic.CLASS_NAMES[len(label.names)]
    path = directory / label.names_file
    try:
        text = files.read(path, NAMES_FILE_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return drawn if is_synthetic(dataset) else label.names
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason(error)}); fix that, or delete it") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != len(label.names):
        raise UserError(f"{path}: {len(names)} class names, not {len(label.names)}; fix that, or delete it")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: two classes are called {twice!r:.80}; give each its own name, or delete the file")
    if names == drawn and not is_synthetic(dataset):
        raise UserError(f"{path}: synthetic images, not {LAYOUTS[dataset].title}; pass --dataset synthetic")
    return names
