"""metrics.jsonl: what is kept of an earlier run, and what is refused."""

import json

import pytest

from graph_resnet.errors import UserError
from graph_resnet.loop import metrics_log


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_resumed_run_drops_records_after_its_checkpoint(graph, tmp_path):
    log = metrics_log.MetricsLog(tmp_path, 0)
    for split, step in (("val", 0), ("train", 0), ("train", 1), ("val", 2), ("train", 2), ("val", 4)):
        log.add(split, step, loss=step / 2, accuracy=0.5)
    log.close()
    path = tmp_path / metrics_log.FILE
    with path.open("ab") as file:
        file.write(b'{"step": 5, "spl')  # the run was killed in the middle of a line
    log = metrics_log.MetricsLog(tmp_path, 2)
    assert [(r["split"], r["step"]) for r in log.history] == [("val", 0), ("train", 0), ("train", 1), ("val", 2)]
    assert log.has("val", 2) and not log.has("val", 4)
    log.add("train", 2, loss=7.0, accuracy=None)
    log.close()
    assert lines(path) == log.history
    assert lines(path)[-1] == {"step": 2, "split": "train", "loss": 7.0}


def test_an_invalid_line_is_named(tmp_path):
    path = tmp_path / metrics_log.FILE
    for wrong in (
        b"[]\n",
        b"{}\n",
        b"nonsense\n",
        b'{"step": "1", "split": "val"}\n',
        b"\xff\xfe\n",
        b"[" * 5000 + b"\n",
    ):
        path.write_bytes(b'{"step": 0, "split": "val", "loss": 1}\n' + wrong)
        with pytest.raises(UserError, match=r"metrics\.jsonl: line 2"):
            metrics_log.read(path)


def test_events_carry_the_same_numbers_under_the_same_tags(graph, tmp_path):
    import tensorflow.compat.v1 as tf

    log = metrics_log.MetricsLog(tmp_path, 0)
    log.add("train", 0, loss=2.5, accuracy=0.25, learning_rate=0.5)
    log.add("val", 3, loss=1.5, accuracy=0.75, images=7)  # the number of images is not plotted
    log.close()
    for split, step, values in (
        ("train", 0, {"loss": 2.5, "accuracy": 0.25, "training/learning_rate": 0.5}),
        ("val", 3, {"loss": 1.5, "accuracy": 0.75}),
    ):
        (file,) = (tmp_path / split).glob("events.out.tfevents.*")
        found = {
            value.tag: (event.step, value.simple_value)
            for event in tf.train.summary_iterator(str(file))
            for value in event.summary.value
        }
        assert found == {tag: (step, value) for tag, value in values.items()}


def test_without_a_train_dir_only_the_history_is_kept():
    log = metrics_log.MetricsLog(None, 0)
    log.add("val", 0, loss=1.0)
    log.close()
    assert log.history == [{"step": 0, "split": "val", "loss": 1.0}]
