"""The records for training a recipe and for evaluating a trained net: which dataset, directory and held-out part."""

import os
from dataclasses import replace
from pathlib import Path

from graph_resnet.data import find, image_folders
from graph_resnet.data.layouts import is_synthetic
from graph_resnet.data.records import Records, describe, hold_out, same_data
from graph_resnet.errors import UserError


def record_side(recipe) -> int:
    """Height and width, in pixels, of the images in a recipe's records."""
    return recipe.image_size if recipe.dataset == "pictures" else find.SIDE


def for_recipe(
    recipe, data_dir: str | Path | None = None, dataset_dir: str | Path | None = None, held_out: int = 0
) -> Records:
    """The records that a recipe is trained on.

    Args:
        recipe: `recipes.Recipe`; its dataset decides which of the two directories is read.
        data_dir: see `find.cifar`.
        dataset_dir: see `image_folders.records`; only for the dataset 'pictures'.
        held_out: number of training records to hold out for validation: see `records.hold_out`.

    Raises:
        UserError: one line that names what is missing or wrong, and the fix.
    """
    if recipe.dataset != "pictures":
        if dataset_dir is not None:
            raise UserError(f"dataset_dir {dataset_dir}: the net's dataset is {recipe.dataset}; pass --data-dir")
        return hold_out(find.cifar(recipe.dataset, data_dir, label=recipe.label), held_out)
    if data_dir is not None or dataset_dir is None:
        what = "dataset 'pictures'" if data_dir is None else f"data_dir {data_dir}: the net's dataset is 'pictures'"
        raise UserError(f"{what}; pass --dataset-dir DIR, with one folder of images per class")
    if recipe.label != "fine":
        raise UserError(f"label {recipe.label!r}: images in folders have only fine labels")
    return hold_out(image_folders.records(dataset_dir, record_side(recipe)), held_out)


def for_trained(trained, data_dir: str | Path | None = None, dataset_dir: str | Path | None = None) -> Records:
    """The records to evaluate a trained net on.

    By default the data it was trained on, found by the path in config.json. A `dataset_dir` with class folders that is
    not the training data is a test set: all of its images are evaluated.

    Args:
        trained: `config.TrainedNet`.
        data_dir, dataset_dir: as in `for_recipe`.

    Raises:
        UserError: one line that names what is missing or wrong, and what to pass.
    """
    recipe, recorded = trained.recipe, trained.data.get("directory")
    if not (isinstance(recorded, str) and os.path.isabs(recorded)):  # written by an earlier version, or edited
        recorded = None
    if recipe.dataset == "pictures" and data_dir is None:
        if dataset_dir is not None and _is_test_set(trained, recorded, dataset_dir):
            records = image_folders.test_set(dataset_dir, record_side(recipe), trained.class_names)
            note = f"other data than in training: evaluating all images of {dataset_dir}, also any it was trained on"
            return replace(records, notes=(note, *records.notes))
        dataset_dir = dataset_dir or recorded
    elif data_dir is None and dataset_dir is None and recorded:
        data_dir = _still_there(trained, recorded)
    return for_recipe(recipe, data_dir, dataset_dir, trained.held_out)


def _still_there(trained, recorded):
    """The directory of the training data, or None if it is gone but the usual places have the data.

    Raises:
        UserError: neither has it.
    """
    dataset = trained.recipe.dataset
    if is_there(dataset, recorded):
        return recorded
    if is_synthetic(dataset) or find.in_usual_places(find.LAYOUTS[dataset])[1]:
        return None
    raise UserError(f"train dir {trained.directory}: its data is no longer in {recorded}; pass --data-dir DIR")


def is_there(dataset: str, directory: str) -> bool:
    """Whether a directory named in a config.json exists; for synthetic images, whether it already holds them.

    Otherwise they would be drawn there, and a config.json from elsewhere could choose where files are written.
    """
    if is_synthetic(dataset):
        return os.path.isdir(os.path.join(directory, find.drawn_folder(dataset)))
    return os.path.lexists(directory)


def _is_test_set(trained, recorded, dataset_dir):
    """Whether a directory without val/ holds other images than the training data (which may have been moved)."""
    if image_folders.has_split(dataset_dir):
        return False
    if recorded and os.path.realpath(recorded) == os.path.realpath(os.path.expanduser(dataset_dir)):
        return False
    known = [file.get("records") for file in trained.data.get("files", ())]
    if all(isinstance(count, int) for count in known) and image_folders.count(dataset_dir) < sum(known):
        return True
    try:
        records = for_recipe(trained.recipe, None, dataset_dir, trained.held_out)
    except UserError:  # a class without images, ...
        return True
    return same_data(trained.data, describe(records)) is not None
