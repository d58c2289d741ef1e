"""The tutorial's input: `load_data` returns CIFAR-10, resized to 96x96, as image and label tensors of a v1 graph.

    from utils import cifar10_input

    train_imgs, train_labels, val_imgs, val_labels = cifar10_input.load_data(image_size=96, batch_size=64)

`utils.learning` runs their initializers. In your own session, run `global_variables_initializer()`,
`local_variables_initializer()` and `tables_initializer()` first. If you have another package called `utils`, use
`graph_resnet.data.load_data`.
"""

from graph_resnet.data import batches
from graph_resnet.data.batches import CIFAR10_MEAN, CIFAR10_STD


def load_data(
    image_size=96,
    batch_size=64,
    data_dir=None,
    *,
    dataset="cifar10",
    label="fine",
    seed=0,
    flip=True,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
):
    """Finds (or downloads) a dataset's records and returns their tensors, in the default graph.

    Args:
      image_size: int, side of the square images in pixels; records of another size are resized bilinearly.
      batch_size: int.
      data_dir: directory with the record files; None looks in $CIFAR_DATA_DIR and in the cache, and downloads.
      dataset, label: see `graph_resnet.data.find.cifar`.
      seed, flip, mean, std: see `graph_resnet.data.batches.train_and_validation`.

    Returns:
      (train_imgs, train_labels, val_imgs, val_labels): float32 [batch_size, image_size, image_size, 3] and int32
      [batch_size]. The validation tensors go through the test records in order, repeatedly; the last batch of a pass
      may be smaller.

    Raises:
      graph_resnet.errors.UserError: one line that names what is missing or wrong, and the fix.
    """
    pipeline = {"seed": seed, "flip": flip, "mean": mean, "std": std}
    return batches.load_data(image_size, batch_size, data_dir, dataset=dataset, label=label, **pipeline)
