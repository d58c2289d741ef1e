"""A train dir belongs to one run, by identity and not by path; its content is untrusted."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import files, locks, plots
from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints, metrics_log, profiles, saves
from graph_resnet.recipes import RECIPES
from graph_resnet.training import run as training_run
from tests.helpers import ROOT, TINY, comparable, run, start, wait_for_step
from tests.test_files import SPECIAL
from tests.test_reliability import At, train, without_clock


def tree(directory):
    """{name: bytes} of the files in a directory."""
    found = {}
    for path in sorted(directory.rglob("*")):
        found[str(path.relative_to(directory))] = path.read_bytes() if path.is_file() else None
    return found


def hold(directory):
    """A process that has claimed a directory, and waits."""
    source = f"import sys; from graph_resnet import locks; c = locks.claim({str(directory)!r}); print(1, flush=True)"
    command = [sys.executable, "-c", f"{source}; sys.stdin.readline()"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "1\n"
    return process


def replace_by_another(directory):
    shutil.rmtree(directory)
    with hold(directory) as process:
        process.kill()


def replace_lock(directory):
    (directory / "lock").unlink()
    with hold(directory) as process:
        process.kill()


def replace_by_link(directory):
    directory.rename(directory.parent / "away")
    (directory.parent / "other").mkdir()
    (directory.parent / "other" / "lock").touch()
    directory.symlink_to("other")


LOST = {
    "removed": shutil.rmtree,
    "renamed": lambda directory: directory.rename(directory.parent / "away"),
    "emptied": lambda directory: (shutil.rmtree(directory), directory.mkdir()),
    "another run's": replace_by_another,
    "without its lock": lambda directory: (directory / "lock").unlink(),
    "with another lock": replace_lock,
    "a link to another": replace_by_link,
    "a file": lambda directory: (shutil.rmtree(directory), directory.touch()),
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST.keys())
def test_nothing_is_written_into_a_lost_directory(tmp_path, lose):
    directory = tmp_path / "run"
    with locks.claim(directory):
        (directory / "train").mkdir()
        files.write(directory / "train" / "a", b"1")
        lose(directory)
        before = tree(tmp_path)
        for write in (
            lambda: files.write(directory / "config.json", b"{}"),
            lambda: files.write(directory / "train" / "a", b"2"),
            lambda: files.draft_directory(directory).__enter__(),
        ):
            with pytest.raises(UserError, match=r"^train dir .*run: is (gone|not this run's).*nothing more is written"):
                write()
        assert tree(tmp_path) == before
        files.write(tmp_path / "elsewhere", b"")


def test_a_directory_that_was_moved_and_moved_back_is_still_claimed(tmp_path):
    with locks.claim(tmp_path / "run"):
        (tmp_path / "run").rename(tmp_path / "away")
        (tmp_path / "away").rename(tmp_path / "run")
        files.write(tmp_path / "run" / "a", b"")


def test_a_directory_is_claimed_by_one_process_and_free_when_it_dies(tmp_path):
    with hold(tmp_path) as process:
        for path in (tmp_path, tmp_path / "." / "x" / ".."):
            with pytest.raises(UserError, match=f"process {process.pid} trains into it; wait, or pass another"):
                locks.claim(path)
        process.kill()
    with locks.claim(tmp_path), locks.claim(tmp_path):  # claiming twice in one process is allowed
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    locks.claim(tmp_path).close()


@pytest.mark.parametrize("kind", ["pipe", "directory", "socket", "device", "loop", "link", "dangling", "text"])
def test_a_lock_of_another_program_is_named_and_not_changed(tmp_path, kind):
    victim, directory = tmp_path / "victim", tmp_path / "run"
    victim.write_text("7\n")
    directory.mkdir()
    make = {
        **SPECIAL,
        "link": lambda path: path.symlink_to(victim),
        "dangling": lambda path: path.symlink_to(tmp_path / "new"),
        "text": lambda path: path.write_text("mine"),
    }
    make[kind](directory / "lock")
    fault = "lock is not a regular file; remove it|lock was not written by this program; move it away"
    with pytest.raises(UserError, match=rf"run: ({fault})$"):
        locks.claim(directory)
    assert victim.read_text() == "7\n" and not (tmp_path / "new").exists()
    assert kind != "text" or (directory / "lock").read_text() == "mine"


def test_a_lock_with_another_hard_link_is_not_written_to(tmp_path):
    """`cp -al run backup` creates such links."""
    (tmp_path / "victim").write_text("12345\n")
    (tmp_path / "run").mkdir()
    os.link(tmp_path / "victim", tmp_path / "run" / "lock")
    with locks.claim(tmp_path / "run"):
        files.write(tmp_path / "run" / "a", b"")
    assert (tmp_path / "victim").read_text() == "12345\n"


def test_a_train_dir_may_be_a_link_but_not_a_broken_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with locks.claim(tmp_path / "link"):
        files.write(tmp_path / "link" / "a", b"")
        with hold(tmp_path / "elsewhere"), pytest.raises(UserError, match="trains into it"):
            locks.claim(tmp_path / "elsewhere")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UserError, match="is a broken link; pass a directory as --train-dir"):
        locks.claim(tmp_path / "dangling")


@pytest.mark.parametrize("lose", [LOST["another run's"], LOST["without its lock"]], ids=["another run's", "no lock"])
def test_a_run_that_lost_its_directory_ends_in_one_line(records, tmp_path, lose):
    before = []

    def act(_):
        lose(tmp_path / "run")
        before.append(tree(tmp_path / "run"))

    with pytest.raises(UserError, match="is not this run's any more: it, or its lock, was removed or replaced"):
        train(records, tmp_path / "run", 9, hooks=[At(3, act)])
    assert tree(tmp_path / "run") == before[0]


@pytest.mark.slow
def test_a_new_run_that_replaces_a_running_one(tmp_path):
    """`rm -rf D` while a run trains into D, then another run with another seed."""
    first, directory = tmp_path / "log", tmp_path / "run"
    options = [*TINY, "--save-every", "2", "--eval-every", "50"]
    with open(first, "w") as log, start(*options, "--steps", "5000", "--train-dir", directory, stderr=log) as process:
        wait_for_step(process, directory, 3)
        process.send_signal(signal.SIGSTOP)
        shutil.rmtree(directory)
        with start(*options, "--seed", "4", "--steps", "9", "--train-dir", directory) as second:
            wait_for_step(second, directory, 1)
            process.send_signal(signal.SIGCONT)
            assert process.wait(300) == 1
            assert second.wait(300) == 0
    error = first.read_text()
    assert error.startswith(f"error: train dir {directory}: is not this run's any more") and error.count("\n") == 1
    assert run(*options, "--seed", "4", "--steps", "9", "--train-dir", tmp_path / "calm")[0] == 0
    assert comparable(directory) == comparable(tmp_path / "calm")
    data = "model.ckpt-9.data-00000-of-00001"
    assert (directory / data).read_bytes() == (tmp_path / "calm" / data).read_bytes()


class Disk:
    """What a power cut would leave of a directory: the synced bytes, under the names at the last sync of the directory,
    or under the current names, as the file system may choose."""

    def __init__(self, directory, monkeypatch):
        self.directory, self.bytes, self.names, self.at_sync = directory, {}, {}, lambda: None
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, descriptor):
        self.at_sync()
        self._fsync(descriptor)
        status = os.fstat(descriptor)
        if os.path.isfile(f"/proc/self/fd/{descriptor}"):
            self.bytes[status.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()
        elif os.path.samestat(status, os.stat(self.directory)):
            self.names = self.names_now()
        self.at_sync()

    def names_now(self):
        return {entry.name: entry.inode() for entry in os.scandir(self.directory) if entry.is_file()}

    def copy(self, names, target):
        """Writes to `target` what the power cut leaves; a file that was never synced leaves only its name."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name, inode in names.items():
            (target / name).write_bytes(self.bytes.get(inode, b""))
        return target


def test_after_a_power_cut_the_last_announced_checkpoint_exists(records, tmp_path, monkeypatch):
    directory, after, lost, cuts = tmp_path / "run", tmp_path / "after", [], 0
    disk, announced = Disk(directory, monkeypatch), [None]
    save = saves.Checkpoints.save

    def noted(self, session, step):
        save(self, session, step)
        announced[0] = self.last_step
        cut()

    def cut():
        nonlocal cuts
        for names in (disk.names, disk.names_now()):
            cuts += 1
            path = None
            if announced[0] is not None:
                path = checkpoints.newest_whole(disk.copy(names, after), say=lambda line: None)
                logged = metrics_log.read(after / metrics_log.FILE)[0]
                if checkpoints.step_in(path) < announced[0] or len(logged) < announced[0]:
                    lost.append((announced[0], path, len(logged)))

    monkeypatch.setattr(saves.Checkpoints, "save", noted)
    disk.at_sync = cut
    directory.mkdir()
    expected = train(records, directory, 16)
    assert not lost and cuts > 100
    disk.at_sync = lambda: None
    last = disk.copy(disk.names, after)
    assert without_clock(train(records, last, 16)) == without_clock(expected)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "checkpoint", "model.ckpt-6.index"])
@pytest.mark.parametrize("kind", ["pipe", "directory", "socket", "device", "sparse"])
def test_special_files_do_not_block(records, tmp_path, capsys, name, kind):
    train(records, tmp_path, 6)
    (tmp_path / name).unlink(missing_ok=True)
    SPECIAL[kind](tmp_path / name)
    if name == "config.json":
        from graph_resnet import config

        with pytest.raises(UserError, match="config.json: cannot be read .*(regular file|more than)"):
            config.read_json(tmp_path)
    elif name.endswith("index"):
        where = (
            pytest.raises(UserError, match=r"ckpt-6 \(Is a directory\): the last good checkpoint is .*ckpt-4")
            if kind == "directory"
            else contextlib.nullcontext()
        )
        with where:
            train(records, tmp_path, 6)
        assert "model.ckpt-6 cannot be" in capsys.readouterr().out
    else:
        with pytest.raises(UserError, match=f"{name}: cannot be read .*(regular file|more than)"):
            train(records, tmp_path, 6)


def test_names_that_only_look_like_checkpoints_are_ignored(tmp_path):
    for step in ("007", "9" * 200, "1" * 20, "\u0661", "-1", "", "1_0", "best-3"):
        (tmp_path / f"model.ckpt-{step}.index").touch()
    assert checkpoints.steps(tmp_path) == []
    (tmp_path / "model.ckpt-0.index").touch()
    assert checkpoints.steps(tmp_path) == [0]


@pytest.mark.parametrize(
    "state",
    [
        b'model_checkpoint_path: "model.ckpt-' + b"9" * 5000 + b'"\n',
        b'model_checkpoint_path: "/elsewhere/model.ckpt-2"\n',
        b'model_checkpoint_path: "../../etc/passwd"\n',
        b"\x00" * 9999,
        b"",
    ],
)
def test_any_state_file_beside_checkpoints_is_accepted(records, tmp_path, state):
    expected = train(records, tmp_path, 4)
    (tmp_path / checkpoints.STATE).write_bytes(state)
    assert without_clock(train(records, tmp_path, 4)) == without_clock(expected)


def test_lost_records_are_reported(records, tmp_path, capsys):
    expected = train(records, tmp_path, 6)
    path = tmp_path / metrics_log.FILE
    lines = path.read_bytes().splitlines(keepends=True)
    for left, message in (
        (None, "holds no training record before step 6"),
        (0, "holds no training record before step 6"),
        (3, "holds no training record between step 1 and step 6"),
    ):
        path.unlink() if left is None else path.write_bytes(b"".join(lines[:left]))
        capsys.readouterr()
        train(records, tmp_path, 6)
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[metrics]")]
        assert said == [f"[metrics]: {path} {message}: it was truncated or removed; the run goes on without them"]
    path.write_bytes(b"".join(lines[:-1]))  # without the evaluation of the last step, which is then repeated
    train(records, tmp_path, 6)
    assert "[metrics]" not in capsys.readouterr().out
    assert without_clock(map(json.loads, path.read_text().splitlines())) == without_clock(expected)


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ('{"step": 1, "split": "val"}', "it has no loss"),
        ('{"step": 1, "split": "val", "loss": NaN}', "its loss is not a finite number"),
        ('{"step": 1, "split": "val", "loss": "low"}', "its loss is not a finite number"),
        ('{"step": 1, "split": "val", "loss": true}', "its loss is not a finite number"),
        ('{"step": 1, "split": "val", "loss": 1%s}' % ("0" * 400), "its loss is not a finite number"),
        ('{"step": 1%s, "split": "val", "loss": 1}' % ("0" * 5000), "not a JSON object"),
        (
            '{"step": 1%s, "split": "val", "loss": 1}' % ("0" * 30),
            r"its step is not a whole number from 0 to 2\*\*63 - 1",
        ),
        ('{"step": -1, "split": "val", "loss": 1}', r"its step is not a whole number from 0 to 2\*\*63 - 1"),
        ('{"step": 1e3, "split": "val", "loss": 1}', r"its step is not a whole number from 0 to 2\*\*63 - 1"),
        ('{"step": 1, "split": "test", "loss": 1}', "its split is neither train nor val"),
        ('{"step": 1, "split": "val", "loss": 1, "\\u001b[31m": null}', r"its \\x1b\[31m is not a finite number"),
        ('{"step": 1, "split": "val", "loss": 1, "\\ud800": 1e999}', r"its \\ud800 is not a finite number"),
        ("[1]", "not a JSON object"),
    ],
)
def test_a_record_is_checked_field_by_field(tmp_path, record, fault):
    (tmp_path / metrics_log.FILE).write_text(record + "\n")
    with pytest.raises(UserError, match=rf"metrics.jsonl: line 1 is not a record of a run \({fault}\); fix or remove"):
        metrics_log.read(tmp_path / metrics_log.FILE)


def test_records_out_of_order_are_an_error(tmp_path):
    """A file that was reversed or appended to itself: the run would repeat records and draw its curves backwards."""
    steps = (0, 4, 4, 8, 7)
    lines = [json.dumps({"step": step, "split": "train", "loss": 1}) for step in steps]
    (tmp_path / metrics_log.FILE).write_text("\n".join(lines) + "\n")
    with pytest.raises(
        UserError, match=r"line 5 is not a record of a run \(its step 7 follows step 8\); fix or remove"
    ):
        metrics_log.read(tmp_path / metrics_log.FILE)


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlink", "hard link"])
def test_a_run_does_not_write_through_links(records, tmp_path, link):
    directory, outside = tmp_path / "run", tmp_path / "outside"
    train(records, directory, 4)
    outside.mkdir()
    for path in [path for path in directory.iterdir() if path.is_file() and path.name != "lock"]:
        path.rename(outside / path.name)
        link(outside / path.name, path)
    before = tree(outside)
    train(records, directory, 9)
    assert tree(outside) == before
    assert len(metrics_log.read(directory / metrics_log.FILE)[0]) > len(before[metrics_log.FILE].splitlines())


def test_checkpoints_of_another_dtype_are_refused_in_one_line(graph, tmp_path):
    tf.get_variable("w", initializer=tf.constant(1.0, tf.float64))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with tf.Graph().as_default():
        variables = {"w": tf.get_variable("w", initializer=tf.constant(1.0))}
        with pytest.raises(UserError, match=r"does not fit: w is float64 there, float32 here\. Do that") as error:
            checkpoints.check_fit(path, variables, lambda names: "Do that")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"traceEvents": 3}',
        '{"traceEvents": [3]}',
        '{"traceEvents": [{"ph": "X", "dur": 1}]}',
        '{"traceEvents": [{"ph": "X", "dur": "long", "name": "a"}]}',
        '{"traceEvents": [{"ph": "X", "dur": 1e999, "name": "a"}]}',
        '{"traceEvents": [{"ph": "X", "dur": -1, "name": "a"}]}',
        '{"traceEvents": [{"ph": "X", "dur": 1%s, "name": "a"}]}' % ("0" * 400),
        '{"traceEvents": [{"ph": "X", "dur": 1, "name": ["a"]}]}',
        '{"traceEvents": [{"ph": "X", "dur": 1, "name": "\\u001b[31m"}]}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_an_invalid_trace_gives_one_line(tmp_path, content):
    (tmp_path / "timeline-3.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"timeline-3\.json: not a TensorFlow trace \(.*\); remove it") as error:
        profiles.table(profiles.newest(tmp_path))
    assert "\n" not in str(error.value)


def test_only_trace_names_count(tmp_path):
    for name in (
        "timeline-.json",
        "timeline-x.json",
        f"timeline-{'9' * 200}.json",
        "timeline-12.json",
        "timeline-9.json",
    ):
        (tmp_path / name).write_text('{"traceEvents": []}')
    assert profiles.newest(tmp_path).name == "timeline-12.json"
    assert profiles.table(profiles.newest(tmp_path)).splitlines()[-1].split() == ["all", "0.00"]
    assert profiles.newest(tmp_path / "none") is None


@pytest.mark.parametrize("fault", ["a directory in the way", "matplotlib fails"])
def test_plots_never_end_a_run(records, tmp_path, monkeypatch, capsys, fault):
    if fault == "matplotlib fails":
        monkeypatch.setattr(plots, "curves", lambda *arguments: 1 / 0)
    else:
        (tmp_path / "curves.png" / "full").mkdir(parents=True)
    draw = training_run._plots(tmp_path, RECIPES["notebook"], records)
    history = [{"step": 3, "split": "val", "loss": 1.0, "accuracy": 0.5, "images": 7}]
    assert draw(history, np.eye(3, dtype=int)) is None
    reason = "division by zero" if fault == "matplotlib fails" else "Is a directory"
    assert capsys.readouterr().out == f"[pictures]: not drawn ({reason})\n"
    if fault == "matplotlib fails":
        monkeypatch.undo()
    else:
        shutil.rmtree(tmp_path / "curves.png")
    (tmp_path / "victim").write_text("mine")
    for name in ("curves.png", "curves.png.new", "confusion.png", "confusion.png.new"):
        (tmp_path / name).symlink_to("victim")
    assert draw(history, np.eye(3, dtype=int)) is not None
    assert (tmp_path / "victim").read_text() == "mine" and not (tmp_path / "curves.png").is_symlink()
