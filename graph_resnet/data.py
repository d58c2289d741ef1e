"""Which records a run has: CIFAR's, drawn ones, or pictures of one's own."""

from utils import cifar_files, picture_folders
from utils.cifar_records import hold_out
from utils.errors import UserError


def record_side(recipe):
    """Height and width, in pixels, of the pictures in a recipe's records."""
    return recipe.image_size if recipe.dataset == "pictures" else cifar_files.SIDE


def find_records(recipe, data_dir=None, dataset_dir=None, held_out=0):
    """The records of a recipe.

    Args:
      recipe: `recipes.Recipe`; its dataset says which of the two directories is looked at.
      data_dir: str or path, see `cifar_files.find`, or None.
      dataset_dir: str or path, see `picture_folders.find`, for the dataset 'pictures'.
      held_out: int, how many training records to validate on: see `cifar_records.hold_out`.

    Returns:
      `cifar_files.Records`.

    Raises:
      UserError: one line that names what is missing or wrong, and the mend.
    """
    return hold_out(_all_records(recipe, data_dir, dataset_dir), held_out)


def _all_records(recipe, data_dir, dataset_dir):
    if recipe.dataset != "pictures":
        if dataset_dir is not None:
            raise UserError(f"dataset_dir {dataset_dir}: the net's dataset is {recipe.dataset}; pass --data-dir")
        return cifar_files.find(recipe.dataset, data_dir, label=recipe.label)
    if data_dir is not None or dataset_dir is None:
        what = "dataset 'pictures'" if data_dir is None else f"data_dir {data_dir}: the net's dataset is pictures"
        raise UserError(f"{what}; pass --dataset-dir DIR, with one folder of pictures a class")
    if recipe.label != "fine":
        raise UserError(f"label {recipe.label!r}: pictures in folders have only fine labels")
    return picture_folders.find(dataset_dir, record_side(recipe))
