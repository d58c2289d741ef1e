"""CIFAR records -> image and label tensors of a v1 graph: CIFAR-10, CIFAR-100 and drawn images in the same layout.

The record files are read once, in the graph, into a uint8 local variable: nothing is fed and no image becomes a
constant of the GraphDef. A training batch is a function of (seed, step) alone: batch k holds positions k*B .. k*B+B-1
of an endless stream whose epoch e is the permutation `RandomIndexShuffle(., seed=[s0, s1, e])` of the records, with
augmentation drawn by `tf.random.stateless_uniform` from (seed, k). The iterator starts at the global step, so that
a run that was killed and restored sees exactly the batches that it would have seen, with no state saved for it.

Typical use:

    records = find.cifar("cifar10", "data")
    train_imgs, train_labels, val_imgs, val_labels = batches.train_and_validation(records, 96, 64)

`graph_resnet.loop` initializes all of it. In a session of your own, run `tf.compat.v1.global_variables_initializer()`,
`local_variables_initializer()` and `tables_initializer()`.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.data import find, streams
from graph_resnet.errors import UserError

# The name of the op that yields a batch, so that the error of a session that did not run them names the initializers.
NEXT = "run_local_variables_initializer_and_tables_initializer_first"

# Mean and standard deviation of CIFAR-10's training pixels, a channel each, in units of x / 255.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


# Autograph would translate these functions from their source: slower, and wrong after an edit during the start.
_plain = tf.autograph.experimental.do_not_convert


def train_and_validation(
    records,
    image_size,
    batch_size,
    *,
    seed=0,
    flip=True,
    crop=0,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
    val_batch_size=None,
    rows=slice(None),
):
    """The training and the validation tensors of some records, in the default graph.

    Args:
      records: `find.Records`.
      image_size: int, pixels.
      batch_size: int, images in a training batch.
      seed: int, of the order and of the augmentation.
      flip: mirrors each training image with probability 1/2.
      crop: int, shifts each training image by up to so many pixels of the records in both directions, and fills up by
        reflection.
      mean, std: of each channel, in units of x / 255; images become (x / 255 - mean) / std.
      val_batch_size: int, `batch_size` where None.
      rows: which of a training batch's images are yielded, the same as in the whole batch.

    Returns:
      (train_imgs, train_labels, val_imgs, val_labels): float32 [batch_size, image_size, image_size, 3] and int32
      [batch_size]. The validation tensors run through the test records in order, again and again; the last batch of
      a pass is as small as it must be.
    """
    if image_size < 1 or batch_size < 1:
        raise ValueError(f"image_size and batch_size must be positive, got {image_size} and {batch_size}")
    if not 0 <= crop < records.side:
        raise UserError(f"crop {crop}: the images have {records.side} pixels; shift them by fewer")
    with tf.name_scope("input"):
        step = tf.train.get_or_create_global_step()
        # In a session that initializes no global variables, the stream starts at its beginning.
        start = tf.cond(
            tf.is_variable_initialized(step), lambda: tf.cast(step, tf.int64), lambda: tf.constant(0, tf.int64)
        )

        @_plain
        def train_batch(k):
            index = _shuffled(k, batch_size, records.num_train, seed)[rows]
            images, labels = _decoded(tf.gather(train, index), records)
            if flip:
                mirrored = tf.random.stateless_uniform([batch_size], seed=[seed, k])[rows] < 0.5
                images = tf.where(mirrored, tf.reverse(images, [2]), images)
            if crop:
                shifts = tf.random.stateless_uniform([2, batch_size], [seed + 1, k], -crop, crop + 1, tf.int64)
                images = _shifted(images, *tf.unstack(shifts[:, rows]))
            return prepared(images, image_size, mean, std), labels

        train, train_ready = _record_variable("train_records", "train", records)
        steps = tf.data.Dataset.range(start, tf.int64.max).map(train_batch)
        iterator, restart = _iterator(steps, train_ready)
        train_next = iterator.get_next(NEXT)
        streams.register(
            streams.Stream(train_next[1], restart, batch_size, images=records.num_train, in_order=False, start=start)
        )

        val_next = _passes(records, "val", image_size, val_batch_size or batch_size, mean, std)
    return *train_next, *val_next


def load_data(image_size, batch_size, data_dir=None, *, dataset="cifar10", label="fine", **options):
    """Finds (or downloads) the records of a dataset and returns its tensors, in the default graph.

    Args:
      image_size: int, side of the square images in pixels; records of another size are resized bilinearly.
      batch_size: int, images in a training batch.
      data_dir: directory with the record files; None looks in $CIFAR_DATA_DIR and in the cache, and downloads.
      dataset, label: see `find.cifar`.
      **options: of `train_and_validation`, such as `seed`, `flip`, `mean` and `std`.

    Returns:
      (train_imgs, train_labels, val_imgs, val_labels), as `train_and_validation`.

    Raises:
      UserError: one line that names what is missing or wrong, and the fix.
    """
    records = find.cifar(dataset, data_dir, label=label)
    return train_and_validation(records, image_size, batch_size, **options)


def in_order(records, image_size, batch_size, *, split="val", mean=CIFAR10_MEAN, std=CIFAR10_STD):
    """One split of `Records.split` in order, each image once a pass, as the validation tensors are.

    Args, returns: as `train_and_validation`; images and labels of the one split.
    """
    with tf.name_scope("input"):
        return _passes(records, split, image_size, batch_size, mean, std)


def prepared(images, image_size, mean=CIFAR10_MEAN, std=CIFAR10_STD):
    """What a net sees of images: normalized, then resized bilinearly.

    Args:
      images: uint8 or float32 [B, H, W, 3] in 0..255, of any one size, which need not be known.
      image_size, mean, std: see `train_and_validation`.

    Returns:
      float32 [B, image_size, image_size, 3].
    """
    return _resized(_normalized(tf.cast(images, tf.float32), mean, std), image_size)


def images(records, indices, split="val"):
    """The records of a split as images, by number: uint8 [n, side, side, 3]."""
    rows = _rows(records, indices, split)[:, records.label_bytes :]
    return rows.reshape(-1, 3, records.side, records.side).transpose(0, 2, 3, 1)


def labels(records, indices, split="val"):
    """The classes of the records of a split, by number: uint8 [n]."""
    return _rows(records, indices, split)[:, records.label_offset]


def _rows(records, indices, split):
    """Records of a split by number: uint8 [n, record_bytes]."""
    paths, first, _ = records.split(split)
    files = [np.memmap(path, np.uint8, mode="r").reshape(-1, records.record_bytes) for path in paths]
    ends = np.cumsum([len(rows) for rows in files])
    rows = np.empty((len(indices), records.record_bytes), np.uint8)
    for row, i in zip(rows, np.asarray(indices) + first):
        k = np.searchsorted(ends, i, side="right")
        row[:] = files[k][i - ends[k]]  # counted from the end of its file
    return rows


def _passes(records, split, image_size, batch_size, mean, std):
    """(images, labels) of a split in order, again and again."""
    _, _, count = records.split(split)

    @_plain
    def batch(first):
        images, labels = _decoded(rows[first : first + batch_size], records)
        return prepared(images, image_size, mean, std), labels

    rows, ready = _record_variable(f"{split}_records", split, records)
    dataset = tf.data.Dataset.range(0, count, batch_size).map(batch).repeat()
    iterator, restart = _iterator(dataset, ready)
    images, labels = iterator.get_next(NEXT)
    # Read by nobody. The seeds of initial weights count the ops before them, and version 1.0.0 had one here.
    tf.constant(count)
    streams.register(streams.Stream(labels, restart, batch_size, images=count))
    return images, labels


def _record_variable(name, split, records):
    """A uint8 local variable [count, record_bytes] of a split, and the op that fills it from the files."""
    paths, first, count = records.split(split)
    total = records.num_train + records.held_out if paths is records.train else count

    def read():
        files = [tf.io.decode_raw(tf.io.read_file(str(path)), tf.uint8) for path in paths]
        return tf.reshape(tf.concat(files, 0), [total, records.record_bytes])[first : first + count]

    collections = [tf.GraphKeys.LOCAL_VARIABLES]
    variable = tf.Variable(read, trainable=False, collections=collections, name=name, use_resource=True)
    return variable, variable.initializer


def _decoded(rows, records):
    """uint8 records [B, record_bytes] -> float32 images [B, side, side, 3] in 0..255, int32 labels [B]."""
    labels = tf.cast(rows[:, records.label_offset], tf.int32)
    # float32 before the transposition, which takes half the time that it takes in uint8.
    planes = tf.reshape(tf.cast(rows[:, records.label_bytes :], tf.float32), [-1, 3, records.side, records.side])
    return tf.transpose(planes, [0, 2, 3, 1]), labels


def _shuffled(k, batch_size, size, seed):
    """Records of batch k, int64 [batch_size], from a stream whose every epoch is a permutation of `size` records."""
    position = k * batch_size + tf.range(batch_size, dtype=tf.int64)
    nothing = tf.zeros_like(position)
    seeds = tf.stack([nothing + seed, nothing, position // size], axis=1)
    # The raw op: tf.random.experimental.index_shuffle pads a batch of seeds wrongly in TensorFlow 2.21.
    return tf.raw_ops.RandomIndexShuffle(
        index=position % size, seed=tf.cast(seeds, tf.uint32), max_index=tf.constant(size - 1, tf.int64)
    )


def _shifted(images, down, right):
    """float32 [B, S, S, C], each image moved by its own whole numbers of pixels and filled up by reflection."""
    side = int(images.shape[1])

    def sources(shift):
        place = tf.abs(tf.range(side, dtype=tf.int64) - shift[:, tf.newaxis])  # [B, S]: -1 is 1
        return tf.minimum(place, 2 * (side - 1) - place)  # S is S - 2

    images = tf.gather(images, sources(down), axis=1, batch_dims=1)
    return tf.gather(images, sources(right), axis=2, batch_dims=1)


def _normalized(images, mean, std):
    """float32 x -> (x / 255 - mean) / std, in one multiplication and one addition."""
    width = tf.shape(images)[2]
    # Over whole rows of pixels: three numbers at a time took four times as long.
    scale = tf.tile([1 / (255 * s) for s in std], [width])
    offset = tf.tile([-m / s for m, s in zip(mean, std)], [width])
    rows = tf.reshape(images, [-1, 3 * width]) * scale + offset
    return tf.ensure_shape(tf.reshape(rows, tf.shape(images)), images.shape)


def _resized(images, image_size):
    if images.shape[1:3] == (image_size, image_size):
        return images
    return tf.image.resize_bilinear(images, [image_size, image_size], half_pixel_centers=True)


def _iterator(dataset, ready):
    """An initializable iterator that one thread keeps two batches ahead, and the op that starts it again.

    The initializer that a session runs first joins TABLE_INITIALIZERS.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    dataset = dataset.prefetch(2).with_options(options)
    types, shapes = tf.data.get_output_types(dataset), tf.data.get_output_shapes(dataset)
    iterator = tf.data.Iterator.from_structure(types, shapes)
    # Two initializers: the session's first one waits for the records to be read, the one that starts the stream again
    # must not have them read again. (Nor must the iterator be made in here: it would read them at every batch.)
    with tf.control_dependencies([ready]):
        tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.make_initializer(dataset))
    return iterator, iterator.make_initializer(dataset)
