"""Runs under adverse conditions: full disks, lost files, signals, damaged records, unusual names."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_resnet import cli
from graph_resnet import config as config_json
from graph_resnet.data import find, synthetic
from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints, metrics_log, progress
from graph_resnet.recipes import RECIPES
from graph_resnet.training import run as training_run
from graph_resnet.training import train_dir
from graph_resnet.training.options import Machine, Start
from graph_resnet.training.start import Job
from tests.helpers import CASES, QUIET, ROOT, diverging, final_value, regression
from utils.learning import train_with_bn

KEPT = {f"model.ckpt-{step}.{end}" for step in range(5, 10) for end in ("index", "meta", "data-00000-of-00001")}


@contextlib.contextmanager
def file_size_limit(size):
    """Limits the size of this process's files, like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def train(records, directory, max_step, *, hooks=(), ballast=0, **options):
    """The session loop on a net with one weight and an extra variable of `ballast` floats."""
    with tf.Graph().as_default():
        arguments, _ = regression(records)
        tf.get_variable("ballast", [ballast], initializer=tf.zeros_initializer())
        options = {"log_every": 1, "eval_every": 4, "save_every": 2, **options}
        return train_with_bn(*arguments, max_step, train_dir=directory, hooks=hooks, **options)


def without_clock(history):
    return [{name: value for name, value in r.items() if name != "images_per_second"} for r in history]


def test_a_full_disk_while_a_checkpoint_is_written(records, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = train(records, whole, 6, ballast=1 << 18)
    train(records, parts, 4, ballast=1 << 18)
    with pytest.raises(UserError) as error, file_size_limit(1 << 19):
        train(records, parts, 6, ballast=1 << 18)
    message = f"cannot write checkpoint {parts / 'model.ckpt-6'} ("
    assert str(error.value).startswith(message) and "File too large" in str(error.value)
    assert f"the last good checkpoint is {parts / 'model.ckpt-4'}; make room" in str(error.value)
    assert final_value(parts, "global_step", 4) == 4
    assert not list(parts.glob("*.tempstate*"))
    assert without_clock(train(records, parts, 6, ballast=1 << 18)) == without_clock(expected)
    data = "model.ckpt-6.data-00000-of-00001"
    assert (parts / data).read_bytes() == (whole / data).read_bytes()


def test_a_full_disk_while_a_record_is_written(graph, tmp_path):
    log = metrics_log.MetricsLog(tmp_path, 0)
    path = tmp_path / metrics_log.FILE
    for step in range(9):
        log.add("train", step, loss=1.0)
    size = path.stat().st_size
    with pytest.raises(UserError, match=r"cannot write .*metrics\.jsonl \(.*\); fix that"), file_size_limit(size + 9):
        log.add("train", 9, loss=1.0)
    log.close()
    assert path.stat().st_size == size + 9  # half a line, which the next run drops
    log = metrics_log.MetricsLog(tmp_path, 9)
    assert [r["step"] for r in log.history] == list(range(9))
    log.close()
    assert path.stat().st_size == size


def test_a_full_disk_while_an_event_or_a_config_is_written(tmp_path):
    events = metrics_log.Events(tmp_path / "train", 0)
    with pytest.raises(UserError, match=r"cannot write .*/train/events\.out\.tfevents\."), file_size_limit(2000):
        events.add(graph_def=b"x" * 5000)
    events.close()
    config_json.write_json(tmp_path, {"seed": 1})
    with pytest.raises(UserError, match=r"config\.json: cannot be written"), file_size_limit(2000):
        config_json.write_json(tmp_path, {"seed": "x" * 5000})
    assert json.loads((tmp_path / config_json.FILE).read_text()) == {"seed": 1}


class At(tf.train.SessionRunHook):
    """Calls `act(session)` after `updates` updates."""

    def __init__(self, updates, act):
        self.updates, self.act = updates, act

    def after_run(self, run_context, run_values):
        self.updates -= 1
        if self.updates == 0:
            self.act(run_context.session)


def test_a_train_dir_that_vanishes(records, tmp_path):
    directory, away = tmp_path / "run", tmp_path / "away"
    expected = train(records, directory, 7)
    shutil.rmtree(directory)
    with pytest.raises(UserError) as error:
        train(records, directory, 7, hooks=[At(5, lambda _: directory.rename(away))])
    assert f"train dir {directory}: is gone: it was removed or moved" in str(error.value)
    assert not directory.exists()
    away.rename(directory)
    assert without_clock(train(records, directory, 7)) == without_clock(expected)


def test_data_removed_during_a_run_is_not_needed(records, tmp_path):
    def remove(_):
        for path in records.train + records.test:
            path.unlink()

    history = train(records, tmp_path / "run", 12, hooks=[At(2, remove)])
    assert [r["loss"] for r in history if r["split"] == "val"] == [pytest.approx(103)] * 4


def test_the_graph_is_finalized(records):
    seen = []
    train(records, None, 1, hooks=[At(1, lambda session: seen.append(session.graph.finalized))])
    assert seen == [True]


def test_a_train_dir_may_have_any_name(records, tmp_path):
    # TensorFlow takes [1] for a pattern in several places, and then finds nothing to restore or delete.
    directory = tmp_path / "a b [1]* \u00fc\u706b" / ("long " * 40)
    for max_step in (3, 5, 9):
        train(records, directory, max_step, save_every=1)
    train(records, tmp_path / "plain", 9, save_every=1)
    assert {path.name for path in directory.glob("model.ckpt-*")} == KEPT
    data = "model.ckpt-9.data-00000-of-00001"
    assert (directory / data).read_bytes() == (tmp_path / "plain" / data).read_bytes()
    assert (directory / "checkpoint").read_text() == (tmp_path / "plain" / "checkpoint").read_text()
    assert 'all_model_checkpoint_paths: "model.ckpt-5"' in (directory / "checkpoint").read_text()


def test_leftovers_of_a_killed_save_are_removed(records, tmp_path):
    train(records, tmp_path, 3)
    left = "model.ckpt-4.data-00000-of-00001.tempstate123", "model.ckpt-4.meta.tmp0a", "checkpoint.tmp0a"
    for name in left:
        (tmp_path / name).write_bytes(b"half")
    train(records, tmp_path, 4)
    assert not {path.name for path in tmp_path.iterdir()} & set(left)


def test_lost_checkpoints_are_not_silently_trained_again(records, tmp_path, capsys):
    train(records, tmp_path, 6)
    for path in [*tmp_path.glob("model.ckpt-6.*"), *tmp_path.glob("model.ckpt-4.*")]:
        path.unlink()
    train(records, tmp_path, 6)
    assert f"{tmp_path / 'model.ckpt-6'} is missing: trying the one before" in capsys.readouterr().out
    for path in tmp_path.glob("model.ckpt-*"):
        path.unlink()
    with pytest.raises(UserError, match="none of its checkpoints can be read"):
        train(records, tmp_path, 6)
    (tmp_path / "checkpoint").unlink()
    before = (tmp_path / metrics_log.FILE).read_bytes()
    with pytest.raises(UserError, match=r"metrics\.jsonl: goes to step 6, but there is no checkpoint"):
        train(records, tmp_path, 6)
    assert (tmp_path / metrics_log.FILE).read_bytes() == before
    (tmp_path / metrics_log.FILE).write_bytes(b'{"step": 0, "split": "train", "loss": 1.0, "accuracy": 0.5}\n')
    train(records, tmp_path, 1)  # a run that stopped before its first checkpoint
    assert "the earlier run ended before its first checkpoint: starting at step 0" in capsys.readouterr().out


def test_another_nets_checkpoint_is_refused(records, graph, tmp_path):
    train(records, tmp_path, 1, ballast=3)
    with pytest.raises(UserError, match=r"ballast is \[3\] there, \[4\] here. It belongs to another net: pass another"):
        train(records, tmp_path, 2, ballast=4)
    train_with_bn(*diverging(5), 1, train_dir=tmp_path / "no ballast", **QUIET)
    with pytest.raises(UserError, match=r"does not fit: ballast is not in it. It belongs to another net"):
        train(records, tmp_path / "no ballast", 2, ballast=4)


def test_a_validation_loss_that_is_not_finite_stops_the_run(graph, tmp_path):
    arguments = diverging(99)
    arguments[3] = tf.constant(float("inf"))
    with pytest.raises(UserError, match="the validation loss is inf at step 4: the last good checkpoint is .*ckpt-2"):
        train_with_bn(*arguments, 9, train_dir=tmp_path, log_every=9, eval_every=4, save_every=2, eval_at_start=False)
    assert "val" not in (tmp_path / metrics_log.FILE).read_text()


def test_a_closed_terminal_does_not_stop_the_save(monkeypatch):
    terminal, end = os.openpty()
    os.close(terminal)
    closed = open(end, "w", buffering=1)  # noqa: SIM115 (below)
    try:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(OSError, match="Input/output error"):
            print("this is not caught")
        progress.say("nobody reads this")
    finally:
        with contextlib.suppress(OSError):  # closing writes the rest
            closed.close()
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        progress.say("nor this")


STOPS = """
import os, signal, sys, time
from graph_resnet import cli
from graph_resnet.loop.signals import StopRequest
def main():
    with StopRequest() as stop:
        for pause in sys.argv[1:]:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(float(pause))
        print(stop.signum)
%s
"""


def python(source, *arguments):
    """(exit status, stdout, stderr) of a Python program without TensorFlow."""
    done = subprocess.run([sys.executable, "-c", source, *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_a_second_signal_exits_at_once():
    assert python(STOPS % "cli.run(main)", "0.2", "9") == (130, "", "stopped by SIGINT\n")
    assert python(STOPS % "cli.run(main)", "0", "0") == (0, "2\n", "")  # an echo of the first, as from timeout(1)


def test_a_second_signal_goes_to_the_previous_handler():
    in_a_notebook = """
try:
    main()
except KeyboardInterrupt:
    print("the kernel lives")
"""
    assert python(STOPS % in_a_notebook, "0.2", "9") == (0, "the kernel lives\n", "")
    by_default = "signal.signal(signal.SIGINT, signal.SIG_DFL)\nmain()"
    assert python(STOPS % by_default, "0.2", "9") == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    "end, status, message",
    [("os.kill(os.getpid(), 9)", -9, "out of memory?\n"), ("os.abort()", -6, "out of memory?\n"), ("pass", 0, "")],
)
def test_last_words_of_a_process_that_dies(end, status, message):
    source = f"import os\nfrom graph_resnet.last_words import last_words\nwith last_words('out of memory?'):\n    {end}"
    assert python(source) == (status, "", message)


@pytest.mark.parametrize(("where", "words"), [("inner", "inner\n"), ("after", "outer\n"), ("outside", "")])
def test_last_words_are_those_of_the_innermost_block(where, words):
    source = f"""
import os
from graph_resnet.last_words import last_words
def die(here):
    if here == {where!r}:
        os.abort()
with last_words("outer"):
    with last_words("inner"):
        die("inner")
    die("after")
die("outside")
"""
    assert python(source) == (-6, "", words)


def test_a_process_that_its_user_ends_has_no_last_words():
    source = "import os\nfrom graph_resnet.last_words import last_words, silence\n"
    source += "with last_words('out of memory?'):\n    silence()\n    os._exit(130)"
    assert python(source) == (130, "", "")


def test_a_crash_in_the_import_of_tensorflow_is_one_line(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os; os.abort()")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "XLA_FLAGS": "--no_such_flag"}
    arguments = [sys.executable, "-m", "graph_resnet.train", "--dataset", "synthetic", "--train-dir", "a"]
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True)
    line = "error: TensorFlow ended the process while it was imported; is XLA_FLAGS right?\n"
    assert (done.returncode, done.stderr) == (-signal.SIGABRT, line), done.stdout


COMMAND = """
import os, signal
from graph_resnet import cli
def main():
    print("\\udce9")  # of a file name that is not UTF-8
    %s
cli.run(main)
"""


@pytest.mark.parametrize(
    "act, status, message",
    [
        ("return 0", 0, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, f"{cli.DIED}\n"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "stopped by SIGINT\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "stopped by SIGTERM\n"),
        ("os.kill(os.getpid(), signal.SIGHUP)", 129, "stopped by SIGHUP\n"),
        ("open('/nowhere/at all', 'w')", 1, "error: /nowhere/at all: No such file or directory\n"),
        ("raise OSError(28, 'No space left on device')", 1, "error: No space left on device\n"),
        (
            "import tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd()); os.path.abspath('a')",
            1,
            "error: the working directory is gone; cd to another one\n",
        ),
        # the reader of the output closed the pipe
        ("r, w = os.pipe(); os.close(r); os.dup2(w, 1); print('unread')", 141, "stopped\n"),
    ],
)
def test_a_command_ends_with_a_status_and_one_line(act, status, message):
    assert python(COMMAND % act) == (status, "\\udce9\n", message)


def test_a_command_whose_terminal_is_gone_keeps_its_status():
    source = COMMAND.replace(
        "def main", "os.close(1); os.close(2)\nend, _ = os.openpty(); os.dup(_)\nos.close(end)\ndef main"
    )
    source = source.replace('print("\\udce9")', "")
    assert python(source % "os.kill(os.getpid(), signal.SIGHUP)")[0] == 129


@pytest.mark.parametrize(
    "name, message",
    [
        ("file", "is a file; pass a directory as --train-dir"),
        ("file/below", "cannot be written \\(Not a directory\\)"),
        ("x" * 300, "cannot be written \\(File name too long\\)"),
        ("caf\udce9", "not UTF-8 where file names are utf-8; rename it, or set PYTHONUTF8=1"),
    ],
)
def test_an_impossible_train_dir(tmp_path, name, message):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"^train dir .*{message}"):
        train_dir.claim(tmp_path / name)


def tiny(**changes):
    return replace(RECIPES["notebook"], **{"image_size": 8, "batch_size": 2, "steps": 1, "eval_every": 1, **changes})


@pytest.fixture
def few_records(tmp_path):
    """Records of 20 training and 10 test synthetic images."""
    synthetic.write(tmp_path / f"synthetic-{synthetic.VERSION}", num_train=20, num_test=10)
    return find.cifar("synthetic", tmp_path)


def test_other_data_and_another_run_are_refused(few_records, graph, tmp_path):
    data = tmp_path / "train.bin"
    shutil.copy(few_records.train[0], data)
    records = replace(few_records, train=(data, *few_records.train[1:]))

    def again(records=records, **options):
        return training_run.run(Job(tiny(**options.pop("recipe", {})), records, tmp_path / "run", **options))

    (tmp_path / "run").mkdir()
    config_json.write_json(tmp_path / "run", {"recipe": {}, "data": {"files": []}})  # from a start that saved nothing
    again()
    pixels = bytearray(data.read_bytes())
    pixels[2000] ^= 1
    data.write_bytes(pixels)
    with pytest.raises(
        UserError, match=r"other data \(sha256 of train\.bin was \w{64}, is \w{64}\).*--allow-other-data"
    ):
        again()
    assert again(recipe={"steps": 2}, allow_other_data=True).step == 2
    for recipe, difference in (
        ({"name": "mine"}, "name notebook, not mine"),
        ({"net": "resnet18"}, "net bottleneck, not resnet18"),
        ({"image_size": 9}, "image_size 8, not 9"),
        ({"batch_size": 3}, "batch_size 2, not 3"),
    ):
        with pytest.raises(UserError, match=f"holds a run with {difference}"):
            again(recipe=recipe)
    fewer = replace(records, class_names=records.class_names[:-1])
    with pytest.raises(UserError, match=f"num_classes {records.num_classes}, not {records.num_classes - 1}"):
        again(fewer)
    (tmp_path / "run" / config_json.FILE).unlink()
    with pytest.raises(UserError, match=r"holds checkpoints but no config\.json"):
        again()


def test_out_of_memory_names_what_to_lower(few_records, graph, tmp_path):
    with pytest.raises(
        UserError, match=r"out of memory with 10000 images of 99999x99999 a batch; lower --batch-size or"
    ):
        machine = Machine("float32")
        training_run.run(Job(tiny(batch_size=10_000, image_size=99_999), few_records, tmp_path, machine=machine))


CONFIG = {
    "recipe": {"name": "notebook", "net": "bottleneck", "image_size": 96, "batch_size": 64, "num_classes": 10},
    "data": {"dataset": "synthetic", "label": "fine", "num_classes": 10, "files": [{"name": "a.bin", "bytes": 1}]},
}
RECORD = {"step": 3, "split": "val", "loss": 0.5, "accuracy": 0.5}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


def damaged(good):
    """Bytes similar to `good`: a stretch of them is replaced."""
    places = st.integers(0, len(good))
    return st.builds(lambda a, b, c: good[: min(a, b)] + c + good[max(a, b) :], places, places, st.binary(max_size=9))


def exchanged(value, path):
    """`value` with any other value at `path`."""
    if not path:
        return VALUES
    return st.builds(lambda inner: {**value, path[0]: inner}, exchanged(value[path[0]], path[1:]))


def as_bytes(values):
    return values.map(lambda value: json.dumps(value).encode())


def test_a_refused_resume_changes_no_file(records, tmp_path):
    """Evaluation and prediction read its config.json, and graph.pbtxt is the graph of its weights."""
    recipe = replace(RECIPES["notebook"], image_size=8, batch_size=4, steps=2)

    def train(changes, **options):
        machine = Machine("float32")
        training_run.run(Job(replace(recipe, **changes), records, tmp_path, machine=machine, **options))

    train({})

    def described():
        return [(tmp_path / name).read_bytes() for name in ("config.json", "graph.pbtxt")]

    before = described()
    for changes, options, difference in (
        ({"name": "strong"}, {}, "holds a run with name notebook, not strong"),
        ({"image_size": 16}, {}, "holds a run with image_size 8, not 16"),
        ({"batch_size": 8}, {}, "holds a run with batch_size 4, not 8"),
        ({"mean": (0, 0, 0)}, {}, "holds a run with mean [0.4914, 0.4822, 0.4465], not [0, 0, 0]"),
        ({}, {"seed": 4}, "holds a run with seed 0, not 4"),
        (
            {"optimizer": "adam"},
            {},
            "was trained with the optimizer momentum, whose state adam cannot use",
        ),
        ({}, {"start": Start(trainable_scopes=("nowhere",))}, "--trainable-scopes nowhere: no variable begins with it"),
        ({"steps": 1}, {}, "model.ckpt-2: is beyond the end at step 1"),
    ):
        with pytest.raises(UserError) as refused:
            train(changes, **options)
        assert difference in str(refused.value)
        assert described() == before


PLACES = st.sampled_from([("recipe",), ("recipe", "name"), ("data",), ("data", "files"), ("data", "label")])
CONFIGS = damaged(json.dumps(CONFIG).encode()) | as_bytes(PLACES.flatmap(lambda path: exchanged(CONFIG, path)) | VALUES)
LINES = damaged(json.dumps(RECORD).encode()) | as_bytes(
    st.sampled_from([*RECORD]).flatmap(lambda key: exchanged(RECORD, [key])) | VALUES
)


@settings(max_examples=CASES, deadline=None)
@given(content=CONFIGS | st.binary(max_size=99))
def test_any_config_is_read_or_refused(content):
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / config_json.FILE).write_bytes(content)
        try:
            config = config_json.read_json(directory)
            config_json.check_same_run(directory, config, CONFIG, find.same_data(config["data"], CONFIG["data"]))
        except UserError as error:
            assert directory in str(error) and str(error).isprintable()
        else:
            assert config["recipe"]["name"] == "notebook" and config["data"]["label"] == "fine"


@settings(max_examples=CASES, deadline=None)
@given(lines=st.lists(LINES | st.just(json.dumps(RECORD).encode()), max_size=4), tail=st.binary(max_size=9))
def test_any_record_of_a_run_is_read_or_refused(lines, tail):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / metrics_log.FILE
        path.write_bytes(b"".join(line + b"\n" for line in lines) + tail)
        try:
            log = metrics_log.MetricsLog(directory, 3)
        except UserError as error:
            assert str(path) in str(error) and str(error).isprintable()
            return
        log.add("train", 3, loss=1.0)
        log.close()
        again, ends = metrics_log.read(path)
        assert repr(again) == repr(log.history)  # compared as text, because nan is not equal to nan
        assert ends[-1] == path.stat().st_size
        assert all(isinstance(r["step"], int) and r["split"] in ("train", "val") for r in again)


def test_a_nonsense_state_file_is_ignored(records, tmp_path):
    for state in (b"", b"\xff\x00", b'model_checkpoint_path: "elsewhere"\n'):
        (tmp_path / checkpoints.STATE).write_bytes(state)
        with pytest.raises(UserError, match="none of its checkpoints can be read"):
            train(records, tmp_path, 1)
