"""The synthetic images: their layout, reproducibility, and what distinguishes the classes."""

import hashlib
import threading

import numpy as np
import pytest

from graph_resnet.data import find, synthetic
from graph_resnet.errors import UserError


def read(directory, names, label_bytes):
    """(uint8 labels [n, label_bytes], float32 pixels [n, 3, 32, 32])."""
    content = b"".join((directory / name).read_bytes() for name in names)
    records = np.frombuffer(content, np.uint8).reshape(-1, label_bytes + 3072)
    return records[:, :label_bytes], records[:, label_bytes:].reshape(-1, 3, 32, 32).astype(np.float32)


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    """(train labels, train pixels, test labels, test pixels) of the ten classes."""
    directory = tmp_path_factory.mktemp("synthetic") / "ten"
    synthetic.write(directory, num_train=2000, num_test=500)
    labels, pixels = read(directory, find.CIFAR10.train, 1)
    test_labels, test_pixels = read(directory, find.CIFAR10.test, 1)
    return labels[:, 0], pixels, test_labels[:, 0], test_pixels


def test_layout_of_ten_classes(tmp_path):
    synthetic.write(tmp_path / "new", num_train=53, num_test=7)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "new").iterdir()}
    assert sizes.pop("batches.meta.txt") > 0
    assert sizes == {
        "data_batch_1.bin": 11 * 3073,
        "data_batch_2.bin": 11 * 3073,
        "data_batch_3.bin": 11 * 3073,
        "data_batch_4.bin": 10 * 3073,
        "data_batch_5.bin": 10 * 3073,
        "test_batch.bin": 7 * 3073,
    }
    names = (tmp_path / "new" / "batches.meta.txt").read_bytes()
    assert names == b"disc\nring\nsquare\ntriangle\nplus\nstar\nrows\ncolumns\nchecks\ndots\n"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # no draft left


def test_layout_of_a_hundred_classes(tmp_path):
    synthetic.write(tmp_path / "new", num_classes=100, num_train=200, num_test=100)
    labels, _ = read(tmp_path / "new", ["train.bin"], 2)
    assert len(labels) == 200
    assert (labels[:, 0] == labels[:, 1] // 5).all()
    assert sorted(labels[:, 1]) == sorted(2 * list(range(100)))
    assert (tmp_path / "new" / "test.bin").stat().st_size == 100 * 3074
    fine = (tmp_path / "new" / "fine_label_names.txt").read_text().split()
    coarse = (tmp_path / "new" / "coarse_label_names.txt").read_text().split()
    assert (len(fine), len(set(fine)), len(set(coarse))) == (100, 100, 20)
    assert all(name == f"{coarse[i // 5]}_{name.rpartition('_')[2]}" for i, name in enumerate(fine))


@pytest.mark.parametrize(
    ("num_classes", "name", "expected"),
    [
        (10, "data_batch_1.bin", "691378e7db050f5558f3dc9aa466e737a060c4e4071cfe3592a381ebefdf58b0"),
        (100, "test.bin", "62f124df51154257d848bd32128a4ccc33e7cd77603939e14e964950918d4a39"),
    ],
)
def test_bytes_are_the_same_everywhere(tmp_path, num_classes, name, expected):
    synthetic.write(tmp_path / "new", num_classes, num_train=100, num_test=100)
    assert hashlib.sha256((tmp_path / "new" / name).read_bytes()).hexdigest() == expected


def test_classes_are_balanced_and_no_image_repeats(ten):
    labels, pixels, test_labels, test_pixels = ten
    assert np.bincount(labels).tolist() == [200] * 10
    assert np.bincount(test_labels).tolist() == [50] * 10
    assert np.bincount(labels[:400], minlength=10).min() > 20  # the order is shuffled
    pictures = np.concatenate([pixels, test_pixels]).reshape(2500, -1)
    assert len({picture.tobytes() for picture in pictures}) == 2500


@pytest.mark.parametrize(
    "features",
    [
        lambda pixels: pixels.mean((2, 3)),
        lambda pixels: np.concatenate([pixels.mean((2, 3)), pixels.std((2, 3))], axis=1),
        lambda pixels: pixels[:, :, ::2, ::2].reshape(len(pixels), -1),
    ],
    ids=["mean colour", "mean and contrast", "pixels"],
)
def test_no_linear_classifier_distinguishes_the_classes(ten, features):
    labels, pixels, test_labels, test_pixels = ten
    both = [features(images) / 255 for images in (pixels, test_pixels)]
    x, test_x = (np.pad(x, ((0, 0), (0, 1)), constant_values=1) for x in both)
    weights = np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ np.eye(10)[labels])
    accuracy = np.mean((test_x @ weights).argmax(1) == test_labels)
    assert accuracy < 0.3  # 0.1 is chance; at most 0.14 measured


def spectrum(pixels):
    """The magnitude of each frequency in the grey image, normalized: independent of the drawing's position."""
    grey = pixels.mean(1)
    grey = grey - grey.mean((1, 2), keepdims=True)
    size = np.log1p(np.abs(np.fft.rfft2(grey))).reshape(len(grey), -1)
    size = size - size.mean(1, keepdims=True)
    return size / np.linalg.norm(size, axis=1, keepdims=True)


@pytest.mark.parametrize("mirror", [False, True])
def test_structure_distinguishes_the_classes_also_mirrored(ten, mirror):
    labels, pixels, test_labels, test_pixels = ten
    seen = test_pixels[..., ::-1] if mirror else test_pixels
    nearest = labels[(spectrum(seen) @ spectrum(pixels).T).argmax(1)]
    assert np.mean(nearest == test_labels) > 0.7  # 0.80 measured
    recall = [np.mean(nearest[test_labels == label] == label) for label in range(10)]
    assert min(recall) > 0.35  # for every class; 0.52 measured


def test_two_concurrent_writers_both_succeed(tmp_path):
    barrier, errors = threading.Barrier(2), []

    def work():
        barrier.wait()
        try:
            synthetic.write(tmp_path / "new", num_train=50, num_test=10)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert len(list((tmp_path / "new").iterdir())) == 7


def test_other_files_are_not_overwritten(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(b"mine")
    with pytest.raises(UserError, match=str(tmp_path)):
        synthetic.write(tmp_path, num_train=5, num_test=1)
    assert [path.name for path in tmp_path.iterdir()] == ["data_batch_1.bin"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 7}, "num_classes 7: 10 or 100"),
        ({"num_train": 4}, "num_train 4, num_test 1000: at least 5 and 1"),
        ({"num_test": 0}, "num_train 5000, num_test 0: at least 5 and 1"),
    ],
)
def test_wrong_numbers(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic.write(tmp_path / "new", **arguments)
    assert list(tmp_path.iterdir()) == []
