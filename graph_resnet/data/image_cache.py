"""Records of image files in the cache: written once, named by a hash of their content, and checked.

written = image_cache.write(directory, 96, ("cat", "dog"), {"train.bin": images, "val.bin": others})
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from graph_resnet import files
from graph_resnet.data import image_files
from graph_resnet.data.archives import cache_directory, new_directory
from graph_resnet.data.image_listing import ImageFile
from graph_resnet.data.layouts import RecordFormat
from graph_resnet.data.records import check_file
from graph_resnet.errors import UserError, reason

VERSION = 2  # increase when the same files give different records: the cache is then written again
CHUNK = 256  # images in memory at once
INDEX = "index.json"
INDEX_BYTES = 100_000_000  # maximum size


class Image(NamedTuple):
    """An image file with its class number and the sha256 of its content."""

    label: int
    file: ImageFile
    digest: bytes


class Written(NamedTuple):
    """A directory of record files, the number of records in each, and a line for each unusable image."""

    directory: Path
    counts: dict[str, int]
    unusable: list[str]


def write(directory: Path, side: int, names: Sequence[str], images: Mapping[str, Sequence[Image]]) -> Written:
    """Finds the records of `images` in the cache, or writes them there.

    Args:
        directory: the source of the images, for the progress bar and errors.
        side: height and width of a record's image, in pixels.
        names: of the classes.
        images: {record file name: its images, in order}.

    Raises:
        UserError: a class has no usable image, or the cache is damaged.
    """
    content = [[(image.label, image.file.name, image.digest) for image in part] for part in images.values()]
    key = hashlib.sha256(repr((VERSION, side, names, content)).encode(errors="surrogateescape")).hexdigest()[:16]
    target = cache_directory() / f"images-{key}"
    if not os.path.exists(target):
        _write(target, directory, images, names, side)
    return _checked(target, images, names, side)


def _write(target, directory, images, names, side):
    """Decodes all images and writes the record files and index.json."""
    progress = {"total": sum(map(len, images.values())), "desc": f"reading {directory.name}", "unit": "image"}
    index = {"class_names": names, "counts": {}, "unusable": []}
    with new_directory(target) as draft, tqdm(**progress, leave=False, disable=None) as bar:
        for file_name, part in images.items():
            counts = [0] * len(names)
            with open(draft / file_name, "wb") as output:
                for image, pixels in zip(part, _decoded(part, side)):
                    bar.update()
                    if isinstance(pixels, UserError):
                        index["unusable"].append(str(pixels))
                    else:
                        counts[image.label] += 1
                        output.write(bytes([image.label]) + pixels.transpose(2, 0, 1).tobytes())
            _check_usable(directory, names, counts, file_name, index["unusable"])
            index["counts"][file_name] = counts
        (draft / INDEX).write_text(json.dumps(index))


def _check_usable(directory, names, counts, file_name, unusable):
    """Refuses to continue if a class has no usable training image, or if no image can be evaluated."""
    lost = [name for name, count in zip(names, counts) if not count]
    if (file_name == "train.bin" and lost) or not sum(counts):
        of_class = f" of {lost[0]}" if sum(counts) else ""
        raise UserError(
            f"dataset_dir {directory}: no image{of_class} can be used ({'; '.join(unusable[:3])}); replace them"
        )


def _checked(target, images, names, side):
    """The content of a cache directory, checked, as a `Written`."""
    fix = f"delete {target} and run again"
    try:
        index = files.read_json(target / INDEX, INDEX_BYTES)
        expected, unusable = index["counts"], [str(line) for line in index["unusable"]]
        per_file = {name: np.array(expected[name], np.int64).reshape(len(names)) for name in images}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{target / INDEX}: cannot be read ({reason(error)}); {fix}") from error
    counts = {}
    for name, part in images.items():
        form = RecordFormat("these images", {"class": len(names)}, 3 * side * side, len(part))
        counts[name] = check_file(target / name, form, target / name, fix)
        labels = np.array(np.memmap(target / name, np.uint8, mode="r")[:: form.record_bytes])
        if not np.array_equal(np.bincount(labels, minlength=len(names)), per_file[name]):
            raise UserError(f"{target / name}: the numbers of images per class differ from what was written; {fix}")
    return Written(target, counts, unusable)


def _decoded(images: Sequence[Image], side: int) -> Iterator[np.ndarray | UserError]:
    """Yields in order, for each image, uint8 [side, side, 3] or the UserError about it."""

    def load(image):
        try:
            return image_files.load(image.file.path, side, shown=image.file.name)
        except image_files.NotReadError as error:  # what is written stays: the next time the image may be readable
            raise UserError(f"{error}; fix that, or run the same command again") from error
        except UserError as error:
            return error

    with ThreadPoolExecutor() as pool:
        for first in range(0, len(images), CHUNK):
            with image_files.quiet():
                decoded = list(pool.map(load, images[first : first + CHUNK]))
            yield from decoded
