"""Record files made byte by byte: found, refused, unpacked, downloaded (from 127.0.0.1), described."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_resnet import config, recipes
from graph_resnet.data import archives, find, of_runs, synthetic
from graph_resnet.data.archives import new_directory
from graph_resnet.data.find import cifar, describe, same_data
from graph_resnet.errors import UserError
from tests.helpers import CASES, as_nobody, needs_root

FILES = ("data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin")
FILES += ("test_batch.bin",)


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path, monkeypatch):
    """An empty cache directory for the test, and no other data directory in the environment."""
    for name in ("CIFAR_DATA_DIR", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "graph_resnet"


def records(*labels, pixel=7):
    """CIFAR-10 records, or CIFAR-100 ones for pairs of labels (coarse, fine)."""
    label_bytes = [bytes(each if isinstance(each, tuple) else [each]) for each in labels]
    return b"".join(each + bytes([pixel]) * 3072 for each in label_bytes)


def write_cifar10(directory, pixel=7):
    """Three records in each training file, two in the test file."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES[:5]:
        (directory / name).write_bytes(records(0, 4, 9, pixel=pixel))
    (directory / "test_batch.bin").write_bytes(records(1, 2, pixel=pixel))
    return directory


def write_cifar100(directory):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "train.bin").write_bytes(records((0, 1), (19, 99), (3, 50)))
    (directory / "test.bin").write_bytes(records((5, 6)))
    return directory


def error(*arguments, **options):
    """The message of the UserError that cifar() must raise: one line."""
    with pytest.raises(UserError) as caught:
        cifar(*arguments, **options)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def leftovers(directory):
    """Everything in a directory, including drafts, as relative paths."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_the_modules_do_not_import_tensorflow():
    code = "import sys; from graph_resnet.data import find, pickles, synthetic; "
    code += "print('tensorflow' in sys.modules)"
    root = Path(find.__file__).parents[1]
    assert subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True) == "False\n"


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-bin"])
def test_cifar10(tmp_path, folder):
    directory = write_cifar10(tmp_path / "data" / folder)
    found = cifar("cifar10", tmp_path / "data")
    assert found.train == tuple(directory / name for name in FILES[:5])
    assert found.test == (directory / "test_batch.bin",)
    assert (found.num_train, found.num_test, found.num_classes) == (15, 2, 10)
    assert (found.side, found.label_bytes, found.label_offset, found.record_bytes) == (32, 1, 0, 3073)
    assert found.class_names[0] == "airplane" and found.class_names[9] == "truck"
    assert (found.dataset, found.label, found.title) == ("cifar10", "fine", "CIFAR-10")
    assert cifar(data_dir=str(tmp_path / "data")) == found


@pytest.mark.parametrize("folder", ["", "cifar-100-binary"])
def test_cifar100(tmp_path, folder):
    directory = write_cifar100(tmp_path / "data" / folder)
    found = cifar("cifar100", tmp_path / "data")
    assert (found.train, found.test) == ((directory / "train.bin",), (directory / "test.bin",))
    assert (found.num_train, found.num_test, found.num_classes) == (3, 1, 100)
    assert (found.label_bytes, found.label_offset, found.record_bytes) == (2, 1, 3074)
    assert (found.class_names[0], found.class_names[47], found.class_names[99]) == (
        "apple",
        "maple_tree",
        "worm",
    )
    assert found.title == "CIFAR-100"
    coarse = cifar("cifar100", tmp_path / "data", label="coarse")
    assert (coarse.num_classes, coarse.label_bytes, coarse.label_offset) == (20, 2, 0)
    assert (coarse.class_names[0], coarse.class_names[19]) == ("aquatic_mammals", "vehicles_2")
    assert (coarse.label, coarse.title) == ("coarse", "CIFAR-100 (20 superclasses)")


def test_class_names_come_from_the_file(tmp_path):
    directory = write_cifar10(tmp_path / "data")
    (directory / "batches.meta.txt").write_bytes(b"a\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng\r\nh\r\ni\r\nj\r\n\r\n")
    assert cifar("cifar10", directory).class_names == tuple("abcdefghij")
    (directory / "batches.meta.txt").write_text("a\nb\nc\n")
    assert error("cifar10", directory).startswith(f"{directory / 'batches.meta.txt'}: 3 class names, not 10")
    (directory / "batches.meta.txt").write_text("".join(f"{name}\n" for name in [*"abcdefghi", "c"]))
    assert error("cifar10", directory).startswith(f"{directory / 'batches.meta.txt'}: two classes are called 'c'")
    (directory / "batches.meta.txt").unlink()
    (directory / "batches.meta.txt").mkdir()
    assert str(directory / "batches.meta.txt") in error("cifar10", directory)


def test_order_of_places(tmp_path, monkeypatch, fresh_cache):
    write_cifar10(fresh_cache / "cifar-10-batches-bin")
    assert cifar().train[0].parent == fresh_cache / "cifar-10-batches-bin"
    monkeypatch.setenv("CIFAR_DATA_DIR", str(tmp_path / "env"))
    (tmp_path / "env").mkdir()
    assert (
        cifar().train[0].parent == fresh_cache / "cifar-10-batches-bin"
    )  # the directory in the variable holds another dataset
    write_cifar10(tmp_path / "env")
    assert cifar().train[0].parent == tmp_path / "env"
    write_cifar10(tmp_path / "data")
    assert cifar("cifar10", tmp_path / "data").train[0].parent == tmp_path / "data"
    (tmp_path / "none").mkdir()
    message = error("cifar10", tmp_path / "none")  # a named directory is never replaced by another
    assert message.startswith(f"data_dir {tmp_path / 'none'}: holds no CIFAR-10") and "--data-dir" in message
    monkeypatch.setenv("CIFAR_DATA_DIR", str(tmp_path / "gone"))
    assert error().startswith(f"$CIFAR_DATA_DIR {tmp_path / 'gone'}: no such directory")


def test_cache_directory(monkeypatch, tmp_path):
    assert find.cache_directory() == tmp_path / "xdg" / "graph_resnet"
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert find.cache_directory() == tmp_path / ".cache" / "graph_resnet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert find.cache_directory() == tmp_path / ".cache" / "graph_resnet"


def damage_missing(path):
    path.unlink()


def damage_empty(path):
    path.write_bytes(b"")


def damage_cut(path):
    path.write_bytes(records(1, 2) + b"1234567")


def damage_other_dataset(path):
    path.write_bytes(records((1, 2), (3, 4)))


def damage_label(path):
    path.write_bytes(records(9, 0, 10, 200))


def damage_directory(path):
    path.unlink()
    path.mkdir()


def damage_loop(path):
    path.unlink()
    path.symlink_to(path.name)


def damage_pipe(path):
    path.unlink()
    os.mkfifo(path)


def damage_permission(path):
    path.chmod(0)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (damage_missing, "missing"),
        (damage_empty, "empty"),
        (damage_cut, "7 bytes over 2 records of 3,073 bytes"),
        (damage_other_dataset, "holds CIFAR-100 records, not CIFAR-10"),
        (damage_label, "record 2 has fine label 10, the largest is 9"),
        (damage_directory, "not a regular file"),
        (damage_loop, "cannot be read"),
        (damage_pipe, "not a regular file"),
        (damage_permission, "cannot be read"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
@pytest.mark.parametrize("name", ["data_batch_3.bin", "test_batch.bin"])
def test_damaged_file(tmp_path, damage, expected, name):
    directory = write_cifar10(tmp_path / "data")
    damage(directory / name)
    if damage is damage_permission and os.access(directory / name, os.R_OK):
        pytest.skip("this user reads everything")
    message = error("cifar10", directory)
    assert message.startswith(f"{directory / name}: ") and expected in message
    assert "--data-dir DIR" in message  # the suggested fix


def test_damaged_cifar100_file(tmp_path):
    directory = write_cifar100(tmp_path)
    (directory / "train.bin").write_bytes(records(1, 2))
    assert f"{directory / 'train.bin'}: holds CIFAR-10 records, not CIFAR-100" in error("cifar100", directory)
    (directory / "train.bin").write_bytes(records((19, 99), (20, 0)))
    assert "train.bin: record 1 has coarse label 20, the largest is 19" in error("cifar100", directory)
    (directory / "train.bin").write_bytes(records((19, 100)))  # refused for both kinds of label
    assert "train.bin: record 0 has fine label 100" in error("cifar100", directory, label="coarse")


def test_damaged_file_in_the_cache_is_to_be_deleted(fresh_cache):
    directory = write_cifar10(fresh_cache / "cifar-10-batches-bin")
    (directory / "data_batch_2.bin").write_bytes(b"")
    assert error() == f"{directory / 'data_batch_2.bin'}: empty; delete {directory} and run again"


def test_wrong_directory(tmp_path):
    assert error("cifar10", tmp_path / "gone").startswith(f"data_dir {tmp_path / 'gone'}: no such directory")
    assert "gone away\\x1b" in error("cifar10", tmp_path / "gone\naway\x1b")  # without terminal codes
    file = tmp_path / "cifar-10-binary.tar.gz"
    for content in (b"", b"PK\x03\x04", bytes(100)):
        file.write_bytes(content)
        assert error("cifar10", file).startswith(f"data_dir {file}: this file is not a .tar.gz archive; pass one")
    assert error("cifar10", file / "below").startswith(f"data_dir {file / 'below'}: cannot be read (Not a directory)")
    long = tmp_path / ("x" * 300)
    assert error("cifar10", long).startswith(f"data_dir {long}: cannot be read (File name too long)")
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read (Too many levels of symbolic links)" in error("cifar10", tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    assert "pipe: neither a directory nor an archive" in error("cifar10", tmp_path / "pipe")
    write_cifar100(tmp_path / "hundred")
    assert "it holds CIFAR-100: pass --dataset cifar100" in error("cifar10", tmp_path / "hundred")
    write_cifar10(tmp_path / "ten")
    assert "it holds CIFAR-10: pass --dataset cifar10" in error("cifar100", tmp_path / "ten")


FIND = """
try:
    print(find.cifar("cifar10", sys.argv[1]).num_train)
except UserError as error:
    print(error)
"""


@needs_root
def test_directory_that_cannot_be_read(public_dir):
    data = write_cifar10(public_dir / "above" / "data")
    write_cifar10(data / "cifar-10-batches-bin")
    (data / "cifar-10-batches-py").mkdir()

    def find_as_nobody(path):
        imports = "import fcntl, mmap\nfrom graph_resnet.data import find\nfrom graph_resnet.errors import UserError"
        return as_nobody(imports, FIND, path).strip()

    assert find_as_nobody(data) == "15"
    for place in (data / "cifar-10-batches-bin", data / "cifar-10-batches-py", data):
        place.chmod(0)
        assert find_as_nobody(data) == f"data_dir {place}: cannot be read; change its permissions"
        place.chmod(0o755)
    (data / "test_batch.bin").chmod(0)
    assert find_as_nobody(data).startswith(f"{data / 'test_batch.bin'}: cannot be read (Permission denied)")
    data.parent.chmod(0)
    expected = f"data_dir {data}: cannot be read; change the permissions of {data.parent}"
    assert find_as_nobody(data) == expected


def test_a_record_file_has_a_size_limit(tmp_path):
    directory = write_cifar10(tmp_path / "data")
    path = directory / "data_batch_2.bin"
    with path.open("r+b") as file:
        file.truncate(20_000_000 * 3073)  # 61 GB, a sparse file
    start = time.monotonic()
    assert error("cifar10", directory).startswith(f"{path}: 20,000,000 records, a file of CIFAR-10 has at most 10,000;")
    assert time.monotonic() - start < 5


def test_the_file_of_class_names_has_a_size_limit(tmp_path):
    directory = write_cifar10(tmp_path / "data")
    path = directory / "batches.meta.txt"
    os.mkfifo(path)
    assert error("cifar10", directory) == f"{path}: cannot be read (a pipe, not a regular file); fix that, or delete it"
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "bytes, more than 65,536" in error("cifar10", directory)


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_cifar10(tmp_path / "data")
    assert cifar("cifar10", "~/data").train[0].parent == tmp_path / "data"
    assert error("cifar10", "~no_such_user/data").startswith("data_dir ~no_such_user/data: no such directory")


def test_wrong_dataset_or_label(tmp_path):
    assert error("mnist") == "dataset 'mnist': choose one of cifar10, cifar100, synthetic, synthetic100"
    assert error("cifar10", tmp_path, label="coarse") == "label 'coarse': cifar10 has only fine labels"
    assert error("cifar100", tmp_path, label="x") == "label 'x': cifar100 has only coarse and fine labels"


@settings(max_examples=CASES, deadline=None)
@given(
    labels=st.lists(st.integers(0, 10) | st.integers(0, 255), max_size=3),
    tail=st.just(b"") | st.binary(max_size=40),
    name=st.sampled_from(FILES),
)
def test_any_bytes_give_records_or_a_user_error(labels, tail, name):
    with tempfile.TemporaryDirectory() as parent:
        directory = write_cifar10(Path(parent))
        (directory / name).write_bytes(records(*labels) + tail)
        if labels and max(labels) < 10 and not tail:
            assert cifar("cifar10", directory).num_train in range(12, 16)
        else:
            assert name in error("cifar10", directory)


def test_synthetic(tmp_path, fresh_cache):
    found = cifar("synthetic")
    assert found.train[0].parent == fresh_cache / "synthetic-v1"
    assert (found.num_train, found.num_test, found.num_classes) == (5000, 1000, 10)
    assert (found.title, found.class_names[1]) == ("synthetic (10 classes)", "ring")
    written = found.train[0].stat().st_mtime_ns
    assert cifar("synthetic") == found and found.train[0].stat().st_mtime_ns == written
    assert "synthetic images, not CIFAR-10; pass --dataset synthetic" in error("cifar10", found.train[0].parent)
    (fresh_cache / "synthetic-v1" / "batches.meta.txt").unlink()
    assert cifar("synthetic").class_names == found.class_names
    (fresh_cache / "synthetic-v1" / "data_batch_4.bin").write_bytes(b"")
    assert error("synthetic").endswith(f"delete {fresh_cache / 'synthetic-v1'} and run again")


def test_synthetic100(tmp_path, fresh_cache):
    synthetic.write(tmp_path / "data" / "synthetic100-v1", num_classes=100, num_train=100, num_test=20)
    found = cifar("synthetic100", tmp_path / "data", label="coarse")
    assert (found.num_train, found.num_classes, found.label_offset) == (100, 20, 0)
    assert (found.title, found.class_names[1]) == ("synthetic (20 superclasses)", "ring")
    assert cifar("synthetic100", tmp_path / "data").title == "synthetic (100 classes)"
    assert not fresh_cache.exists()


def trained(records, **changes):
    """The config.json of a net trained on some records, as a `TrainedNet`."""
    data = {**describe(records), **changes}
    recipe = dataclasses.replace(recipes.RECIPES["notebook"], dataset=records.dataset, label=records.label)
    return config.TrainedNet(Path("run"), recipe, records.class_names, "float32", data, records.held_out)


def test_a_trained_nets_data_is_found_again(tmp_path, monkeypatch, fresh_cache):
    write_cifar10(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    net = trained(cifar("cifar10", "data"))
    assert net.data["directory"] == str(tmp_path / "data")
    monkeypatch.chdir("/")
    found = of_runs.for_trained(net)
    assert found.train[0].parent == tmp_path / "data"
    config.check_data(net, found)
    moved = (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(UserError) as caught:
        of_runs.for_trained(net)
    gone = f"train dir run: its data is no longer in {tmp_path / 'data'}; pass --data-dir DIR"
    assert str(caught.value) == gone
    assert of_runs.for_trained(net, moved).train[0].parent == moved
    monkeypatch.setenv("CIFAR_DATA_DIR", str(moved))
    found = of_runs.for_trained(net)
    assert found.train[0].parent == moved
    assert (
        of_runs.for_trained(trained(found, directory="relative")).train[0].parent == moved
    )  # an untrusted config.json
    assert of_runs.for_trained(trained(found, directory=7)).train[0].parent == moved
    write_cifar10(tmp_path / "data", pixel=8)  # others, in the same place
    with pytest.raises(
        UserError, match="was trained on other data .sha256 of data_batch_1.bin was .*; pass its --data-dir"
    ):
        config.check_data(net, of_runs.for_trained(net))


def test_a_trained_nets_synthetic_data_is_drawn_again(tmp_path, fresh_cache):
    net = trained(cifar("synthetic", tmp_path / "drawn"))
    assert of_runs.for_trained(net).train[0].parent == tmp_path / "drawn" / "synthetic-v1"
    (tmp_path / "drawn").rename(tmp_path / "gone")
    found = of_runs.for_trained(net)
    assert found.train[0].parent == fresh_cache / "synthetic-v1"
    config.check_data(net, found)
    (tmp_path / "drawn").mkdir()  # an untrusted config.json does not decide where they are drawn
    assert of_runs.for_trained(net).train[0].parent == fresh_cache / "synthetic-v1"
    assert not any((tmp_path / "drawn").iterdir())


def test_describe_recognizes_the_same_data(tmp_path):
    old = cifar("cifar10", write_cifar10(tmp_path / "a"))
    described = describe(old)
    assert described["files"][5] == {
        "name": "test_batch.bin",
        "bytes": 6146,
        "records": 2,
        "sha256": hashlib.sha256(records(1, 2)).hexdigest(),
    }
    assert {key: described[key] for key in ("dataset", "label", "num_classes")} == {
        "dataset": "cifar10",
        "label": "fine",
        "num_classes": 10,
    }
    assert json.loads(json.dumps(described)) == described
    moved = describe(cifar("cifar10", write_cifar10(tmp_path / "b")))
    assert same_data(described, moved) is None
    other = describe(cifar("cifar10", write_cifar10(tmp_path / "c", pixel=8)))
    assert same_data(described, other).startswith("sha256 of data_batch_1.bin was ")
    (tmp_path / "b" / "data_batch_4.bin").write_bytes(records(1))
    shorter = describe(cifar("cifar10", tmp_path / "b"))
    assert same_data(described, shorter) == "bytes of data_batch_4.bin was 9219, is 3073"
    hundred = write_cifar100(tmp_path / "hundred")
    fine, coarse = (describe(cifar("cifar100", hundred, label=label)) for label in ("fine", "coarse"))
    assert same_data(described, fine) == "dataset was 'cifar10', is 'cifar100'"
    assert same_data(fine, coarse) == "label was 'fine', is 'coarse'"
    fewer = {**described, "files": described["files"][1:]}
    assert same_data(fewer, described) == "file data_batch_1.bin is new"
    assert same_data({}, described) == "dataset was None, is 'cifar10'"


def test_new_directory(tmp_path):
    with pytest.raises(RuntimeError), new_directory(tmp_path / "new") as draft:
        (draft / "half").write_bytes(b"1")
        raise RuntimeError
    assert leftovers(tmp_path) == []
    with new_directory(tmp_path / "new") as first:
        (first / "a").write_bytes(b"1")
        with new_directory(tmp_path / "new") as second:
            (second / "a").write_bytes(b"1")
            inode = second.stat().st_ino
    assert leftovers(tmp_path) == ["new", "new/a"]
    assert (tmp_path / "new").stat().st_ino == inode  # renamed, not copied
    with pytest.raises(match=f"{tmp_path / 'new'}: cannot be written"):
        with new_directory(tmp_path / "new") as draft:
            (draft / "a").write_bytes(b"22")
    assert (tmp_path / "new" / "a").read_bytes() == b"1"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(match=f"{tmp_path / 'file' / 'new'}: cannot be written"):
        with new_directory(tmp_path / "file" / "new"):
            pass


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    code = "import os, sys; from graph_resnet.data.archives import new_directory\n"
    code += "with new_directory(sys.argv[1]) as draft: (draft / 'half').write_bytes(b'1'); os.kill(os.getpid(), 9)"
    root = Path(find.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "new")], cwd=root).returncode == -9
    assert len(leftovers(tmp_path)) == 2 and not (tmp_path / "new").exists()
    with new_directory(tmp_path / "other") as running, new_directory(tmp_path / "new"):
        assert running.exists()  # another process still writes it
    assert leftovers(tmp_path) == ["new", "other"]


def archive_of(*members):
    """The bytes of a .tar.gz; a member is (name, content) or a tarfile.TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def good_members(prefix="cifar-10-batches-bin/"):
    members = [(prefix + name, records(0, 4, 9)) for name in FILES[:5]]
    return [*members, (prefix + "test_batch.bin", records(1, 2)), (prefix + "readme.html", b"<html>")]


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def write_archive(directory, content):
    directory.mkdir(exist_ok=True)
    (directory / "cifar-10-binary.tar.gz").write_bytes(content)
    return directory


def test_archive(tmp_path, fresh_cache):
    names = ("cifar-10-batches-bin/batches.meta.txt", "\n".join("abcdefghij").encode())
    directory = write_archive(tmp_path / "data", archive_of(*good_members(), names))
    found = cifar("cifar10", directory)
    assert (found.num_train, found.num_test, found.class_names) == (15, 2, tuple("abcdefghij"))
    assert found.train[0].read_bytes() == records(0, 4, 9)
    assert found.train[0].parent.parent == fresh_cache
    assert len(leftovers(fresh_cache)) == 8  # the directory and seven files: no readme.html
    assert leftovers(directory) == ["cifar-10-binary.tar.gz"]
    written = found.train[0].stat().st_mtime_ns
    assert cifar("cifar10", directory) == found and found.train[0].stat().st_mtime_ns == written
    write_archive(directory, archive_of(*good_members("other/")))  # a changed archive is unpacked again
    assert cifar("cifar10", directory).train[0].parent != found.train[0].parent


def test_the_archive_itself_is_a_data_dir(tmp_path, fresh_cache):
    path = tmp_path / "downloaded (1).tgz"
    path.write_bytes(archive_of(*good_members()))
    found = cifar("cifar10", path)
    assert (found.num_train, found.directory) == (15, path)
    assert found.train[0].parent.parent == fresh_cache
    write_archive(tmp_path / "data", archive_of(*good_members()))
    assert cifar("cifar10", tmp_path / "data").directory == tmp_path / "data"
    within = archive_of(("cifar-10-binary.tar.gz", path.read_bytes()))
    path.write_bytes(within)
    assert error("cifar10", path).startswith(f"{path}: data_batch_1.bin: missing; replace the archive")


def test_the_archive_of_another_dataset(tmp_path, fresh_cache):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(archive_of(*good_members()))
    assert error("cifar100", path) == f"{path}: holds no CIFAR-100; it holds CIFAR-10: pass --dataset cifar10"
    path.write_bytes(archive_of(("cifar-100-binary/train.bin", records((0, 1)))))
    assert error("cifar10", path) == f"{path}: holds no CIFAR-10; it holds CIFAR-100: pass --dataset cifar100"
    assert leftovers(fresh_cache) == []


def test_an_archive_of_the_pickled_version(tmp_path, fresh_cache):
    names = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
    content = pickle.dumps({"data": np.full((2, 3072), 7, np.uint8), "labels": [4, 9]})
    meta = pickle.dumps({"label_names": list("abcdefghij")})
    members = [(f"cifar-10-batches-py/{name}", content) for name in names]
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(archive_of(*members, ("cifar-10-batches-py/batches.meta", meta)))
    found = cifar("cifar10", path)
    assert (found.num_train, found.num_test, found.class_names) == (10, 2, tuple("abcdefghij"))
    assert found.test[0].read_bytes() == records(4, 9)
    assert len(leftovers(fresh_cache)) == 8  # the directory, six record files and the names: no pickles
    path.write_bytes(archive_of(*members[:3], ("cifar-10-batches-py/data_batch_4", b"cos\nsystem\n."), *members[4:]))
    assert "data_batch_4: not one of CIFAR's pickles (it asks for 'os.system')" in error("cifar10", path)


def test_a_long_name_is_not_quoted_whole(tmp_path):
    prefix = "x/" * (2 << 20)
    members = (prefix + "data_batch_1.bin", records(1) + b"1"), ("batches.meta.txt" * (1 << 18), b"")
    for member in members:
        message = error("cifar10", write_archive(tmp_path / "data", archive_of(member)))
        assert len(message) < 3_000


def test_a_duplicate_member(tmp_path):
    twice = archive_of(*good_members(), *good_members("other/"))
    assert "it holds data_batch_1.bin twice" in error("cifar10", write_archive(tmp_path / "data", twice))


def test_hostile_members_are_skipped(tmp_path):
    (tmp_path / "secret").write_bytes(records(5, 5, 5))
    hostile = [
        ("../data_batch_1.bin", records(6)),
        ("a/../../data_batch_2.bin", records(6)),
        (str(tmp_path / "evil"), b"evil"),
        (str(tmp_path / "data_batch_1.bin"), records(6)),
        ("../../evil", b"evil"),
        link("cifar-10-batches-bin/data_batch_1.bin", str(tmp_path / "secret"), tarfile.SYMTYPE),
        link("cifar-10-batches-bin/data_batch_2.bin", str(tmp_path / "secret"), tarfile.LNKTYPE),
        link("cifar-10-batches-bin/data_batch_3.bin", "", tarfile.FIFOTYPE),
        link("cifar-10-batches-bin/data_batch_4.bin", "", tarfile.CHRTYPE),
        link("cifar-10-batches-bin/data_batch_5.bin", "", tarfile.DIRTYPE),
        link("cifar-10-batches-bin", str(tmp_path), tarfile.SYMTYPE),
    ]
    before = leftovers(tmp_path)
    directory = write_archive(tmp_path / "data", archive_of(*hostile))
    message = error("cifar10", directory)
    assert "cifar-10-binary.tar.gz: data_batch_1.bin: missing" in message
    expected = [*before, "data", "data/cifar-10-binary.tar.gz", "xdg", "xdg/graph_resnet"]
    assert leftovers(tmp_path) == sorted(expected)
    write_archive(directory, archive_of(*hostile, *good_members()))
    found = cifar("cifar10", directory)
    assert [path.read_bytes() for path in found.train] == [records(0, 4, 9)] * 5
    assert not any(path.is_symlink() for path in found.train)
    assert not (tmp_path / "evil").exists() and not (tmp_path / "data_batch_1.bin").exists()


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


def padded(content):
    """The archive with zeros after its end, which tarfile does not read."""
    return gzip.compress(gzip.decompress(content) + bytes(3 << 20))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "cannot be unpacked"),  # found by its name
        (b"not an archive", "cannot be unpacked"),
        (flipped(padded(archive_of(*good_members())), -6), "cannot be unpacked (CRC check failed"),
        (gzip.compress(b"not a tar file" * 1000), "cannot be unpacked"),
        (archive_of(*good_members())[:-50], "cannot be unpacked"),
        (flipped(archive_of(*good_members()), -6), "cannot be unpacked (CRC check failed"),
        (archive_of(*good_members()[1:]), "data_batch_1.bin: missing"),
        (
            archive_of(("data_batch_1.bin", records(1) + b"1")),
            "data_batch_1.bin of 3,074 bytes is not CIFAR-10's",
        ),
        (archive_of(*good_members()[1:], ("data_batch_1.bin", records(9, 10))), "record 1 has fine label 10"),
        (archive_of(("data_batch_1.bin", b"")), "data_batch_1.bin of 0 bytes is not CIFAR-10's"),
        (archive_of(("batches.meta.txt", bytes(65537))), "batches.meta.txt of 65,537 bytes"),
        (archive_of(*((str(i), b"") for i in range(101)), *good_members()), "more than 100 members"),
    ],
    ids=range(12),
)
def test_broken_archive(tmp_path, fresh_cache, content, expected):
    directory = write_archive(tmp_path / "data", content)
    message = error("cifar10", directory)
    assert message.startswith(f"{directory / 'cifar-10-binary.tar.gz'}: ") and expected in message
    assert "--data-dir DIR" in message
    assert leftovers(fresh_cache) == []  # nothing that a later run could mistake for data


@pytest.fixture
def small(monkeypatch):
    """CIFAR-10 with at most three records per file, so that a bomb can be small."""
    layout = dataclasses.replace(find.CIFAR10, max_records=3)
    monkeypatch.setitem(find.LAYOUTS, "cifar10", layout)


@pytest.mark.parametrize("name", ["zeros", "cifar-10-batches-bin/data_batch_1.bin"])
def test_bomb(tmp_path, fresh_cache, small, name):
    bomb = archive_of((name, bytes(1000 * 3073)), *good_members())
    assert len(bomb) < 100_000
    message = error("cifar10", write_archive(tmp_path / "data", bomb))
    assert "unpacks to more than the dataset" in message or "of 3,073,000 bytes is not CIFAR-10's" in message
    assert leftovers(fresh_cache) == []


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers according to the first part of the path."""

    content = b""
    other_host = ""
    done = threading.Event()

    def do_GET(self):
        kind = self.path.split("/")[1]
        if kind == "missing":
            self.send_error(404)
        elif kind == "redirect":
            self.send_response(302)
            self.send_header("Location", f"{self.other_host}/good/x")
            self.end_headers()
        else:
            body = {"wrong": b"<html>Please log in</html>", "long": 2 * self.content}.get(kind, self.content)
            self.send_response(200)
            if kind != "unsized":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if kind in ("good", "wrong", "long") else body[: len(body) // 2])
            if kind == "stall":
                self.wfile.flush()
                self.done.wait(20)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(monkeypatch):
    """A function(kind of answer) that makes cifar("cifar10") download from there and returns the layout."""
    state = {"content": archive_of(*good_members()), "done": threading.Event()}
    handler = type("TestHandler", (Handler,), state)
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    handler.other_host = f"http://localhost:{servers[1].server_address[1]}"

    def layout_of(kind):
        layout = dataclasses.replace(
            find.CIFAR10,
            url=f"http://127.0.0.1:{servers[0].server_address[1]}/{kind}/cifar-10-binary.tar.gz",
            size=len(handler.content),
            sha256=hashlib.sha256(handler.content).hexdigest(),
        )
        monkeypatch.setitem(find.LAYOUTS, "cifar10", layout)
        return layout

    yield layout_of
    handler.done.set()
    for server, thread in zip(servers, threads):
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("kind", ["good", "redirect"])
def test_download(serve, fresh_cache, capsys, kind):
    serve(kind)
    found = cifar()
    assert found.train[0].parent == fresh_cache / "cifar-10-batches-bin"
    assert (found.num_train, found.train[4].read_bytes()) == (15, records(0, 4, 9))
    assert len(leftovers(fresh_cache)) == 7  # the directory and six files: no archive
    output = capsys.readouterr()
    assert output.out == "" and "Downloading" in output.err
    serve("missing")
    assert cifar() == found  # not downloaded again


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "404"),
        ("cut", "bytes with a wrong sha256"),
        ("unsized", "bytes with a wrong sha256"),
        ("wrong", "26 bytes with a wrong sha256, not "),
        ("long", "it is longer than the dataset's archive"),
    ],
)
def test_failed_download(serve, fresh_cache, kind, expected):
    url = serve(kind).url
    message = error()
    assert message.startswith(f"{url}: cannot be downloaded (") and expected in message
    assert message.endswith("pass --data-dir DIR with the files, or --dataset synthetic")
    assert leftovers(fresh_cache) == []
    serve("good")
    assert cifar().num_train == 15


def test_download_without_a_server(serve, fresh_cache):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    layout = dataclasses.replace(serve("good"), url=f"http://127.0.0.1:{port}/cifar-10-binary.tar.gz")
    with pytest.raises(match=f"^http://127.0.0.1:{port}/.*refused.*--data-dir DIR"):
        archives.download(layout, fresh_cache / "new")
    assert leftovers(fresh_cache) == []


def test_stalling_download(serve, fresh_cache):
    layout, start = serve("stall"), time.monotonic()
    with pytest.raises(match=f"^{layout.url}: cannot be .*timed out.*--data-dir DIR"):
        archives.download(layout, fresh_cache / "new", timeout=0.3)
    assert time.monotonic() - start < 10
    assert leftovers(fresh_cache) == []


def test_a_download_starts_without_tensorflow(serve, fresh_cache):
    """Importing TensorFlow takes seconds and prints to the terminal."""
    layout = serve("missing")
    code = (
        "import dataclasses, sys\nfrom graph_resnet.data import archives, find\n"
        "from graph_resnet.errors import UserError\n"
        f"layout = dataclasses.replace(find.CIFAR10, url={layout.url!r})\n"
        f"try:\n    archives.download(layout, {str(fresh_cache / 'new')!r})\n"
        "except UserError as error:\n    print(error)\nassert 'tensorflow' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert result.returncode == 0 and "cannot be downloaded (404 Not Found)" in result.stdout
    assert result.stderr == f"Downloading {layout.url}, 170,052,171 bytes\n"


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for dataset in ("cifar10", "synthetic"):
        assert f"{tmp_path / 'file' / 'graph_resnet'}" in error(dataset)


def test_damaged_pickles_in_an_archive_are_named_by_it(tmp_path):
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    path = tmp_path / "c.tar.gz"
    path.write_bytes(archive_of(*((f"cifar-10-batches-py/{name}", b"damaged") for name in names)))
    message = error("cifar10", path)
    assert message.startswith(f"{path}: data_batch_1: not one of CIFAR's pickles") and ".draft" not in message


def test_a_full_disk_is_not_the_archives_fault(tmp_path, monkeypatch):
    path = tmp_path / "c.tar.gz"
    path.write_bytes(archive_of(*good_members()))
    monkeypatch.setattr(archives, "_copy", lambda *_: raised(OSError(28, "No space left on device")))
    message = error("cifar10", path)
    assert "cannot be written (No space left on device)" in message and str(path) not in message


def raised(error):
    raise error


def test_records_are_found_after_a_chdir(tmp_path, monkeypatch):
    write_cifar10(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert all(path.is_absolute() for path in cifar("cifar10", "data").train)


def test_without_a_home_directory_the_cache_needs_a_place(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(UserError, match="no home directory for the cache; set XDG_CACHE_HOME"):
        archives.cache_directory()
