"""Records (CIFAR-10, CIFAR-100, or others in the same layout) -> image and label tensors of a v1 graph.

The graph reads the record files once, into a uint8 local variable: nothing is fed and no image becomes a constant of
the GraphDef. A training batch is a function of (seed, step) alone: batch k holds positions k*B .. k*B+B-1 of an endless
stream whose epoch e is the permutation `RandomIndexShuffle(., seed=[s0, s1, e])` of the records, augmented with
`tf.random.stateless_uniform` from (seed, k). The iterator starts at the global step, so a resumed run gets the batches
that an uninterrupted run would get, without any saved input state.

Typical use:

    records = find.cifar("cifar10", "data")
    train_imgs, train_labels, val_imgs, val_labels = batches.train_and_validation(records, 96, 64)

`graph_resnet.loop` runs all initializers. In your own session, run `tf.compat.v1.global_variables_initializer()`,
`local_variables_initializer()` and `tables_initializer()`.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet import files
from graph_resnet.data import find, steps, streams
from graph_resnet.errors import UserError

# Name of the op that yields a batch: if a session did not run the initializers, TensorFlow's error shows this name.
NEXT = "run_local_variables_initializer_and_tables_initializer_first"

# Mean and standard deviation of CIFAR-10's training pixels, per channel, in units of x / 255.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


# Autograph would retranslate these functions from source: slow, and wrong if the file is edited meanwhile.
_plain = tf.autograph.experimental.do_not_convert


def train_and_validation(
    records,
    image_size,
    batch_size,
    *,
    seed=0,
    flip=True,
    alternating_flips=False,
    crop=0,
    cutout=0,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
    val_batch_size=None,
    rows=slice(None),
    parts=1,
):
    """The training and validation tensors of `records`, in the default graph.

    Args:
      records: `find.Records`.
      image_size: int, pixels.
      batch_size: int, images in a training batch.
      seed: int, of the shuffling and the augmentation.
      flip: mirrors each training image with probability 1/2.
      alternating_flips: mirrors instead one half of the training images in one epoch, the other half in the next.
      crop: int, shifts each training image by up to that many record pixels in both directions; reflection fills the
        border.
      cutout: int, sets a square of that many record pixels a side, at a random place of each training image, to `mean`
        (T. DeVries, G. Taylor, arXiv:1708.04552; the whole square lies within the image).
      mean, std: of each channel, in units of x / 255; images become (x / 255 - mean) / std.
      val_batch_size: int, default `batch_size`.
      rows: slice of each training batch to yield. Its images are the same as in the whole batch.
      parts: number of tensors, of equal size, in which the images of a training batch come.

    Returns:
      (train_imgs, train_labels, val_imgs, val_labels): float32 [batch_size, image_size, image_size, 3] and int32
      [batch_size]; for several `parts`, train_imgs is a list of tensors. The validation tensors go through the test
      records in order, repeatedly; the last batch of a pass may be smaller.
    """
    if image_size < 1 or batch_size < 1:
        raise ValueError(f"image_size and batch_size must be positive, got {image_size} and {batch_size}")
    if tf.executing_eagerly():
        raise UserError(
            "data: needs a TensorFlow 1 graph; call tf.compat.v1.disable_eager_execution() first, or build the graph "
            "in `with tf.Graph().as_default():`"
        )
    if not 0 <= crop < records.side:
        raise UserError(f"crop {crop}: the images have {records.side} pixels; shift them by fewer")
    if not 0 <= cutout < records.side:
        raise UserError(f"cutout {cutout}: the images have {records.side} pixels a side; cut out a smaller square")
    with tf.name_scope("input"):
        step = steps.global_step()
        # A session that initializes no global variables starts the stream at batch 0.
        start = tf.cond(
            tf.is_variable_initialized(step), lambda: tf.cast(step, tf.int64), lambda: tf.constant(0, tf.int64)
        )

        @_plain
        def train_batch(k):
            index = _shuffled(k, batch_size, records.num_train, seed)[rows]
            images, labels = _decoded(tf.gather(train, index), records)
            if flip:
                if alternating_flips:
                    mirrored = _in_turn(k, batch_size, records.num_train, seed, rows, index)
                else:
                    mirrored = tf.random.stateless_uniform([batch_size], seed=[seed, k])[rows] < 0.5
                images = tf.where(mirrored, tf.reverse(images, [2]), images)
            if crop:
                shifts = tf.random.stateless_uniform([2, batch_size], [seed + 1, k], -crop, crop + 1, tf.int64)
                images = _shifted(images, *tf.unstack(shifts[:, rows]))
            if cutout:
                places = tf.random.stateless_uniform(
                    [2, batch_size], [seed + 2, k], 0, records.side - cutout + 1, tf.int64
                )
                images = _cut_out(images, cutout, *tf.unstack(places[:, rows]), mean)
            images = prepared(images, image_size, mean, std)
            return (*tf.split(images, parts), labels) if parts > 1 else (images, labels)

        train, train_ready = _record_variable("train_records", "train", records)
        dataset = tf.data.Dataset.range(start, tf.int64.max).map(train_batch)
        iterator, restart = _iterator(dataset, train_ready)
        *train_images, train_labels = iterator.get_next(NEXT)
        streams.register(
            streams.Stream(train_labels, restart, batch_size, images=records.num_train, in_order=False, start=start)
        )

        val_next = _passes(records, "val", image_size, val_batch_size or batch_size, mean, std)
    return train_images if parts > 1 else train_images[0], train_labels, *val_next


def load_data(image_size, batch_size, data_dir=None, *, dataset="cifar10", label="fine", **options):
    """Finds (or downloads) a dataset's records and returns their tensors, in the default graph.

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
    """One split (see `Records.split`) in order, each image once a pass, like the validation tensors.

    Args, returns: as `train_and_validation`, for the one split.
    """
    with tf.name_scope("input"):
        return _passes(records, split, image_size, batch_size, mean, std)


def prepared(images, image_size, mean=CIFAR10_MEAN, std=CIFAR10_STD):
    """Images as a net's input: normalized, then resized bilinearly.

    Args:
      images: uint8 or float32 [B, H, W, 3] in 0..255; H and W may be unknown.
      image_size, mean, std: see `train_and_validation`.

    Returns:
      float32 [B, image_size, image_size, 3].
    """
    return _resized(_normalized(tf.cast(images, tf.float32), mean, std), image_size)


def images(records, indices, split="val"):
    """Images of a split by record number: uint8 [n, side, side, 3]."""
    rows = _rows(records, indices, split)[:, records.label_bytes :]
    return rows.reshape(-1, 3, records.side, records.side).transpose(0, 2, 3, 1)


def labels(records, indices, split="val"):
    """Classes of a split by record number: uint8 [n]."""
    return _rows(records, indices, split)[:, records.label_offset]


def _rows(records, indices, split):
    """Records of a split by number: uint8 [n, record_bytes]."""
    paths, first, _ = records.split(split)
    files = [np.memmap(path, np.uint8, mode="r").reshape(-1, records.record_bytes) for path in paths]
    ends = np.cumsum([len(rows) for rows in files])
    rows = np.empty((len(indices), records.record_bytes), np.uint8)
    for row, i in zip(rows, np.asarray(indices) + first):
        k = np.searchsorted(ends, i, side="right")
        row[:] = files[k][i - ends[k]]  # a negative index, from the end of the file
    return rows


def _passes(records, split, image_size, batch_size, mean, std):
    """(images, labels) of a split in order, repeatedly."""
    _, _, count = records.split(split)

    @_plain
    def batch(first):
        images, labels = _decoded(rows[first : first + batch_size], records)
        return prepared(images, image_size, mean, std), labels

    rows, ready = _record_variable(f"{split}_records", split, records)
    dataset = tf.data.Dataset.range(0, count, batch_size).map(batch).repeat()
    iterator, restart = _iterator(dataset, ready)
    images, labels = iterator.get_next(NEXT)
    # Unused, but kept: the seeds of initial weights depend on the number of ops before them, and version 1.0.0 had it.
    tf.constant(count)
    streams.register(streams.Stream(labels, restart, batch_size, images=count))
    return images, labels


def _record_variable(name, split, records):
    """A uint8 local variable [count, record_bytes] of a split, and the op that reads it from the files."""
    paths, first, count = records.split(split)
    total = records.num_train + records.held_out if paths is records.train else count
    for path in paths:
        files.check_name(path, "data file")

    def read():
        contents = [tf.io.decode_raw(tf.io.read_file(str(path)), tf.uint8) for path in paths]
        return tf.reshape(tf.concat(contents, 0), [total, records.record_bytes])[first : first + count]

    collections = [tf.GraphKeys.LOCAL_VARIABLES]
    variable = tf.Variable(read, trainable=False, collections=collections, name=name, use_resource=True)
    return variable, variable.initializer


def _decoded(rows, records):
    """uint8 records [B, record_bytes] -> float32 images [B, side, side, 3] in 0..255, int32 labels [B]."""
    labels = tf.cast(rows[:, records.label_offset], tf.int32)
    # Cast before the transpose: transposing float32 takes half the time of uint8.
    planes = tf.reshape(tf.cast(rows[:, records.label_bytes :], tf.float32), [-1, 3, records.side, records.side])
    return tf.transpose(planes, [0, 2, 3, 1]), labels


def _shuffled(k, batch_size, size, seed):
    """Record numbers of batch k, int64 [batch_size]; each epoch of the stream is a permutation of `size` records."""
    position = k * batch_size + tf.range(batch_size, dtype=tf.int64)
    nothing = tf.zeros_like(position)
    seeds = tf.stack([nothing + seed, nothing, position // size], axis=1)
    # The raw op, because tf.random.experimental.index_shuffle pads a batch of seeds wrongly in TensorFlow 2.21.
    return tf.raw_ops.RandomIndexShuffle(
        index=position % size, seed=tf.cast(seeds, tf.uint32), max_index=tf.constant(size - 1, tf.int64)
    )


def _in_turn(k, batch_size, size, seed, rows, index):
    """Whether to mirror each image of batch k, bool: half of the records in even epochs, the others in odd ones.

    K. Jordan: 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498, 2024. `index`: the record numbers of
    the batch's `rows`.
    """
    position = k * batch_size + tf.range(batch_size, dtype=tf.int64)[rows]
    half = tf.gather(tf.random.stateless_uniform([size], seed=[seed, -1]) < 0.5, index)
    return tf.equal(half, tf.equal(position // size % 2, 0))


def _shifted(images, down, right):
    """Shifts each image by its own whole number of pixels: float32 [B, S, S, C]; reflection fills the border."""
    side = int(images.shape[1])

    def sources(shift):
        place = tf.abs(tf.range(side, dtype=tf.int64) - shift[:, tf.newaxis])  # [B, S]; -1 becomes 1
        return tf.minimum(place, 2 * (side - 1) - place)  # S becomes S - 2

    images = tf.gather(images, sources(down), axis=1, batch_dims=1)
    return tf.gather(images, sources(right), axis=2, batch_dims=1)


def _cut_out(images, size, top, left, mean):
    """Sets a square of each image, [B, S, S, C] in 0..255, to `mean`: float32; its corner is at (top, left)."""
    pixels = tf.range(int(images.shape[1]), dtype=tf.int64)
    rows, columns = ((pixels >= at[:, None]) & (pixels < at[:, None] + size) for at in (top, left))  # [B, S]
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where_v2(inside, tf.constant([255 * m for m in mean], tf.float32), tf.cast(images, tf.float32))


def _normalized(images, mean, std):
    """float32 x -> (x / 255 - mean) / std, in one multiplication and one addition."""
    width = tf.shape(images)[2]
    # On whole rows of pixels, because multiplying three numbers at a time took four times as long.
    scale = tf.tile([1 / (255 * s) for s in std], [width])
    offset = tf.tile([-m / s for m, s in zip(mean, std)], [width])
    rows = tf.reshape(images, [-1, 3 * width]) * scale + offset
    return tf.ensure_shape(tf.reshape(rows, tf.shape(images)), images.shape)


def _resized(images, image_size):
    if images.shape[1:3] == (image_size, image_size):
        return images
    return tf.raw_ops.ResizeBilinear(images=images, size=[image_size, image_size], half_pixel_centers=True)


def _iterator(dataset, ready):
    """An iterator that one thread keeps two batches ahead, and the op that restarts it.

    Adds the initializer for a new session to TABLE_INITIALIZERS.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    dataset = dataset.prefetch(2).with_options(options)
    iterator = tf.data.make_initializable_iterator(dataset)
    restart = iterator.initializer
    # Two initializers: the first waits until the records are read; the second restarts the stream without reading them
    # again. (The iterator is created outside this block, or it would read them for every batch.)
    with tf.control_dependencies([ready]):
        variant, handle = restart.inputs
        tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, tf.raw_ops.MakeIterator(dataset=variant, iterator=handle))
    return iterator, restart
