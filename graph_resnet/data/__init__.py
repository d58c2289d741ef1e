"""Images for v1 graphs: bytes on disk -> records -> batches.

    from graph_resnet.data import find, load_data, train_and_validation

    tensors = load_data(image_size=96, batch_size=64)                            # CIFAR-10, found or downloaded
    tensors = train_and_validation(find.cifar("cifar100", "~/data"), 32, 128)    # the same in two steps
    train_imgs, train_labels, val_imgs, val_labels = tensors

Names are imported on first use, so that `--help` does not import TensorFlow.
"""

from graph_resnet import lazy

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "load_data": "batches",
        "train_and_validation": "batches",
        "in_order": "batches",
        "Records": "records",
        "Stream": "streams",
    },
)
