"""Folders of pictures: what becomes of them, byte by byte, what is refused, and a net trained on them."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from graph_resnet import recipes, train
from graph_resnet.data import find, image_folders
from graph_resnet.errors import UserError
from tests.helpers import run

RED, GREEN, BLUE = (200, 0, 0), (0, 150, 0), (0, 0, 100)


def save(path, colour=RED, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def numbered(directory, name, count, first=0):
    """`count` pictures of one class, each of a grey level that is its number."""
    for i in range(first, first + count):
        save(directory / name / f"{i:03}.png", (i, i, i))


def record(label, colour, side):
    return bytes([label]) + b"".join(bytes([level]) * side * side for level in colour)


def levels(path, label, side):
    """The grey levels of the pictures of one class in a record file, in order."""
    rows = np.fromfile(path, np.uint8).reshape(-1, 1 + 3 * side * side)
    return rows[rows[:, 0] == label, 1].tolist()


def why(directory, side=4):
    with pytest.raises(find.DataError) as caught:
        image_folders.records(directory, side)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "things"


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own_cache"))
    return tmp_path / "own_cache" / "graph_resnet"


def test_train_and_val_become_records(folder):
    save(folder / "train" / "sky" / "1.png", BLUE, (12, 8))  # classes come in the order of their names
    save(folder / "train" / "grass" / "2.bmp", GREEN)
    save(folder / "train" / "grass" / "1.PNG", RED, (4, 4))
    save(folder / "val" / "grass" / "a.gif", GREEN)
    save(folder / "val" / "sky" / "a.png", BLUE, (5, 9))
    found = image_folders.records(folder, 4)
    assert (found.dataset, found.label, found.title) == ("pictures", "fine", "pictures in things (2 classes)")
    assert (found.class_names, found.num_train, found.num_test) == (("grass", "sky"), 3, 2)
    assert (found.side, found.record_bytes) == (4, 49)
    (train_file,), (val_file,) = found.train, found.test
    assert train_file.read_bytes() == record(0, RED, 4) + record(0, GREEN, 4) + record(1, BLUE, 4)
    assert val_file.read_bytes() == record(0, GREEN, 4) + record(1, BLUE, 4)
    assert (train_file.parent / "class_names.txt").read_text() == "grass\nsky\n"


def test_a_picture_is_its_middle(folder):
    image = Image.new("RGB", (6, 2), RED)
    image.paste(GREEN, (2, 0, 3, 2))  # the middle two columns of six: green, blue
    image.paste(BLUE, (3, 0, 4, 2))
    for part in ("train", "val"):
        for name in ("a", "b"):
            (folder / part / name).mkdir(parents=True)
            image.save(folder / part / name / "1.png")
    (path,) = image_folders.records(folder, 2).test
    one = [[[0, 0], [0, 0]], [[150, 0], [150, 0]], [[0, 100], [0, 100]]]
    assert np.fromfile(path, np.uint8).reshape(2, 13)[0, 1:].reshape(3, 2, 2).tolist() == one


def test_a_tenth_of_each_class_is_kept_for_validation(folder):
    numbered(folder, "a", 25)
    numbered(folder, "b", 5)
    found = image_folders.records(folder, 4)
    assert (found.num_train, found.num_test) == (23 + 4, 2 + 1)
    train, val = ([levels(path, label, 4) for label in (0, 1)] for (path,) in (found.train, found.test))
    assert [len(each) for each in val] == [2, 1]
    assert [sorted(a + b) for a, b in zip(train, val)] == [list(range(25)), list(range(5))]
    seeds = {str(levels(image_folders.records(folder, 4, seed=seed).test[0], 0, 4)) for seed in range(4)}
    assert len(seeds) > 1
    # One training picture less: nothing moves to the other side.
    (folder / "a" / f"{train[0][0]:03}.png").unlink()
    after = image_folders.records(folder, 4)
    assert levels(after.test[0], 0, 4) == val[0] and levels(after.train[0], 0, 4) == train[0][1:]


def test_it_is_done_once_for_what_is_there(folder):
    numbered(folder, "a", 3)
    numbered(folder, "b", 3)
    first = image_folders.records(folder, 4)
    written = first.train[0].stat().st_mtime_ns
    assert image_folders.records(folder, 4) == first
    assert first.train[0].stat().st_mtime_ns == written
    moved = folder.rename(folder.with_name("moved"))
    assert image_folders.records(moved, 4).train == first.train
    assert image_folders.records(moved, 5).train != first.train
    os.utime(moved / "b" / "001.png", ns=(0, 0))
    touched = image_folders.records(moved, 4)
    assert touched.train != first.train
    # The same bytes are the same data, wherever they are.
    before, after = find.describe(first), find.describe(touched)
    assert (before["directory"], after["directory"]) == (str(folder), str(moved))
    assert find.same_data(before, after) is None
    save(moved / "b" / "new.png", RED)
    assert "was" in find.same_data(before, find.describe(image_folders.records(moved, 4)))


def test_hidden_and_other_files_are_passed_over(folder):
    for part in ("train", "val"):
        for name in ("a", "b"):
            save(folder / part / name / "1.jpg")
    for name in ("train/a/.hidden.png", "train/a/notes.txt", "train/a/none", "train/.thumbs/1.png", "test/c/1.png"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("no picture")
    (folder / "train" / "a" / "folder.png").mkdir()
    found = image_folders.records(folder, 4)
    assert (found.class_names, found.num_train, found.num_test) == (("a", "b"), 2, 2)


def test_folders_that_are_not_as_wanted(folder):
    wanted = "one folder of pictures a class is wanted, in it or in its train/ and val/"
    assert why(folder) == f"dataset_dir {folder}: no such directory; pass another --dataset-dir"
    assert why(__file__) == f"dataset_dir {__file__}: this is a file; pass another --dataset-dir"
    save(folder / "1.png")
    assert why(folder) == f"dataset_dir {folder}: no class folders; {wanted}"
    numbered(folder, "cat", 3)
    assert why(folder) == f"dataset_dir {folder}: only one class folder, cat; {wanted}"
    numbered(folder, "dog", 1)
    assert why(folder) == f"{folder}/dog: one picture, not enough for training and validation; add more"
    (folder / "dog" / "000.png").unlink()
    empty = "no .png, .jpg, .jpeg, .bmp, .gif file in this class folder; add some, or remove it"
    assert why(folder) == f"{folder}/dog: {empty}"
    (folder / "dog" / "000.png").symlink_to("nowhere.png")
    lost = "cannot be read (No such file or directory); mend or remove it"
    assert why(folder) == f"{folder}/dog/000.png: {lost}"
    (folder / "dog").rename(folder / "d\no\ng")
    assert "unprintable characters in the class name 'd\\no\\ng'; rename the folder" in why(folder)
    for i in range(255):
        (folder / f"class {i}").mkdir()
    assert why(folder) == f"dataset_dir {folder}: 257 class folders; a label byte tells 256 apart at most"


def test_train_and_val_have_to_hold_the_same_classes(folder):
    for name in ("train/cat", "train/dog", "train/emu", "val/cat", "val/cow"):
        numbered(folder, name, 1)
    which = "only in train/: dog, emu; only in val/: cow"
    assert why(folder) == f"dataset_dir {folder}: train/ and val/ hold different classes ({which}); mend that"
    shutil.rmtree(folder / "val" / "cow")
    assert why(folder).startswith(f"dataset_dir {folder}/val: only one class folder, cat;")


def test_a_picture_that_cannot_be_decoded_is_refused(folder, own_cache):
    numbered(folder, "a", 10)
    numbered(folder, "b", 10)
    bad = folder / "b" / "zzz.png"
    bad.write_bytes(b"no picture")
    assert why(folder) == (
        f"{bad}: not a picture in PNG, JPEG, BMP or GIF; 1 of 21 pictures cannot be used: mend or remove it"
    )
    whole = (folder / "a" / "003.png").read_bytes()
    (folder / "a" / "003.png").write_bytes(whole[: len(whole) // 2])
    message = why(folder)
    assert message.startswith(f"{folder}/a/003.png: ")
    assert message.endswith("; 2 of 21 pictures cannot be used: mend or remove them")
    assert list(own_cache.iterdir()) == []


def test_what_the_cache_may_do(folder, tmp_path, monkeypatch):
    numbered(folder, "a", 3)
    numbered(folder, "b", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", __file__)
    assert why(folder).startswith(f"{__file__}/graph_resnet/pictures-") and "cannot be written (" in why(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    found = image_folders.records(folder, 4)
    (path,) = found.train
    path.write_bytes(path.read_bytes()[:-1])
    assert why(folder) == f"{path}: does not hold 4 records; delete {path.parent} and run again"


def test_a_recipe_says_where_to_look(folder):
    cifar, own = recipes.RECIPES["notebook"], train.parse(["--dataset-dir", "x", "--image-size", "4"])[0]
    assert (own.dataset, find.record_side(own), find.record_side(cifar)) == ("pictures", 4, 32)
    for recipe, places, message in (
        (cifar, {"dataset_dir": "x"}, "dataset_dir x: the net's dataset is cifar10; pass --data-dir"),
        (own, {}, "dataset 'pictures'; pass --dataset-dir DIR"),
        (own, {"data_dir": "y"}, "data_dir y: the net's dataset is pictures; pass --dataset-dir DIR"),
    ):
        with pytest.raises(UserError, match=message):
            find.for_recipe(recipe, **places)
    coarse = train.parse(["--dataset-dir", "x", "--label", "coarse"])[0]
    with pytest.raises(UserError, match="label 'coarse': pictures in folders have only fine labels"):
        find.for_recipe(coarse, None, folder)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--dataset-dir", "x", "--dataset", "cifar10"], "--dataset: not allowed with argument --dataset-dir"),
        (["--dataset_dir", "x", "--data_dir", "y"], "--data-dir: not allowed with argument --dataset-dir"),
        (["--dataset-dir", "x", "--summary"], "--summary: not allowed with argument --dataset-dir"),
        (["--dataset", "pictures"], "--dataset: pictures come with --dataset-dir DIR"),
    ],
)
def test_flags_that_do_not_go_together(flags, message, capsys):
    with pytest.raises(SystemExit) as caught:
        train.parse(flags)
    assert caught.value.code == 2 and message in capsys.readouterr().err


def test_a_net_is_trained_on_them_and_evaluated(folder, tmp_path, cache):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        other = "light" if name == "dark" else "dark"
        for part in [*20 * [f"train/{name}"], *3 * [f"val/{name}"], f"val/{other}"]:  # one that a good net gets wrong
            path = folder / part / f"{rng.integers(1 << 40)}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((level + rng.integers(-50, 51, (20, 24, 3))).astype(np.uint8)).save(path)
    train_dir, env = tmp_path / "run", {**os.environ, "XDG_CACHE_HOME": str(cache)}
    small = ["--image-size", "16", "--batch-size", "8", "--steps", "10", "--precision", "float32"]
    status, lines, err = run("--dataset-dir", folder, "--train-dir", train_dir, *small, env=env)
    assert status == 0, err
    assert lines[0] == "[data]: pictures in things (2 classes), 40 training and 8 test images"
    assert lines[-1].startswith("[final]: step 10 ") and lines[-1].endswith("(8 images)")
    config = json.loads((train_dir / "config.json").read_text())
    assert config["class_names"] == ["dark", "light"]
    assert (config["recipe"]["dataset"], config["recipe"]["num_classes"]) == ("pictures", 2)
    assert config["data"]["directory"] == str(folder)
    assert [(each["records"], each["bytes"]) for each in config["data"]["files"]] == [(40, 40 * 769), (8, 8 * 769)]
    # It needs to be told nothing; and, once the pictures have moved, only where they are.
    moved = folder.rename(tmp_path / "moved")
    evaluate = ["--train-dir", train_dir, "--json"]
    status, lines, err = run(*evaluate, module="graph_resnet.evaluate", env=env)
    assert (status, err.count("\n")) == (1, 1)
    assert f"dataset_dir {folder}: no such directory" in err
    status, lines, err = run(*evaluate, "--dataset-dir", moved, module="graph_resnet.evaluate", env=env)
    assert status == 0, err
    result = json.loads(lines[-1])
    assert [(each["name"], each["images"]) for each in result["classes"]] == [("dark", 4), ("light", 4)]
    assert result["data"] == "pictures in moved (2 classes)"
