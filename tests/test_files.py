"""Files: what is read, how files are written, which paths a flag accepts."""

import argparse
import importlib
import os
import re
import stat
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from graph_resnet import files
from tests.helpers import ROOT


def listing(directory):
    return sorted(os.listdir(directory))


SPECIAL = {
    "pipe": os.mkfifo,
    "directory": os.mkdir,
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    "device": lambda path: os.symlink("/dev/zero", path),
    "terminal": lambda path: os.symlink("/dev/tty", path),
    "loop": lambda path: os.symlink(path.name, path),
    "sparse": lambda path: subprocess.run(["truncate", "-s", "1T", path], check=True),
}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("pipe", "a pipe, not a regular file"),
        ("directory", "a directory, not a regular file"),
        ("socket", "a socket, not a regular file"),
        ("device", "a device, not a regular file"),
        ("terminal", "a device, not a regular file"),
        ("sparse", "1,099,511,627,776 bytes, more than 67,108,864"),
        ("loop", "Too many levels of symbolic links"),
    ],
)
def test_only_regular_files_of_a_reasonable_size_are_read(tmp_path, kind, reason):
    path = tmp_path / "config.json"
    SPECIAL[kind](path)
    with pytest.raises(OSError) as error:
        files.read(path)
    assert error.value.strerror == reason and error.value.filename == str(path)


def test_a_file_of_exactly_the_limit_is_read_and_a_link_followed(tmp_path):
    (tmp_path / "there").write_bytes(b"12345")
    (tmp_path / "here").symlink_to("there")
    assert files.read(tmp_path / "here", most=5) == b"12345"
    with pytest.raises(OSError, match="5 bytes, more than 4"):
        files.read(tmp_path / "here", most=4)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 60 + "]" * 60, '{"a":' * 60 + "1" + "}" * 60, "9" * 5000, "{", "\xff"]
)
def test_json_that_cannot_be_read_is_a_value_error(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError):
        files.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlink", "hard link"])
def test_a_write_replaces_a_link_and_not_its_target(tmp_path, link):
    victim, path = tmp_path / "victim", tmp_path / "report.html"
    victim.write_text("mine")
    link(victim, path)
    files.write(path, b"page")
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("mine", "page", False)
    assert listing(tmp_path) == ["report.html", "victim"]


def test_a_write_into_a_linked_directory_and_with_a_long_name(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for name in ("n" * 255, "a\nb", "caf\udce9"):
        files.write(tmp_path / "link" / name, b"x")
        assert (tmp_path / "real" / name).read_bytes() == b"x"
    assert len(listing(tmp_path / "real")) == 3


def test_a_written_file_has_the_modes_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    files.write(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError), files.draft(tmp_path / "a") as file:
        file.write(b"half of the new")
        raise RuntimeError
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write(tmp_path / "folder", b"")
    with pytest.raises(FileNotFoundError):
        files.write(tmp_path / "none" / "a", b"")
    assert (tmp_path / "a").read_bytes() == b"old" and listing(tmp_path) == ["a", "folder"]


def test_concurrent_writers_leave_one_complete_file(tmp_path):
    contents = [bytes([i]) * 300_000 for i in range(8)]
    threads = [threading.Thread(target=files.write, args=(tmp_path / "a", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents and listing(tmp_path) == ["a"]


WRITER = """
import os, sys
from graph_resnet import files
with files.draft(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.readline()
"""


def test_only_drafts_of_dead_processes_are_removed(tmp_path):
    command = [sys.executable, "-c", WRITER, tmp_path / "a"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as writer:
        assert writer.stdout.readline() == "writing\n"
        files.remove_drafts(tmp_path)
        assert len(listing(tmp_path)) == 1
        writer.stdin.write("\n")
    assert (tmp_path / "a").read_bytes() == b"half"
    with subprocess.Popen(command, cwd=ROOT, **pipes) as writer:
        assert writer.stdout.readline() == "writing\n"
        writer.kill()
    assert len(listing(tmp_path)) == 2
    (tmp_path / ".graph_resnet-mine.draft").touch()
    files.remove_drafts(tmp_path)
    assert listing(tmp_path) == [".graph_resnet-mine.draft", "a"]


def fill(directory):
    (directory / "assets").mkdir()
    (directory / "assets" / "names").write_text("cat\n")
    (directory / "model").write_text("whole")


def tree(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.mark.parametrize("place", ["missing", "below/a/missing", "empty", "link", "link-elsewhere/", "n" * 255, "."])
def test_a_new_directory_may_be_missing_or_empty(tmp_path, monkeypatch, place):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for link in ("link", "link-elsewhere"):
        (tmp_path / link).symlink_to("empty")
    target = "." if place == "." else f"{tmp_path}/{place}"
    before = (tmp_path / "empty").stat().st_ino
    with files.new_directory(target, last="model") as draft:
        fill(draft)
    assert tree(Path(target)) == ["assets", "assets/names", "model"]
    assert (tmp_path / "empty").stat().st_ino == before and (tmp_path / "link").is_symlink()
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".draft")]


def test_a_new_directory_may_be_an_empty_mount(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        (tmp_path / "lost+found").mkdir()  # as on a new ext4 file system
        with files.new_directory(tmp_path, last="model") as draft:
            fill(draft)
        assert tree(tmp_path) == ["assets", "assets/names", "lost+found", "model"] and os.path.ismount(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_new_directory_that_is_not_empty_or_fails_is_unchanged(tmp_path):
    for target in (tmp_path / "full", tmp_path / "fails"):
        with pytest.raises((OSError, RuntimeError)), files.new_directory(target) as draft:
            fill(draft)
            if target.name == "fails":
                raise RuntimeError
            target.mkdir()
            (target / "mine").touch()
    assert tree(tmp_path) == ["full", "full/mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty path; is a shell variable unset?"),
        (" ", "an empty path"),
        ("gs://bucket/run", "gs://bucket/run: not a path on this machine; mount it or copy it"),
        ("gs:/bucket", "not a path on this machine"),
        ("s3://b", "not a path on this machine"),
        ("file:///tmp/x", "not a path on this machine"),
        ("~nobody_of_this_name/x", "no user of that name; if it is a file, pass ./~nobody_of_this_name/x"),
    ],
)
def test_a_flag_that_is_not_a_path_on_this_machine_is_refused(text, message):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        files.path_flag(text)
    assert message in str(error.value)


def test_a_path_flag_expands_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    for text, path in {"~/x": "/home/me/x", "~": "/home/me", "./gs:/x": "./gs:/x", "a~b": "a~b", "x:y": "x:y"}.items():
        assert files.path_flag(text) == path


PATH_FLAGS = [
    (module, flag)
    for module, flags in {
        "train": "--train-dir --model_dir --data-dir --dataset_dir --init-checkpoint",
        "evaluate": "--train_dir --checkpoint --data-dir --dataset-dir --output_dir",
        "predict": "--train-dir --checkpoint",
        "export": "--train-dir --checkpoint --export_dir",
        "report": "--output --data-dir",
    }.items()
    for flag in flags.split()
]


@pytest.mark.parametrize(("module", "flag"), PATH_FLAGS)
def test_every_path_flag_is_checked(module, flag, capsys):
    parse = importlib.import_module(f"graph_resnet.{module}").parse
    for words in ([f"{flag}="], [flag, ""], [f"{flag}=gs://bucket/x"], [flag, "~nobody_of_this_name/x"]):
        with pytest.raises(SystemExit) as end:
            parse(words)
        assert end.value.code == 2
        assert re.search("an empty path|not a path on this machine|no user of that name", capsys.readouterr().err)


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_new_draft_is_not_removed_before_it_is_locked(kind, tmp_path):
    """Writers that each begin by removing what others left, as in `new_directory`."""
    lost = []

    def work(number):
        try:
            for _ in range(1000):
                files.remove_drafts(tmp_path)
                if kind == "file":
                    with files.draft(tmp_path / str(number)) as file:
                        file.write(b"whole")
                    (tmp_path / str(number)).unlink()
                else:
                    with files.draft_directory(tmp_path) as draft:
                        (draft / "a").write_text("whole")
        except OSError as error:
            lost.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (lost, listing(tmp_path)) == ([], [])


def test_reading_a_small_file_takes_little_memory(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    tracemalloc.start()
    assert files.read(tmp_path / "a", most=1 << 30) == b"abc"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
