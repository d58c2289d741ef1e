"""CIFAR record files: found wherever they are, in whatever form, and checked.

The drawn images of `graph_resnet.data.synthetic` have the same layout, so everything after this module is one path.
Typical use:

    records = find.cifar("cifar10", data_dir)  # a DataError is one line that the user can act on
    print(records.title, records.num_train, records.train)
"""

import os
from pathlib import Path

from graph_resnet.data import image_folders, pickles, synthetic
from graph_resnet.data.archives import cache_directory, download, new_directory, unpack
from graph_resnet.data.records import (
    CIFAR10,
    CIFAR100,
    LAYOUTS,
    NAMES_FILE_BYTES,
    OTHERWISE,
    SIDE,
    DataError,
    Records,
    check_file,
    describe,
    hold_out,
    is_synthetic,
    same_data,
    sha256,
)
from graph_resnet.errors import UserError

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "LAYOUTS",
    "SIDE",
    "DataError",
    "Records",
    "cache_directory",
    "cifar",
    "describe",
    "for_recipe",
    "record_side",
    "same_data",
]


def cifar(dataset="cifar10", data_dir=None, *, label="fine"):
    """Finds the record files of a dataset, checks them whole (sizes, every label) and returns `Records`.

    Looks in `data_dir` and nowhere else if it is given; otherwise in $CIFAR_DATA_DIR, then in the cache
    directory, and then downloads into the cache. A directory may hold the record files, the archive's folder,
    the archive, or CIFAR's pickled Python version; the last two are copied into the cache as record files.
    The synthetic pictures are drawn once, into `data_dir` or the cache.

    Args:
        dataset: a key of `LAYOUTS`.
        data_dir: str or path, or None.
        label: "fine", or "coarse" for the 20 superclasses of a dataset with 100 classes.

    Raises:
        DataError: no usable files, or a damaged one; the message is one line.
    """
    if dataset not in LAYOUTS:
        raise DataError(f"dataset {dataset!r}: choose one of {', '.join(LAYOUTS)}")
    layout = LAYOUTS[dataset]
    kinds = [each.kind for each in layout.labels]
    if label not in kinds:
        raise DataError(f"label {label!r}: {dataset} has only {' and '.join(kinds)} labels")
    directory = _locate_synthetic(dataset, data_dir) if is_synthetic(dataset) else _locate(dataset, data_dir)
    # What this project wrote is made anew when it is gone; the user's own files are the user's.
    ours = is_synthetic(dataset) or cache_directory() in directory.parents
    mend = f"delete {directory} and run again" if ours else f"put the right file there, or {OTHERWISE}"
    counts = {name: check_file(directory / name, layout, directory / name, mend) for name in layout.files}
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
    )


def _locate_synthetic(dataset, data_dir):
    base = cache_directory() if data_dir is None else _path(data_dir)
    directory = base / f"{dataset}-{synthetic.VERSION}"
    if not os.path.exists(directory):
        synthetic.write(directory, num_classes=len(LAYOUTS[dataset].labels[-1].names))
    return directory


def _locate(dataset, data_dir):
    """The directory of a dataset's record files: found, unpacked, converted or downloaded."""
    layout = LAYOUTS[dataset]
    if data_dir is not None:
        directory = _path(data_dir)
        found = _search(directory, "data_dir", layout)
        if found is None:
            other = "cifar100" if dataset == "cifar10" else "cifar10"
            is_other = _record_folder(directory, LAYOUTS[other])
            mend = f"it holds {LAYOUTS[other].title}: pass --dataset {other}" if is_other else OTHERWISE
            forms = f"{layout.folder}, {layout.archive} or {layout.pickle_folder}"
            raise DataError(f"data_dir {directory}: holds no {layout.title} ({forms}); {mend}")
        return found
    if os.environ.get("CIFAR_DATA_DIR"):
        found = _search(_path(os.environ["CIFAR_DATA_DIR"]), "$CIFAR_DATA_DIR", layout)
        if found is not None:
            return found
    cache = cache_directory()
    found = _search(cache, "cache directory", layout) if os.path.exists(cache) else None
    return found or download(layout, cache / layout.folder)


def _path(directory):
    return Path(os.path.expanduser(directory))  # Path.expanduser raises for an unknown user


def _search(directory, what, layout):
    """The directory of the record files held in any form by `directory` (`what`, in an error), or None."""
    # os.path throughout: Path.exists, is_dir and is_file raise where they may not look.
    if not os.path.exists(directory):
        raise DataError(f"{what} {directory}: no such directory; {OTHERWISE}")
    if not os.path.isdir(directory):
        raise DataError(f"{what} {directory}: this is a file; pass the directory that holds it")
    for place in (directory, directory / layout.folder, directory / layout.pickle_folder):
        if os.path.isdir(place) and not os.access(place, os.R_OK | os.X_OK):
            raise DataError(f"{what} {place}: cannot be read; change its permissions")
    folder = _record_folder(directory, layout)
    if folder and all(os.path.isfile(folder / name) for name in layout.files):
        return folder
    archive = directory / layout.archive
    if os.path.isfile(archive):
        target = cache_directory() / f"{layout.folder}-{sha256(archive)[:16]}"
        if not os.path.exists(target):
            with new_directory(target) as draft:
                unpack(archive, layout, draft)
        return target
    for folder_of_pickles in (directory / layout.pickle_folder, directory):
        if all(os.path.isfile(folder_of_pickles / Path(name).stem) for name in layout.files):
            return pickles.convert(folder_of_pickles, layout, cache_directory())
    return folder  # some of the files: the check will name the first that is missing


def _record_folder(directory, layout):
    """`directory` or the archive's folder in it, whichever holds more record files; None without any."""
    folders = (directory, directory / layout.folder)
    held = [sum(os.path.lexists(folder / name) for name in layout.files) for folder in folders]
    return folders[held.index(max(held))] if any(held) else None


def _class_names(directory, label, dataset):
    """The class names of the file beside the records, or the usual ones if there is none."""
    drawn = synthetic.CLASS_NAMES[len(label.names)]
    path = directory / label.names_file
    try:
        with path.open("rb") as file:
            text = file.read(NAMES_FILE_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return drawn if is_synthetic(dataset) else label.names
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); mend that, or delete it") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != len(label.names):
        raise DataError(f"{path}: {len(names)} class names, not {len(label.names)}; mend it, or delete it")
    if names == drawn and not is_synthetic(dataset):
        raise DataError(f"{path}: drawn pictures, not {LAYOUTS[dataset].title}; pass --dataset synthetic")
    return names


def record_side(recipe):
    """Height and width, in pixels, of the pictures in a recipe's records."""
    return recipe.image_size if recipe.dataset == "pictures" else SIDE


def for_recipe(recipe, data_dir=None, dataset_dir=None, held_out=0):
    """The records of a recipe.

    Args:
      recipe: `recipes.Recipe`; its dataset says which of the two directories is looked at.
      data_dir: str or path, see `cifar`, or None.
      dataset_dir: str or path, see `image_folders.records`, for the dataset 'pictures'.
      held_out: int, how many training records to validate on: see `records.hold_out`.

    Returns:
      `Records`.

    Raises:
      UserError: one line that names what is missing or wrong, and the mend.
    """
    return hold_out(_all_records(recipe, data_dir, dataset_dir), held_out)


def _all_records(recipe, data_dir, dataset_dir):
    if recipe.dataset != "pictures":
        if dataset_dir is not None:
            raise UserError(f"dataset_dir {dataset_dir}: the net's dataset is {recipe.dataset}; pass --data-dir")
        return cifar(recipe.dataset, data_dir, label=recipe.label)
    if data_dir is not None or dataset_dir is None:
        what = "dataset 'pictures'" if data_dir is None else f"data_dir {data_dir}: the net's dataset is pictures"
        raise UserError(f"{what}; pass --dataset-dir DIR, with one folder of pictures a class")
    if recipe.label != "fine":
        raise UserError(f"label {recipe.label!r}: pictures in folders have only fine labels")
    return image_folders.records(dataset_dir, record_side(recipe))
