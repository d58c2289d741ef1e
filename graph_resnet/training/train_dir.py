"""Locks a train dir for one run at a time, and checks its name."""

import os
import re

from graph_resnet import files, locks
from graph_resnet.errors import UserError


def claim(train_dir):
    """Creates the directory and locks it while this process lives: see `locks.claim`.

    Raises:
      UserError: it is a file, cannot be written, or another process (named by its id) trains into it.
    """
    files.check_name(train_dir, "train dir")
    return locks.claim(train_dir)


def check_apart(train_dir: str | os.PathLike, dataset_dir: str | os.PathLike | None) -> None:
    """Refuses a new train dir that holds images of `dataset_dir`: its lock would make it no class any more.

    Raises:
      UserError: it is in that directory, and has images.
    """
    from graph_resnet import config  # here: it imports numpy, which `--help` does without
    from graph_resnet.data import image_files

    if dataset_dir is None or os.path.lexists(os.path.join(train_dir, config.FILE)):  # a run has plots
        return
    whole, images = os.path.realpath(train_dir), os.path.realpath(os.path.expanduser(dataset_dir))
    if whole != images and not whole.startswith(os.path.join(images, "")):
        return
    if any(image_files.has_image_ending(name) for _, _, names in os.walk(whole) for name in names):
        raise UserError(
            f"train dir {train_dir}: holds images of the dataset_dir {dataset_dir}; pass another --train-dir"
        )


def default(recipe_name: str) -> str:
    """'runs/NAME'.

    Raises:
      UserError: the name, which may come from an untrusted file, would lead out of runs/.
    """
    if recipe_name in (".", "..") or not re.fullmatch(r"[^/\\\0]+", recipe_name):
        raise UserError(f"recipe name {recipe_name!r:.80}: not the name of a folder; pass --train-dir DIR")
    return os.path.join("runs", recipe_name)
