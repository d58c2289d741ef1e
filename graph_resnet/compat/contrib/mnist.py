"""`tf.examples.tutorials.mnist.input_data`: MNIST's four files, read from a directory. Nothing is downloaded.

The files are those of MNIST and of similar data sets: train-images-idx3-ubyte, train-labels-idx1-ubyte,
t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, uncompressed or compressed (.gz).
"""

import collections
import gzip
import os

import numpy as np
import tensorflow as tf

Datasets = collections.namedtuple("Datasets", ("train", "validation", "test"))
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def _read(stream, magic):
    """The values of an IDX file of unsigned bytes, in the shape given by its header."""
    header = np.frombuffer(stream.read(4), ">u4")
    if len(header) != 1 or header[0] != magic:
        found = header[0] if len(header) else "nothing"
        raise ValueError(f"Invalid magic number {found} in MNIST file: {getattr(stream, 'name', stream)}")
    shape = np.frombuffer(stream.read(4 * (magic & 255)), ">u4")
    return np.frombuffer(stream.read(int(np.prod(shape))), np.uint8).reshape(shape)


def _unzipped(stream):
    """A stream of the IDX file's bytes, from a file object of TensorFlow or Python, compressed or not."""
    start = stream.read(2)
    stream.seek(0)
    return gzip.GzipFile(fileobj=stream) if start == b"\x1f\x8b" else stream


def extract_images(f):
    """uint8 [N, H, W, 1] of an open file of images."""
    return _read(_unzipped(f), 2051)[..., None]


def dense_to_one_hot(labels_dense, num_classes):
    """[N] -> float64 [N, num_classes]."""
    return np.eye(num_classes)[np.ravel(labels_dense)]


def extract_labels(f, one_hot=False, num_classes=10):
    """uint8 [N], or one-hot [N, num_classes], of an open file of labels."""
    labels = _read(_unzipped(f), 2049)
    return dense_to_one_hot(labels, num_classes) if one_hot else labels


class DataSet:
    """Images and labels in batches; shuffles every epoch.

    Args:
        images: uint8 [N, H, W, 1].
        labels: [N] or [N, classes].
        dtype: tf.float32 (values in [0, 1]) or tf.uint8.
        reshape: whether to flatten an image into a vector of H W values.
    """

    def __init__(self, images, labels, fake_data=False, one_hot=False, dtype=tf.float32, reshape=True, seed=None):
        if fake_data:
            count = 10000
            images = np.ones((count, 784), np.float32)
            labels = np.eye(10)[np.zeros(count, int)] if one_hot else np.zeros(count, int)
        else:
            if len(images) != len(labels):
                raise ValueError(f"images.shape: {images.shape} labels.shape: {labels.shape}")
            images = images.reshape(len(images), -1) if reshape else images
            if tf.as_dtype(dtype) == tf.float32:
                images = images.astype(np.float32) * np.float32(1.0 / 255.0)
        self._images, self._labels = images, labels
        self._random = np.random.RandomState(seed) if seed is not None else np.random
        self._fake, self._epochs, self._index = fake_data, 0, 0

    images = property(lambda self: self._images)
    labels = property(lambda self: self._labels)
    num_examples = property(lambda self: len(self._images))
    epochs_completed = property(lambda self: self._epochs)

    def _shuffle(self):
        order = self._random.permutation(len(self._images))
        self._images, self._labels = self._images[order], self._labels[order]

    def next_batch(self, batch_size, fake_data=False, shuffle=True):
        """The next (images, labels); the last batch of an epoch is completed from the next one."""
        if self._index == 0 and self._epochs == 0 and shuffle:
            self._shuffle()
        start, self._index = self._index, self._index + batch_size
        if self._index <= self.num_examples:
            return self._images[start : self._index], self._labels[start : self._index]
        self._epochs += 1
        rest = self._images[start:], self._labels[start:]
        if shuffle:
            self._shuffle()
        self._index = batch_size - len(rest[0])
        images = np.concatenate([rest[0], self._images[: self._index]])
        return images, np.concatenate([rest[1], self._labels[: self._index]])


def _open(directory, name):
    for candidate in (f"{name}.gz", name, name.replace("-idx", ".idx")):
        path = os.path.join(directory, candidate)
        if os.path.exists(path):
            return open(path, "rb")
    raise FileNotFoundError(
        f"{name} is not in {os.path.abspath(directory)}; put MNIST's four files there (nothing is downloaded)"
    )


def read_data_sets(
    train_dir,
    fake_data=False,
    one_hot=False,
    dtype=tf.float32,
    reshape=True,
    validation_size=5000,
    seed=None,
    source_url=None,
):
    """Reads MNIST from `train_dir`: (train, validation, test), each a `DataSet`.

    Raises:
        FileNotFoundError: one of the four files is missing.
    """
    options = {"dtype": dtype, "reshape": reshape, "seed": seed}
    if fake_data:
        return Datasets(*(DataSet([], [], fake_data=True, one_hot=one_hot, **options) for _ in range(3)))
    parts = {}
    for part, (images, labels) in FILES.items():
        with _open(train_dir, images) as image_file, _open(train_dir, labels) as label_file:
            parts[part] = extract_images(image_file), extract_labels(label_file, one_hot=one_hot)
    images, labels = parts["train"]
    if not 0 <= validation_size <= len(images):
        raise ValueError(f"Validation size should be between 0 and {len(images)}. Received: {validation_size}.")
    return Datasets(
        train=DataSet(images[validation_size:], labels[validation_size:], **options),
        validation=DataSet(images[:validation_size], labels[:validation_size], **options),
        test=DataSet(*parts["test"], **options),
    )


def load_mnist(train_dir="MNIST-data"):
    """`read_data_sets` with its defaults."""
    return read_data_sets(train_dir)
