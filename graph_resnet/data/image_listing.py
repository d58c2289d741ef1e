"""Which files of a directory are images of which class: recognizes the layout and counts what it skips.

    flowers/train/daisy/*.jpg            flowers/daisy/*.jpg
    flowers/train/tulip/*.jpg     or     flowers/tulip/*.jpg
    flowers/val/daisy/*.jpg
    flowers/val/tulip/*.jpg

The parts may have many names (`PARTS`): Train and Val, training and testing, seg_train and seg_test, train alone.
Without a validation folder, a test folder with classes takes its place. Folders that look like such parts but do not
fit are an error, because nobody wants a net that distinguishes "train" from "test".
"""

import os
import re
import stat
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from graph_resnet import locks
from graph_resnet.data import image_files
from graph_resnet.errors import UserError, reason

MOST_CLASSES = 256  # of one label byte
SHOWN = 4  # names of each kind in an error
WANTED = "expected one folder of images per class, in it or in its train/ and val/"
PARTS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "tst", "holdout", "heldout"),
}
FILLERS = ("set", "data", "dataset", "images", "image", "imgs", "img", "folder", "split", "pictures", "photos")


class ImageFile(NamedTuple):
    """The path of an image file, and its name "class/file name" in NFC, the same on every system."""

    path: str
    name: str


Classes = dict[str, list[ImageFile]]  # by class name, in order


@dataclass
class Skipped:
    """What is skipped in a directory: counts by kind, and the reasons for unusable files."""

    files: Counter = field(default_factory=Counter)
    others: Counter = field(default_factory=Counter)
    unusable: list[str] = field(default_factory=list)

    def note(self) -> str | None:
        """All of it in one line, or None."""
        parts = [image_files.counted(self.files)] if self.files else []
        parts += [f"{count:,} {kind}{'s' if count > 1 else ''}" for kind, count in self.others.items()]
        if self.unusable:
            files = "file" if len(self.unusable) == 1 else "files"
            parts.append(f"{len(self.unusable):,} {files} that cannot be used ({'; '.join(self.unusable[:3])}"
                         f"{', ...' if len(self.unusable) > 3 else ''})")  # fmt: skip
        return f"skipped {', '.join(parts)}" if parts else None


class Split(NamedTuple):
    """The folders that hold the class folders; `val` is None if `train` is to be divided."""

    train: Path
    val: Path | None
    notes: list[str]


def find_split(directory: Path) -> Split | None:
    """The training and validation folders of a directory, or None if its folders are classes.

    Raises:
        UserError: its folders look like parts of a dataset, but do not fit together.
    """
    names = folders(directory)
    parts = _parts(directory, names)
    if not parts:
        return None
    where = f"dataset_dir {directory}"
    for members in parts.values():
        if len(members) > 1:
            raise UserError(f"{where}: {some(members)} look like the same part of the data; merge or rename them")
    train, val, test = (parts[kind][0] if kind in parts else None for kind in PARTS)
    if train is None:
        name = val or test
        fix = f"rename {name}/ if it is a class"
        if folders(inside(directory / name)):
            fix = f"to use its images alone, pass {directory / name}"
        raise UserError(f"{where}: holds {name}/ but no train/; {WANTED}; {fix}")
    for name in filter(None, (train, val)):
        if not folders(inside(directory / name)):
            raise UserError(f"{where}: {name}/ holds no class folders; {WANTED}, such as {name}/CLASS/*.jpg")
    notes = []
    if val is None and test and folders(inside(directory / test)):
        val, test = test, None
        notes.append(f"{val}/ is used for validation, as there is no val/")
    left_out = [name for name in names if name not in (train, val)]
    if left_out:
        notes.append(f"{some([f'{name}/' for name in left_out])} of {directory.name} not used")
    return Split(inside(directory / train), inside(directory / val) if val else None, notes)


def _parts(directory, names):
    """{'train' | 'val' | 'test': folder names}, in the order of `PARTS`; empty if the folders are classes."""
    by_rest = defaultdict(lambda: {kind: [] for kind in PARTS})  # seg_train and seg_test have the rest "seg"
    for name in names:
        kind, rest = _part(name)
        if kind:
            by_rest[rest][kind].append(name)
    exact = {kind: members for kind, members in by_rest.pop("", {}).items() if members}
    if exact:
        return {} if _is_class(directory, exact, names) else exact
    for parts in by_rest.values():
        if parts["train"] and (parts["val"] or parts["test"]):
            return {kind: members for kind, members in parts.items() if members}
    kinds = {_part(name)[0] for name in names}
    if len(kinds) > 1 and None not in kinds:
        raise UserError(
            f"dataset_dir {directory}: {some(names)} look like parts of a dataset, not like classes; {WANTED}"
        )
    return {}


def _part(name):
    """('train', '') for "Train_Images", ('test', 'seg') for "seg_test", (None, '') if the name is not a part."""
    kinds = {word: kind for kind, words in PARTS.items() for word in words}
    kinds |= {word + filler: kind for word, kind in kinds.items() for filler in FILLERS}  # "trainset"
    words = re.findall(r"[^\W\d_]+", name.casefold())
    of_parts = [word for word in words if word in kinds]
    if len(of_parts) != 1:
        return None, ""
    rest = [word for word in words if word not in FILLERS and word not in kinds]
    return kinds[of_parts[0]], " ".join(rest)


def _is_class(directory, parts, names):
    """Whether the only folder named like a part is a class: a "train" among vehicles."""
    members = [name for group in parts.values() for name in group]
    others = [name for name in names if name not in members]
    if len(members) > 1 or _folders_and_images(directory / members[0])[0]:
        return False
    if [name.casefold() for name in names] == ["invalid", "valid"]:
        return True
    return "train" in parts and sum(_folders_and_images(directory / name)[1] for name in others) >= 2


def _folders_and_images(directory):
    """(whether it has subfolders, whether it has image files)."""
    names = [entry.name for entry in _entries(directory) if not os.path.isdir(entry)]
    return bool(folders(directory)), any(map(image_files.has_image_ending, names))


def inside(directory: Path) -> Path:
    """`directory`, or the folder of the same name in it: archives are often unpacked to training_set/training_set/."""
    inner = folders(directory)
    if len(inner) == 1 and inner[0].casefold() == directory.name.casefold():
        return inside(directory / inner[0])
    return directory


def classes(directory: Path, skipped: Skipped, *, fewest: int = 2) -> Classes:
    """The image files of all class folders in a directory, by class name (NFC, sorted).

    Args:
        directory: with the class folders.
        skipped: counts what is skipped.
        fewest: minimum number of class folders.

    Raises:
        UserError: too few or too many class folders, or one that cannot be read or has an unprintable name.
    """
    where = f"dataset_dir {directory}"
    names = folders(directory)
    _count_beside(directory, skipped)
    if not names:
        raise UserError(f"{where}: no class folders; {WANTED}")
    for name in names:
        if not name.isprintable():
            raise UserError(f"{where}: unprintable characters in the class name {name!r}; rename the folder")
    by_class = defaultdict(list)
    for name in names:  # macOS writes decomposed letters, other systems composed ones
        by_class[unicodedata.normalize("NFC", name)].append(name)
    if len(by_class) < fewest:
        inner = folders(directory / names[0])
        hint = f"it holds folders itself, {some(inner)}: pass {directory / names[0]}" if inner else WANTED
        raise UserError(f"{where}: only one class folder, {names[0]}; {hint}")
    if len(by_class) > MOST_CLASSES:
        raise UserError(f"{where}: {len(by_class):,} class folders; a net here has at most {MOST_CLASSES} classes")
    return {
        name: [file for folder in by_class[name] for file in _images(directory / folder, name, skipped)]
        for name in sorted(by_class)
    }


def _count_beside(directory, skipped):
    """Counts the files beside the class folders."""
    for entry in _entries(directory):
        if entry.is_symlink() and not os.path.isdir(entry):
            skipped.others["link"] += 1
        elif not os.path.isdir(entry):
            skipped.files[image_files.ending(entry.name)] += 1
        elif _holds_runs(entry.path):
            skipped.others["train dir"] += 1
        elif not _is_folder(entry):
            skipped.others["looping link"] += 1


def _images(folder, name, skipped):
    """The image files in one class folder."""
    files = []
    for entry in _entries(folder):
        if os.path.isdir(entry):
            skipped.others["linked subfolder" if entry.is_symlink() else "subfolder"] += 1
        elif not image_files.has_image_ending(entry.name):
            skipped.files[image_files.ending(entry.name)] += 1
        else:
            try:
                if not stat.S_ISREG(entry.stat().st_mode):
                    raise OSError("not a regular file")
            except OSError as error:  # a broken link, a pipe, a folder without permission
                skipped.unusable.append(f"{name}/{entry.name}: {reason(error)}")
                continue
            files.append(ImageFile(entry.path, unicodedata.normalize("NFC", f"{name}/{entry.name}")))
    return files


def folders(directory: Path) -> list[str]:
    """The names of a directory's subfolders, including links to folders, sorted."""
    return sorted(entry.name for entry in _entries(directory) if _is_folder(entry))


def _is_folder(entry):
    """Whether an entry is a user's folder, or a link to one. A link to a parent folder, an endless loop, is not."""
    if entry.is_symlink() and os.path.isdir(entry):
        above, target = os.path.realpath(os.path.dirname(entry.path)), os.path.realpath(entry.path)
        return os.path.commonpath([above, target]) != target
    return os.path.isdir(entry) and not _holds_runs(entry.path)


def _holds_runs(directory, depth=1):
    """Whether a folder is a train dir of this project, or holds only train dirs: not a class, although it has plots."""
    if locks.was_claimed(directory):
        return True
    try:
        inner = os.listdir(directory) if depth else []
    except OSError:
        return False
    return bool(inner) and all(_holds_runs(os.path.join(directory, name), depth - 1) for name in inner)


def _entries(directory):
    """The entries of a directory, without hidden files and those of the operating system."""
    try:
        with os.scandir(directory) as entries:
            return sorted((e for e in entries if image_files.is_shown(e.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{directory}: cannot be read ({reason(error)}); change its permissions") from error


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
