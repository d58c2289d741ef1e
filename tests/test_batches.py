"""The input: decoding, order, augmentation, evaluation passes, and batches as a function of (seed, step)."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet.data import batches, find, streams
from graph_resnet.data.records import hold_out
from graph_resnet.errors import UserError
from tests.helpers import RAW, ROOT, grey_stream, initialized_session
from utils import cifar10_input


def test_a_record_made_byte_by_byte(tmp_path, graph):
    # Red increases along a row, green is 7 everywhere, blue is 100 in the last row.
    red = [x for _ in range(32) for x in range(32)]
    green = [7] * 1024
    blue = [0] * (31 * 32) + [100] * 32
    record = bytes([4, *red, *green, *blue])
    for name in (*find.CIFAR10.train, *find.CIFAR10.test):
        (tmp_path / name).write_bytes(record)
    train_imgs, train_labels, val_imgs, val_labels = cifar10_input.load_data(
        image_size=32, batch_size=5, data_dir=tmp_path, flip=False, **RAW
    )
    assert train_imgs.shape == (5, 32, 32, 3) and train_imgs.dtype == tf.float32
    assert train_labels.shape == (5,) and train_labels.dtype == tf.int32
    with initialized_session() as s:
        images, labels, val_image, val_label = s.run([train_imgs, train_labels, val_imgs, val_labels])
    np.testing.assert_array_equal(labels, [4] * 5)
    np.testing.assert_array_equal(val_label, [4])
    for image in (*images, *val_image):
        np.testing.assert_allclose(image[:, :, 0], np.tile(np.arange(32), (32, 1)), atol=1e-4)
        np.testing.assert_allclose(image[:, :, 1], 7, atol=1e-4)
        np.testing.assert_allclose(image[:31, :, 2], 0, atol=1e-4)
        np.testing.assert_allclose(image[31, :, 2], 100, atol=1e-4)


def test_coarse_and_fine_labels_of_cifar100(tmp_path, graph):
    for name in ("train.bin", "test.bin"):
        (tmp_path / name).write_bytes(bytes([11, 98]) + bytes(3072))
    for label, expected in (("fine", 98), ("coarse", 11)):
        tensors = cifar10_input.load_data(32, 1, tmp_path, dataset="cifar100", label=label)
        with initialized_session() as s:
            assert s.run(tensors[1]) == [expected]
            assert s.run(tensors[3]) == [expected]


def test_an_epoch_is_a_permutation_and_two_epochs_differ(records):
    order = grey_stream(records, 5).reshape(2, 20)  # batches of 8 cross the boundary between epochs of 20
    for epoch in order:
        assert sorted(epoch) == list(range(20))
    assert list(order[0]) != list(order[1])
    assert list(order[0]) != list(range(20))


@pytest.fixture
def numbered(tmp_path):
    """Records of 5x5 images: image n has pixel value n at the top left, and 100 + column + 10 * row elsewhere."""
    place = 100 + np.arange(5) + 10 * np.arange(5)[:, None]
    pictures = np.repeat(place[None, None], 6, 0).repeat(3, 1).astype(np.uint8)
    rows = np.concatenate([np.arange(6, dtype=np.uint8)[:, None], pictures.reshape(6, -1)], 1)
    files = tmp_path / "train.bin", tmp_path / "test.bin"
    rows.tofile(files[0])
    rows[:2].tofile(files[1])
    return find.Records("pictures", files[:1], files[1:], 5, 1, 0, tuple("abcdef"), 6, 2, tmp_path)


def _pictures(records, count, batch_size, **options):
    """(labels [n], one channel [n, 5, 5]) of the first training batches, and of one pass over the validation images."""
    with tf.Graph().as_default():
        tensors = batches.train_and_validation(records, 5, batch_size, **{**RAW, **options})
        with initialized_session() as s:
            train = [s.run(tensors[:2]) for _ in range(count)]
            val = s.run(tensors[2:])
    images, labels = (np.concatenate(parts) for parts in zip(*train))
    return labels, np.round(images[..., 0]).astype(int), val[1]


def test_crops_are_shifts_filled_up_by_reflection(numbered):
    _, images, _ = _pictures(numbered, 40, 6, flip=False, crop=2)
    place = 100 + np.arange(5) + 10 * np.arange(5)[:, None]
    padded = np.pad(place, 2, mode="reflect")
    windows = {padded[y : y + 5, x : x + 5].tobytes() for y in range(5) for x in range(5)}
    assert len(windows) == 25
    assert {image.astype(padded.dtype).tobytes() for image in images} == windows  # exactly these


def test_cutout_sets_a_square_of_each_image_to_the_mean(numbered):
    mean = (0.4,) * 3  # pixel 102
    _, whole, val = _pictures(numbered, 40, 6, flip=False, mean=mean)
    _, images, same_val = _pictures(numbered, 40, 6, flip=False, mean=mean, cutout=3)
    masks = {}
    for top, left in itertools.product(range(3), repeat=2):  # each place at which all of the square is inside
        mask = np.zeros((5, 5), bool)
        mask[top : top + 3, left : left + 3] = True
        masks[np.where(mask, 0, whole[0]).tobytes()] = (top, left)
    assert {masks[image.tobytes()] for image in images} == set(masks.values())
    np.testing.assert_array_equal(val, same_val)
    _, part, _ = _pictures(numbered, 40, 6, flip=False, mean=mean, cutout=3, rows=slice(1, 3))  # of a worker
    np.testing.assert_array_equal(part, images.reshape(40, 6, 5, 5)[:, 1:3].reshape(80, 5, 5))


@pytest.mark.parametrize("seed", [1, 2])
def test_alternating_flips_mirror_each_image_in_every_other_epoch(numbered, seed):
    """Batches of 4 of 6 records: every third batch spans two epochs."""
    labels, images, _ = _pictures(numbered, 12, 4, seed=seed, alternating_flips=True)
    mirrored = images[:, 0, 0] == 104
    np.testing.assert_array_equal(images[~mirrored, 0, 0], 100)
    by_epoch = [dict(zip(*epoch)) for epoch in zip(labels.reshape(8, 6), mirrored.reshape(8, 6))]
    assert 0 < sum(by_epoch[0].values()) < 6
    for this, following in itertools.pairwise(by_epoch):
        assert following == {label: not was for label, was in this.items()}
    _, part, _ = _pictures(numbered, 12, 4, seed=seed, alternating_flips=True, rows=slice(1, 3))  # of a worker
    np.testing.assert_array_equal(part, images.reshape(12, 4, 5, 5)[:, 1:3].reshape(24, 5, 5))


def test_a_crop_or_cutout_as_large_as_the_image_is_refused(numbered):
    with pytest.raises(UserError, match="crop 5: the images have 5 pixels"):
        _pictures(numbered, 1, 1, crop=5)
    with pytest.raises(UserError, match="cutout 5: the images have 5 pixels a side; cut out a smaller square"):
        _pictures(numbered, 1, 1, cutout=5)


def test_held_out_records_are_validated_on_and_not_trained_on(numbered):
    records = hold_out(numbered, 2)
    labels, _, held_out = _pictures(records, 8, 4)
    assert sorted(labels) == sorted([0, 1, 2, 3] * 8)
    np.testing.assert_array_equal(held_out, [4, 5])
    np.testing.assert_array_equal(batches.labels(records, [0, 1], "val"), [4, 5])
    np.testing.assert_array_equal(batches.labels(records, [0, 1], "test"), [0, 1])


@pytest.mark.parametrize("count", [-1, 6])
def test_holding_out_everything_is_refused(numbered, count):
    with pytest.raises(UserError, match=f"hold-out {count}: images in .* has 6 training records; hold out fewer"):
        hold_out(numbered, count)


def test_seeds_differ(records):
    assert not np.array_equal(grey_stream(records, 2, seed=0), grey_stream(records, 2, seed=1))


def test_the_stream_starts_at_the_global_step(records, graph):
    train_imgs, *_ = batches.train_and_validation(records, 8, 8, **RAW)
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        s.run(tf.assign(tf.train.get_global_step(), 3))
        s.run(tf.local_variables_initializer())
        s.run(tf.tables_initializer())
        greys = np.round(s.run(train_imgs).mean((1, 2, 3)))
    np.testing.assert_array_equal(greys, grey_stream(records, 4)[3])


def test_the_input_needs_no_global_variables_initializer(records, graph):
    train_imgs, *_ = batches.train_and_validation(records, 8, 8, **RAW)
    with tf.Session() as s:
        s.run(tf.local_variables_initializer())
        s.run(tf.tables_initializer())
        assert s.run(train_imgs).shape == (8, 8, 8, 3)


def test_flips_half_of_the_images_and_only_mirrors(tmp_path, graph):
    left = np.zeros((3, 32, 32), np.uint8)
    left[:, :, :16] = 200
    for name in (*find.CIFAR10.train, *find.CIFAR10.test):
        (tmp_path / name).write_bytes(bytes([0]) + left.tobytes())
    train_imgs, _, val_imgs, _ = cifar10_input.load_data(32, 64, tmp_path, **RAW)
    with initialized_session() as s:
        images = np.concatenate([s.run(train_imgs) for _ in range(8)])
        val = s.run(val_imgs)
    expected = np.moveaxis(left, 0, -1)
    flipped = [np.allclose(image, expected[:, ::-1], atol=1e-3) for image in images]
    kept = [np.allclose(image, expected, atol=1e-3) for image in images]
    assert sum(flipped) + sum(kept) == 512
    assert 200 < sum(flipped) < 312  # 256 expected, 5 standard deviations
    np.testing.assert_allclose(val[0], expected, atol=1e-3)


def test_normalization_and_resize(records, graph):
    train_imgs, _, val_imgs, _ = batches.train_and_validation(
        records, 12, 4, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0)
    )
    assert train_imgs.shape == (4, 12, 12, 3)
    with initialized_session() as s:
        first = s.run(val_imgs)[0]
    np.testing.assert_allclose(first[0, 0], [(100 / 255 - 0.5) / 0.5, 100 / 255 - 0.25, 100 / 255 / 2], rtol=1e-5)
    np.testing.assert_allclose(first, np.broadcast_to(first[0, 0], (12, 12, 3)), rtol=1e-5)


def test_bilinear_resize_against_numbers_by_hand(tmp_path, graph):
    # Half-pixel centres, 2 -> 4: positions -0.25, 0.25, 0.75, 1.25 of [0, 100], clamped at the ends.
    (tmp_path / "r.bin").write_bytes(bytes([0] + [0, 100, 0, 100] * 3))
    files = (tmp_path / "r.bin",)
    records = find.Records("synthetic", files, files, 2, 1, 0, ("a",), 1, 1)
    _, _, val_imgs, _ = batches.train_and_validation(records, 4, 1, **RAW)
    with initialized_session() as s:
        row = s.run(val_imgs)[0, 1, :, 0]
    np.testing.assert_allclose(row, [0, 25, 75, 100], atol=1e-4)


@pytest.mark.parametrize("batch_size, sizes", [(3, [3, 3, 1]), (7, [7]), (10, [7])])
def test_a_validation_pass_is_every_image_once_in_order(records, graph, batch_size, sizes):
    _, _, val_imgs, val_labels = batches.train_and_validation(records, 8, batch_size, **RAW)
    with initialized_session() as s:
        for _ in range(2):  # two passes
            pairs = [s.run([val_imgs, val_labels]) for _ in sizes]
            assert [len(labels) for _, labels in pairs] == sizes
            greys = [round(float(image.mean())) for images, _ in pairs for image in images]
            assert greys == list(range(100, 107))
            assert [label for _, labels in pairs for label in labels] == [grey % 3 for grey in greys]


@pytest.mark.slow
def test_the_same_seed_and_step_give_the_same_bytes_in_two_processes(tmp_path):
    records = np.random.default_rng(0).integers(0, 256, (40, 3073), np.uint8)
    records[:, 0] %= 10
    for name in (*find.CIFAR10.train, *find.CIFAR10.test):
        records.tofile(tmp_path / name)
    program = f"""
import hashlib, tensorflow.compat.v1 as tf
from utils import cifar10_input
tf.disable_eager_execution()
images, labels, _, _ = cifar10_input.load_data(48, 16, {str(tmp_path)!r}, seed=5)
with tf.Session() as s:
    s.run([tf.local_variables_initializer(), tf.tables_initializer()])
    for _ in range(4):
        print(hashlib.sha256(b''.join(a.tobytes() for a in s.run([images, labels]))).hexdigest())
"""
    runs = [
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    digests = runs[0].split()
    assert runs[0] == runs[1]
    assert len(set(digests)) == 4


def test_an_error_without_initialization_names_the_initializers(records, graph):
    for tensor in batches.train_and_validation(records, 8, 4, **RAW):
        with tf.Session() as session:
            with pytest.raises(tf.errors.FailedPreconditionError, match="run_local_variables_initializer_and_tables"):
                session.run(tensor)


def test_bad_sizes_are_named(records, graph):
    with pytest.raises(ValueError, match="got 0 and 8"):
        batches.train_and_validation(records, 0, 8)


def test_data_is_read_once(records, graph):
    train_imgs, _, val_imgs, _ = batches.train_and_validation(records, 8, 4, **RAW)
    with initialized_session() as s:
        for path in (*records.train, *records.test):
            path.unlink()
        for _ in range(5):
            s.run([train_imgs, val_imgs])
        s.run([stream.restart for stream in streams.registered(graph) if stream.in_order])
        assert round(float(s.run(val_imgs)[0].mean())) == 100


def test_all_records_fit_the_index(records):
    one = dataclasses.replace(records, num_train=1, train=records.train)
    one.train[0].write_bytes(bytes([2] + [9] * 192))
    with tf.Graph().as_default():
        _, labels, *_ = batches.train_and_validation(one, 8, 3, **RAW)
        with initialized_session() as s:
            np.testing.assert_array_equal(s.run(labels), [2, 2, 2])
