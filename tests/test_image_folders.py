"""Folders of images: accepted layouts, the resulting bytes, and what is refused or skipped."""

import itertools
import json
import os
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graph_resnet import config, recipes, train, training
from graph_resnet.data import find, image_folders, image_listing, of_runs
from graph_resnet.data.records import hold_out
from graph_resnet.errors import UserError
from tests.helpers import as_nobody, needs_root, run

RED, GREEN, BLUE = (200, 0, 0), (0, 150, 0), (0, 0, 100)


def save(path, colour=RED, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def numbered(directory, name, count, first=0):
    """`count` images of one class; the grey level of an image is its number."""
    for i in range(first, first + count):
        save(directory / name / f"{i:03}.png", (i, i, i))


def record(label, colour, side):
    return bytes([label]) + b"".join(bytes([level]) * side * side for level in colour)


def rows(path, side):
    """The records of a file as sorted bytes."""
    content = path.read_bytes()
    size = 1 + 3 * side * side
    return sorted(content[i : i + size] for i in range(0, len(content), size))


def labels(path, side):
    return np.fromfile(path, np.uint8)[:: 1 + 3 * side * side].tolist()


def levels(path, label, side):
    """The grey levels of one class's images in a record file, sorted."""
    found = np.fromfile(path, np.uint8).reshape(-1, 1 + 3 * side * side)
    return found[found[:, 0] == label, 1].tolist()


def why(directory, side=4):
    with pytest.raises(UserError) as caught:
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
    save(folder / "train" / "sky" / "1.png", BLUE, (12, 8))  # classes are sorted by name
    save(folder / "train" / "grass" / "2.bmp", GREEN)
    save(folder / "train" / "grass" / "1.PNG", RED, (4, 4))
    save(folder / "val" / "grass" / "a.gif", GREEN)
    save(folder / "val" / "sky" / "a.png", BLUE, (5, 9))
    found = image_folders.records(folder, 4)
    assert (found.dataset, found.label, found.title) == ("pictures", "fine", "images in things (2 classes)")
    assert (found.class_names, found.num_train, found.num_test) == (("grass", "sky"), 3, 2)
    assert (found.side, found.record_bytes, found.directory) == (4, 49, folder)
    (train_file,), (val_file,) = found.train, found.test
    assert rows(train_file, 4) == sorted([record(0, RED, 4), record(0, GREEN, 4), record(1, BLUE, 4)])
    assert rows(val_file, 4) == [record(0, GREEN, 4), record(1, BLUE, 4)]
    assert json.loads((train_file.parent / "index.json").read_text())["class_names"] == ["grass", "sky"]


def test_an_image_is_cropped_to_its_centre(folder):
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
    assert found.notes[0] == "a tenth of each class is kept for validation: 2 a, 1 b"
    train, val = ([levels(path, label, 4) for label in (0, 1)] for (path,) in (found.train, found.test))
    assert [len(part) for part in val] == [2, 1]
    assert [sorted(a + b) for a, b in zip(train, val)] == [list(range(25)), list(range(5))]
    seeds = {str(levels(image_folders.records(folder, 4, seed=seed).test[0], 0, 4)) for seed in range(4)}
    assert len(seeds) > 1
    # One training image fewer: no image moves to the other side.
    (folder / "a" / f"{train[0][0]:03}.png").unlink()
    after = image_folders.records(folder, 4)
    assert levels(after.test[0], 0, 4) == val[0] and levels(after.train[0], 0, 4) == train[0][1:]


def test_the_first_and_the_last_records_hold_all_classes(folder):
    for name in ("apple", "banana", "cherry"):
        numbered(folder, name, 20)
    found = image_folders.records(folder, 4)
    order = labels(found.train[0], 4)
    assert set(order[:12]) == set(order[-18:]) == {0, 1, 2}
    held = hold_out(found, 18)
    assert held.class_counts("val").min() >= 2 and held.class_counts("train").min() >= 2
    assert held.class_counts("val").sum() == 18
    counts = ", ".join(f"{count} {name}" for count, name in zip(held.class_counts("val"), found.class_names))
    assert held.notes[-1] == f"held out of each class: {counts}"


def test_held_out_images_of_many_classes_are_shown_as_a_range(records):
    many = replace(records, class_names=tuple(f"class {i}" for i in range(11)))
    assert hold_out(many, 8).notes == ("held out of each class: 0 (class 3) to 3 (class 0)",)


def test_records_are_written_once(folder):
    numbered(folder, "a", 3)
    numbered(folder, "b", 3)
    first = image_folders.records(folder, 4)
    written = first.train[0].stat().st_mtime_ns
    assert image_folders.records(folder, 4) == first
    assert first.train[0].stat().st_mtime_ns == written
    moved = folder.rename(folder.with_name("moved"))
    os.utime(moved / "b" / "001.png", ns=(0, 0))
    assert image_folders.records(moved, 4).train == first.train
    assert image_folders.records(moved, 5).train != first.train
    before, after = find.describe(first), find.describe(image_folders.records(moved, 4))
    assert (before["directory"], after["directory"]) == (str(folder), str(moved))
    assert find.same_data(before, after) is None
    save(moved / "b" / "new.png", RED)
    assert "was" in find.same_data(before, find.describe(image_folders.records(moved, 4)))


def test_the_cache_is_keyed_by_content(tmp_path):
    """Two folders whose files have equal names, sizes and times."""
    for name, first in (("one", 0), ("two", 100)):
        for part in ("a", "b"):
            for i in range(3):
                save(tmp_path / name / part / f"{i}.bmp", (first + i,) * 3)
    for path in tmp_path.rglob("*.bmp"):
        os.utime(path, (0, 0))
    one, two = (image_folders.records(tmp_path / name, 4) for name in ("one", "two"))
    assert one.train != two.train
    assert levels(two.train[0], 0, 4)[0] >= 100 > levels(one.train[0], 0, 4)[0]


SYNONYMS = [("train", "val"), ("Train", "Val"), ("training", "validation"), ("TRAIN", "valid"), ("train", "test")]
SYNONYMS += [("training", "testing"), ("training_set", "test_set"), ("seg_train", "seg_test"), ("trainset", "Test Set")]
SYNONYMS += [("train2017", "val2017"), ("train_images", "dev"), ("asl_alphabet_train", "asl_alphabet_test")]


@pytest.mark.parametrize("names", SYNONYMS, ids="-".join)
def test_the_parts_of_a_dataset_have_many_names(folder, names):
    for part, count in zip(names, (4, 2)):
        for name in ("cat", "dog"):
            numbered(folder / part, name, count)
    found = image_folders.records(folder, 4)
    assert (found.class_names, found.num_train, found.num_test) == (("cat", "dog"), 8, 4)
    as_val = f"{names[1]}/ is used for validation, as there is no val/"
    assert (as_val in found.notes) == ("test" in names[1].casefold())


def test_unused_parts_are_named(folder):
    for part in ("train", "valid", "test", "docs"):
        for name in ("cat", "dog"):
            numbered(folder / part, name, 2)
    found = image_folders.records(folder, 4)
    assert (found.num_train, found.num_test) == (4, 4)
    assert found.notes[0] == "docs/, test/ of things not used"


def test_training_folders_alone_are_divided(folder):
    """As on Kaggle: train/CLASS, and test images without classes."""
    for name in ("cat", "dog"):
        numbered(folder / "train", name, 10)
    save(folder / "test" / "1.png")
    found = image_folders.records(folder, 4)
    assert (found.class_names, found.num_train, found.num_test) == (("cat", "dog"), 18, 2)
    assert found.notes[:2] == ("test/ of things not used", "a tenth of each class is kept for validation: 1 cat, 1 dog")


def test_an_archive_unpacked_into_a_folder_of_its_name(tmp_path):
    for part in ("training_set/training_set", "test_set/test_set"):
        for name in ("cat", "dog"):
            numbered(tmp_path / "pets" / "pets" / part, name, 2)
    save(tmp_path / "pets" / "__MACOSX" / "._1.png")
    found = image_folders.records(tmp_path / "pets", 4)
    assert (found.class_names, found.num_train, found.num_test) == (("cat", "dog"), 4, 4)


WANTED = "expected one folder of images per class, in it or in its train/ and val/"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("train/1.png", "test/1.png"), "train/ holds no class folders; " + WANTED + ", such as train/CLASS/*.jpg"),
        (("train/1.png", "val/1.png"), "train/ holds no class folders"),
        (("Training/1.png", "Testing/1.png"), "Training/ holds no class folders"),
        (("train/1.png", "other/1.png"), "train/ holds no class folders"),
        (("train/1.png", "test/1.png", "cat/1.png"), "train/ holds no class folders"),
        (("train/a/1.png", "train/b/1.png", "val/1.png"), "val/ holds no class folders"),
        (("test/a/1.png", "test/b/1.png"), WANTED + "; to use its images alone, pass "),
        (("val/1.png", "test/1.png"), "holds val/ but no train/"),
        (("cat/1.png", "dog/1.png", "test/1.png"), "rename test/ if it is a class"),
        (("train/a/1.png", "Train/a/1.png", "val/a/1.png"), "Train, train look like the same part of the data"),
        (("train/a/1.png", "val/a/1.png", "validation/a/1.png"), "val, validation look like the same part"),
        (("my_train/1.png", "final_test/1.png"), "final_test, my_train look like parts of a dataset, not like classes"),
        (("a_train/1.png", "a_test/1.png"), "a_train/ holds no class folders"),
    ],
)
def test_what_looks_like_parts_of_a_dataset_is_refused(folder, files, message):
    for name in files:
        save(folder / name)
    assert message in why(folder) and "\n" not in why(folder)


@pytest.mark.parametrize(
    "names",
    [
        ("bus", "car", "train"),
        ("bullet_train", "freight_train"),
        ("test tube", "flask"),
        ("valid", "invalid"),
        ("trains", "a"),
    ],
    ids="-".join,
)
def test_classes_named_like_parts(folder, names):
    for name in names:
        numbered(folder, name, 3)
    assert image_folders.records(folder, 4).class_names == tuple(sorted(names))


def test_hidden_and_system_files_are_skipped(folder):
    for part in ("train", "val"):
        for name in ("a", "b"):
            save(folder / part / name / "1.jpg")
    hidden = ("train/a/.hidden.png", "train/a/Thumbs.db", "train/.thumbs/1.png", "train/@eaDir/1.png", ".git/a/1.png")
    for name in (*hidden, "__MACOSX/train/._1.png", "lost+found/1.png", "train/a/desktop.ini", "train/a/.DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("no image")
    found = image_folders.records(folder, 4)
    assert (found.class_names, found.num_train, found.num_test) == (("a", "b"), 2, 2)
    assert [note for note in found.notes if "skipped" in note] == []


def test_what_is_skipped_is_counted(folder):
    numbered(folder, "a", 3)
    numbered(folder, "b", 3)
    for name in ("a/1.heic", "a/2.HEIC", "a/3.tiff", "b/1.avif", "b/notes.txt", "b/none", "labels.csv"):
        (folder / name).write_text("no image")
    save(folder / "a" / "nested" / "1.png")
    (folder / "a" / "folder.png").mkdir()
    (folder / "b" / "linked").symlink_to(folder / "a")
    (folder / "b" / "looping").symlink_to(folder)
    (folder / "loop").symlink_to(folder)
    (folder / "readme").symlink_to("nowhere")
    (folder / "a" / "lost.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "a" / "pipe.png")
    save(folder / "b" / "linked.png", RED)
    (folder / "b" / "again.png").symlink_to("linked.png")  # a link to an image is an image
    found = image_folders.records(folder, 4)
    assert (found.class_names, found.num_train + found.num_test) == (("a", "b"), 8)
    (note,) = (note for note in found.notes if note.startswith("skipped"))
    assert note == (
        "skipped 2 .heic files, 1 .csv file, 1 .tiff file, 1 .avif file, 1 other file, 1 .txt file, 1 looping link, "
        "1 link, 2 subfolders, 2 linked subfolders, 2 files that cannot be used "
        "(a/lost.png: No such file or directory; a/pipe.png: not a regular file)"
    )


def test_webp_and_every_ending_are_read(folder):
    for name in ("a", "b"):
        for i, ending in enumerate(("webp", "jfif", "JPEG", "jpe", "Png", "GIF", "bmp")):
            path = folder / name / f"{i}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (i, i, ord(name))).save(path, "JPEG" if ending in ("jfif", "jpe") else None)
    found = image_folders.records(folder, 4)
    assert found.num_train + found.num_test == 14 and len(found.notes) == 1


def test_train_dirs_are_not_classes(folder):
    """A run from within the folder: `--dataset-dir .`, or with the train dir next to the classes."""
    numbered(folder, "a", 3)
    numbered(folder, "b", 3)
    before = image_folders.records(folder, 4)
    for run_dir in ("runs/notebook", "runs/strong", "own"):
        save(folder / run_dir / "curves.png")
        (folder / run_dir / "lock").write_text("123\n")
    after = image_folders.records(folder, 4)
    assert after.class_names == ("a", "b") and after.train == before.train
    assert after.notes[-1] == "skipped 2 train dirs"


@pytest.mark.parametrize("content", ["", "a padlock", None])
def test_a_class_with_a_file_called_lock_is_a_class(folder, content):
    for name in ("door", "key"):
        numbered(folder, name, 3)
    (folder / "key" / "lock").mkdir() if content is None else (folder / "key" / "lock").write_text(content)
    assert image_folders.records(folder, 4).class_names == ("door", "key")


@pytest.mark.parametrize("run_dir", [".", "train", "val", "train/a"])
def test_a_train_dir_among_the_images_is_refused(folder, tmp_path, run_dir):
    """Its lock would make a class, or the validation images, a train dir that is skipped."""
    for part, name in itertools.product(("train", "val"), "ab"):
        numbered(folder / part, name, 2)
    (tmp_path / "link").symlink_to(folder / run_dir)
    before = sorted(folder.rglob("*"))
    for directory in (folder / run_dir, tmp_path / "link"):
        with pytest.raises(UserError, match=f"train dir {directory}: holds images of the dataset_dir {folder}; pass"):
            training.train("notebook", directory, data=training.Data(dataset_dir=str(folder)))
    assert sorted(folder.rglob("*")) == before


def test_classes_that_differ_only_in_case_stay_separate(folder):
    for name in ("Cat", "cat", "dog"):
        numbered(folder, name, 3)
    found = image_folders.records(folder, 4)
    assert found.class_names == ("Cat", "cat", "dog")
    assert "classes whose names differ only in case: Cat, cat" in found.notes


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (("fold1", "fold2", "fold_10"), True),
        (("Part A", "Part B"), False),  # more than a number
        (("images", "masks"), True),
        (("batch", "bathtub"), False),
    ],
)
def test_classes_that_are_called_like_parts_are_mentioned(folder, names, hint):
    for name in names:
        numbered(folder, name, 3)
    found = image_folders.records(folder, 4)
    assert found.class_names == tuple(sorted(names))
    line = f"{', '.join(sorted(names))} become classes, but look like parts of a dataset; {image_listing.WANTED}"
    assert (line in found.notes) == hint


def test_two_spellings_of_a_class_are_one(folder):
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    numbered(folder / "train", composed, 2)
    numbered(folder / "val", decomposed, 1)
    for part in ("train", "val"):
        numbered(folder / part, "tea", 1)
    found = image_folders.records(folder, 4)
    assert (found.class_names, found.num_train, found.num_test) == ((composed, "tea"), 3, 2)
    numbered(folder / "train", decomposed, 2, first=5)  # both in one directory
    assert image_folders.records(folder, 4).num_train == 5


def test_an_image_on_both_sides_is_reported(folder):
    for name in ("a", "b"):
        numbered(folder / "train", name, 2)
        numbered(folder / "val", name, 1, first=100)
    shutil.copy(folder / "train" / "a" / "001.png", folder / "val" / "a" / "copy.png")
    assert image_folders.records(folder, 4).notes == (
        "1 of 3 validation images are also training images, byte by byte, e.g. a/copy.png",
    )


def test_wrong_folders(folder):
    assert why(folder) == f"dataset_dir {folder}: no such directory; pass another --dataset-dir"
    assert why(__file__).startswith(f"dataset_dir {__file__}: this is a file; unpack it if it is an archive")
    save(folder / "1.png")
    assert why(folder) == f"dataset_dir {folder}: no class folders; {WANTED}"
    numbered(folder, "cat", 3)
    assert why(folder) == f"dataset_dir {folder}: only one class folder, cat; {WANTED}"
    numbered(folder, "dog", 1)
    few = "one image in the class folder dog, not enough for training and validation; add more"
    assert why(folder) == f"dataset_dir {folder}: {few}"
    (folder / "dog" / "000.png").rename(folder / "dog" / "000.heic")
    empty = "no .png, .jpg, .jpeg, .jpe, .jfif, .bmp, .gif, .webp file in the class folder dog"
    skipped = "(skipped 1 .png file, 1 .heic file); add some, or remove it"
    assert why(folder) == f"dataset_dir {folder}: {empty} {skipped}"
    (folder / "dog" / "000.heic").unlink()
    (folder / "dog" / "000.png").symlink_to("nowhere.png")
    assert f"{empty} (skipped 1 .png file, 1 file that cannot be used (dog/000.png: No such file" in why(folder)
    (folder / "dog").rename(folder / "d\no\x1b[31mg")
    assert "unprintable characters in the class name 'd\\no\\x1b[31mg'; rename the folder" in why(folder)
    for i in range(256):
        (folder / f"class {i}").mkdir()
    shutil.rmtree(folder / "d\no\x1b[31mg")
    assert why(folder) == f"dataset_dir {folder}: 257 class folders; a net here has at most 256 classes"


def test_class_folders_further_down(tmp_path):
    for name in ("cat", "dog"):
        numbered(tmp_path / "things" / "dataset", name, 2)
    place = tmp_path / "things"
    hint = f"only one class folder, dataset; it holds folders itself, cat, dog: pass {place}/dataset"
    assert why(place) == f"dataset_dir {place}: {hint}"


def test_names_with_spaces_and_256_classes(folder):
    names = [f"a class, number {i:03}" for i in range(256)]
    for i, name in enumerate(names):
        numbered(folder, name, 2, first=i % 200)
    found = image_folders.records(folder, 1)
    assert (found.class_names, found.num_train, found.num_test) == (tuple(names), 256, 256)
    assert sorted(labels(found.train[0], 1)) == list(range(256))
    assert (
        found.notes[0]
        == "a tenth of each class is kept for validation: 1 (a class, number 000) to 1 (a class, number 000)"
    )


def test_train_and_val_need_the_same_classes(folder):
    for name in ("train/cat", "train/dog", "train/emu", "val/cat", "val/cow"):
        numbered(folder, name, 1)
    which = "only in train/: dog, emu; only in val/: cow"
    assert why(folder) == f"dataset_dir {folder}: train/ and val/ hold different classes ({which}); make them equal"
    shutil.rmtree(folder / "val" / "cow")
    assert "(only in train/: dog, emu)" in why(folder)
    for name in ("dog", "emu"):
        (folder / "val" / name).mkdir()
    assert "in the class folder dog" in why(folder)


def test_images_that_cannot_be_decoded_are_counted(folder, own_cache):
    numbered(folder, "a", 10)
    numbered(folder, "b", 10)
    (folder / "b" / "zzz.png").write_bytes(b"no image")
    whole = (folder / "a" / "003.png").read_bytes()
    (folder / "a" / "003.png").write_bytes(whole[: len(whole) // 2])
    (folder / "a" / "000.png").write_bytes(b"")
    with open(folder / "a" / "huge.gif", "wb") as file:
        file.write(b"GIF89a\1\0\1\0\0\0\0")
        file.truncate(61 << 30)
    found = image_folders.records(folder, 4)
    assert (found.num_train + found.num_test, found.class_counts("train").sum()) == (18, found.num_train)
    (note,) = (note for note in found.notes if note.startswith("skipped"))
    assert note.startswith("skipped 4 files that cannot be used (a/huge.gif: 65,498,251,264 bytes, more than ")
    assert "b/zzz.png: not an image in PNG, JPEG, BMP, GIF or WebP" in note or note.endswith(", ...)")
    assert image_folders.records(folder, 4) == found  # the same notes, now from the cache
    for path in (folder / "a").iterdir():
        path.write_bytes(b"no image")
    assert why(folder).startswith(f"dataset_dir {folder}: no image of a can be used (a/")
    assert len(list(own_cache.iterdir())) == 1


READ = """
try:
    found = image_folders.records(sys.argv[1], 4)
    print(found.num_train, found.num_test, *found.notes, sep="|")
except UserError as error:
    print(error)
"""


@needs_root
def test_files_without_read_permission(public_dir, monkeypatch):
    folder = public_dir / "things"
    monkeypatch.setenv("XDG_CACHE_HOME", str(public_dir))
    numbered(folder, "a", 3)
    numbered(folder, "b", 3, first=100)
    (folder / "a" / "001.png").chmod(0)
    (folder / "a" / "sub").mkdir(mode=0)

    def read():
        imports = (
            "import fcntl\nfrom PIL import Image\nImage.init()\n"
            "from graph_resnet.data import image_folders\nfrom graph_resnet.errors import UserError"
        )
        return as_nobody(imports, READ, folder).strip()

    skipped = "skipped 1 subfolder, 1 file that cannot be used (a/001.png: Permission denied)"
    assert read() == f"3|2|a tenth of each class is kept for validation: 1 a, 1 b|{skipped}"
    (folder / "b").chmod(0o644)  # can be listed, but its files cannot be opened
    assert read().startswith(f"dataset_dir {folder}: no .png, ") and "b/100.png: Permission denied" in read()
    (folder / "b").chmod(0)
    assert read() == f"{folder}/b: cannot be read (Permission denied); change its permissions"
    folder.chmod(0)
    assert read() == f"dataset_dir {folder}: cannot be read (Permission denied); change its permissions"


def test_a_damaged_cache(folder, tmp_path, monkeypatch):
    numbered(folder, "a", 3)
    numbered(folder, "b", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", __file__)
    assert why(folder).startswith(f"{__file__}/graph_resnet/images-") and "cannot be written (" in why(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    (path,) = image_folders.records(folder, 4).train
    whole, fix = path.read_bytes(), f"delete {path.parent} and run again"
    for content, message in (
        (whole[:-1], "cut off or damaged"),
        (whole[:-49], "the numbers of images per class differ from what was written"),
        (b"\xc8" + whole[1:], "record 0 has class label 200, the largest is 1"),
        (bytes([1 - whole[0]]) + whole[1:], "the numbers of images per class differ from what was written"),
        (whole + whole, "8 records, a file of these images has at most 4"),
        (b"", "empty"),
    ):
        path.write_bytes(content)
        assert why(folder).startswith(f"{path}: {message}") and why(folder).endswith(fix)
    path.unlink()
    assert why(folder) == f"{path}: missing; {fix}"
    path.write_bytes(whole)
    index = path.with_name("index.json")
    for content in ("", "[]", "{}", '{"counts": {"train.bin": [1]}, "unusable": []}', '{"counts": 1, "unusable": 1}'):
        index.write_text(content)
        assert why(folder).startswith(f"{index}: cannot be read") and why(folder).endswith(fix)


def trained_on(records, **changes):
    """The config.json of a net trained on some records, as a `TrainedNet`."""
    recipe = replace(recipes.RECIPES["notebook"], dataset="pictures", image_size=4)
    data = {**find.describe(records), **changes}
    return config.TrainedNet(Path("run"), recipe, records.class_names, "float32", data, records.held_out)


def test_a_test_set_is_evaluated_whole(folder, tmp_path):
    numbered(folder, "a", 20)
    numbered(folder, "b", 20)
    net = trained_on(image_folders.records(folder, 4))
    testset = tmp_path / "testset"
    numbered(testset, "b", 15, first=100)
    (testset / "a").mkdir()
    (testset / "b" / "x.heic").touch()
    found = of_runs.for_trained(net, dataset_dir=testset)
    assert (found.num_train, found.num_val, found.class_names) == (0, 15, ("a", "b"))
    assert found.class_counts("val").tolist() == [0, 15]
    assert found.notes == (
        f"other data than in training: evaluating all images of {testset}, also any it was trained on",
        "skipped 1 .heic file",
    )
    config.check_data(net, found)
    with pytest.raises(UserError, match="split 'train': images in testset .2 classes. are only measured"):
        found.split("train")
    shutil.rmtree(testset / "a")
    assert of_runs.for_trained(net, dataset_dir=testset).num_val == 15
    numbered(testset, "c", 1)
    with pytest.raises(UserError, match=r"testset: c: not among the net's classes \(a, b\)"):
        of_runs.for_trained(net, dataset_dir=testset)


def test_the_training_folder_is_evaluated_as_in_training(folder):
    numbered(folder, "a", 20)
    numbered(folder, "b", 20)
    net = trained_on(image_folders.records(folder, 4))
    assert of_runs.for_trained(net).num_val == 4  # at the path in config.json
    assert of_runs.for_trained(net, dataset_dir=folder).num_val == 4
    moved = folder.rename(folder.with_name("moved"))
    assert of_runs.for_trained(net, dataset_dir=moved).num_val == 4
    with pytest.raises(UserError, match=f"dataset_dir {folder}: no such directory; pass another --dataset-dir"):
        of_runs.for_trained(net)
    moved.rename(folder)
    save(folder / "a" / "new.png", RED)  # the training's folder has changed: other data, never a test set
    records = of_runs.for_trained(net, dataset_dir=folder)
    with pytest.raises(UserError, match="was trained on other data"):
        config.check_data(net, records)


def test_a_recipe_says_where_to_look(folder):
    cifar, own = recipes.RECIPES["notebook"], train.parse(["--dataset-dir", "x", "--image-size", "4"])[0]
    assert (own.dataset, of_runs.record_side(own), of_runs.record_side(cifar)) == ("pictures", 4, 32)
    for recipe, places, message in (
        (cifar, {"dataset_dir": "x"}, "dataset_dir x: the net's dataset is cifar10; pass --data-dir"),
        (own, {}, "dataset 'pictures'; pass --dataset-dir DIR"),
        (own, {"data_dir": "y"}, "data_dir y: the net's dataset is 'pictures'; pass --dataset-dir DIR"),
    ):
        with pytest.raises(UserError, match=message):
            of_runs.for_recipe(recipe, **places)
    coarse = train.parse(["--dataset-dir", "x", "--label", "coarse"])[0]
    with pytest.raises(UserError, match="label 'coarse': images in folders have only fine labels"):
        of_runs.for_recipe(coarse, None, folder)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--dataset-dir", "x", "--dataset", "cifar10"], "--dataset: not allowed with argument --dataset-dir"),
        (["--dataset_dir", "x", "--data_dir", "y"], "--data-dir: not allowed with argument --dataset-dir"),
        (["--dataset-dir", "x", "--summary"], "--summary: not allowed with argument --dataset-dir"),
        (["--dataset", "pictures"], "--dataset: pass --dataset-dir DIR for pictures"),
    ],
)
def test_flags_that_do_not_go_together(flags, message, capsys):
    with pytest.raises(SystemExit) as caught:
        train.parse(flags)
    assert caught.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.slow
def test_a_net_is_trained_on_them_and_evaluated(folder, tmp_path, cache):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        other = "light" if name == "dark" else "dark"
        for part in [*20 * [f"train/{name}"], *3 * [f"val/{name}"], f"val/{other}"]:  # the last one is mislabelled
            path = folder / part / f"{rng.integers(1 << 40)}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((level + rng.integers(-50, 51, (20, 24, 3))).astype(np.uint8)).save(path)
    train_dir, env = tmp_path / "run", {**os.environ, "XDG_CACHE_HOME": str(cache)}
    small = ["--image-size", "16", "--batch-size", "8", "--steps", "10", "--precision", "float32"]
    status, lines, err = run("--dataset-dir", folder, "--train-dir", train_dir, *small, env=env)
    assert status == 0, err
    assert lines[0].startswith("[data]: images in things (2 classes), 40 training and 8 test images")
    assert lines[-1].startswith("[final]: step 10 ") and lines[-1].endswith("(8 images)")
    config = json.loads((train_dir / "config.json").read_text())
    assert config["class_names"] == ["dark", "light"]
    assert (config["recipe"]["dataset"], config["recipe"]["num_classes"]) == ("pictures", 2)
    assert config["data"]["directory"] == str(folder)
    assert [(file["records"], file["bytes"]) for file in config["data"]["files"]] == [(40, 40 * 769), (8, 8 * 769)]
    # Without any flag; and, after the images have moved, with their new directory.
    moved = folder.rename(tmp_path / "moved")
    evaluate = ["--train-dir", train_dir, "--json"]
    status, lines, err = run(*evaluate, module="graph_resnet.evaluate", env=env)
    assert (status, err.count("\n")) == (1, 1)
    assert f"dataset_dir {folder}: no such directory" in err
    status, lines, err = run(*evaluate, "--dataset-dir", moved, module="graph_resnet.evaluate", env=env)
    assert status == 0, err
    result = json.loads(lines[-1])
    assert [(record["name"], record["images"]) for record in result["classes"]] == [("dark", 4), ("light", 4)]
    assert result["data"] == "images in moved (2 classes)"


def test_a_fault_of_the_system_is_not_kept_in_the_cache(folder, monkeypatch):
    for name in ("a", "b"):
        numbered(folder, name, 3, first=70)  # no other test has these: the cache is shared
    opened = Image.open

    def failing(path, **options):
        if path.endswith("b/072.png"):
            raise OSError(24, "Too many open files")
        return opened(path, **options)

    monkeypatch.setattr(Image, "open", failing)
    assert why(folder) == "b/072.png: Too many open files; fix that, or run the same command again"
    monkeypatch.setattr(Image, "open", opened)
    found = image_folders.records(folder, 4)
    assert found.num_train + found.num_test == 6 and not any("cannot be used" in note for note in found.notes)
