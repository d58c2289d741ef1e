"""The peers of benchmarks.speed.compare are the same nets; turns, tables, and the operations of a step."""

import dataclasses
import json
import sys

import pytest
import tensorflow.compat.v1 as tf

from benchmarks.accuracy import results, trials
from benchmarks.speed import compare, keras, ours, ready, tables, turns
from benchmarks.speed.turns import Row, Worker
from graph_resnet import tower
from graph_resnet.architectures import ARCHITECTURES
from graph_resnet.errors import UserError
from tests.helpers import run


@pytest.fixture(scope="module", params=ready.WORK)
def recipe(request):
    """Recipes with four images, smaller ones for the bottleneck net."""
    return ready.recipe(request.param, image_size=32, batch_size=4)


@pytest.fixture(scope="module")
def facts(recipe):
    """The facts of our peer."""
    with tf.Graph().as_default():
        images = tf.zeros([1, recipe.image_size, recipe.image_size, 3])
        tower.logits(recipe, images, ready.CLASSES, is_training=False)
        return ours.facts_of(recipe)


def test_keras_is_the_same_net(recipe, facts):
    if recipe.net == "fast":
        pytest.skip("there is no Keras peer for this net")
    theirs = keras.model(recipe)[1]
    assert theirs["parameters"] == {"bottleneck": 619_402, "resnet18": 11_176_970}[recipe.net]
    compare.check({"ours": facts, "Keras": theirs})


def test_pytorch_is_the_same_net(recipe, facts):
    pytest.importorskip("torch")
    from benchmarks.speed import pytorch

    compare.check({"ours": facts, "PyTorch": pytorch.model(recipe)[1]})


def test_flax_is_the_same_net(recipe, facts):
    if recipe.net == "fast":
        pytest.skip("there is no Flax peer for this net")
    pytest.importorskip("flax")
    from benchmarks.speed import flax

    compare.check({"ours": facts, "Flax": flax.model(recipe, "float32")[2]})


def test_another_net_is_refused(facts):
    more = {**facts, "parameters": facts["parameters"] + 1}
    with pytest.raises(UserError, match=r"Keras: has [\d,]+ parameters, ours [\d,]+; not the same net"):
        compare.check({"ours": facts, "Keras": more})
    compare.check({"products": {"flops": 1.0}})  # not a net
    turned = {**facts, "logits": facts["logits"][::-1]}
    with pytest.raises(UserError, match="Keras: its logits differ from those of ours by .*; not the same net"):
        compare.check({"ours": facts, "Keras": turned})


def test_batches_are_the_pictures_normalized():
    recipe = dataclasses.replace(ready.recipe("bottleneck", 64, 3), mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    pictures, labels = ready.pictures(recipe, 2)
    assert pictures.shape == (2, 3, 64, 64, 3) and labels.shape == (2, 3)
    assert (pictures[:, :, ::2, ::2] == pictures[:, :, 1::2, 1::2]).all() and pictures.std() > 20
    images, again = ready.batches(recipe, 2)
    pixel = pictures[1, 2, 10, 20] / 255
    assert images.dtype == "float32" and (again == labels).all()
    assert images[1, 2, 10, 20] == pytest.approx([pixel[0] * 2 - 1, pixel[1] - 0.25, pixel[2] / 2], abs=1e-6)


@pytest.mark.parametrize("net", ready.WORK)
def test_flops_of_a_step(net):
    """Output side, filter side, depths in and out, count; the first layer has no gradient for its input."""
    layers = {
        "bottleneck": [
            (48, 5, 3, 32, 1),
            (24, 1, 32, 128, 3), (24, 1, 32, 32, 1), (24, 3, 32, 32, 2), (24, 1, 128, 32, 1),
            (24, 1, 128, 128, 1), (12, 3, 128, 128, 2), (12, 1, 128, 512, 3), (12, 1, 512, 128, 1),
            (1, 1, 512, 10, 1),
        ],
        "resnet18": [
            (30, 3, 3, 64, 1), (30, 3, 64, 64, 4),
            (15, 3, 64, 128, 1), (15, 3, 128, 128, 3), (15, 1, 64, 128, 1),
            (8, 3, 128, 256, 1), (8, 3, 256, 256, 3), (8, 1, 128, 256, 1),
            (4, 3, 256, 512, 1), (4, 3, 512, 512, 3), (4, 1, 256, 512, 1),
            (1, 1, 512, 10, 1),
        ],
        "fast": [
            (31, 2, 3, 24, 1), (31, 3, 24, 64, 1), (15, 3, 64, 64, 1), (15, 3, 64, 256, 1), (7, 3, 256, 256, 2),
            (3, 3, 256, 256, 1), (1, 1, 256, 10, 1),
        ],
    }[net]  # fmt: skip
    forward = [2 * ready.recipe(net).batch_size * (side * size) ** 2 * a * b * n for side, size, a, b, n in layers]
    assert ours.step_flops(net).facts["flops"] == 3 * sum(forward) - forward[0]


def test_turns():
    with Worker("ours", "products", size=64) as worker:
        assert worker.facts()["tasks"] == ["float32", "bfloat16"]
        rows = [Row(task, worker, task) for task in ("float32", "bfloat16")]
        turns.measure(rows, 3)
        assert worker.peak_mb > 50
    for row in rows:
        assert len(row.seconds) == 3 and all(0 < seconds < 1 for seconds in row.seconds)


def test_a_peer_that_fails_is_named():
    with Worker("ready", "recipe", net="vgg") as worker:
        with pytest.raises(UserError, match=r"ready.recipe\({'net': 'vgg'}\): ended with status 1 \(KeyError: 'vgg'\)"):
            worker.facts()


def test_ratios_are_of_the_same_round():
    ours, theirs = Row("ours", None, "step", [1.0, 2.0, 4.0]), Row("theirs", None, "step", [3.0, 4.0, 4.0])
    assert turns.ratio(theirs, ours) == (2, 1, 3)
    assert tables.cell((2, 1, 3)) == "2.00 (1.00 to 3.00)"


def test_a_page_gets_its_tables(tmp_path):
    page = tmp_path / "page.md"
    text = f"before\n{tables.BEGIN.format('compare')}\nold\n{tables.END.format('compare')}\nafter\n"
    page.write_text(text)
    tables.exchange(page, "compare", str(tables.Table("New", ("a", "b"), [("c", "1.5")])))
    new = page.read_text()
    assert "| a | " in new and "old" not in new and new.startswith("before\n") and new.endswith("\nafter\n")
    tables.exchange(page, "compare", "old")
    assert page.read_text() == text.replace("\nold\n", "\n\nold\n\n")
    with pytest.raises(UserError, match="page.md: has no lines <!-- begin"):
        tables.exchange(page, "scaling", "")


class KnownWorker:
    """Stands in for a peer, which would take minutes: a step takes a given number of seconds."""

    peak_mb = 1234.5

    def __init__(self, seconds):
        self.seconds = seconds

    def run(self, task, steps):
        return steps * (self.seconds[task] if isinstance(self.seconds, dict) else self.seconds)


@pytest.fixture
def session(monkeypatch):
    """A run of the command in which ours takes 2 s in float32, 1 s in bfloat16, and the others 3 s."""
    ours_takes = {"ours, float32": 2.0, "ours, bfloat16": 1.0, "ours, bfloat16, its own input": 1.25}
    ours_takes["products"] = {"float32": 4.0, "bfloat16": 1.0}

    def start(self, stack, peers):
        workers = {name: KnownWorker(ours_takes.get(name, 3.0)) for name in peers}
        return workers, {"products": {"flops": 8e9}, "step": {"flops": 4e9}}

    monkeypatch.setattr(compare.Session, "start", start)
    return compare.Session(rounds=2, data_dir=None)


def rows_of(table):
    return {row[0]: row[1:] for row in table.rows}


def test_training_tables(session):
    session.training("bottleneck")
    training, limits = map(rows_of, session.tables)
    assert training["ours, float32"] == ("2.00 (2.00 to 2.00)", "1.00 (1.00 to 1.00)", "1,234")
    assert training["PyTorch, bfloat16, torch.compile"][:2] == ("3.00 (3.00 to 3.00)", "1.50 (1.50 to 1.50)")
    assert len(training) == 14 and all(len(row) == 3 for row in training.values())
    # Half of a step is matrix products: 2 s and 0.5 s at their rates.
    assert limits["ours, float32: share of the float32 floor"] == ("1.00 (1.00 to 1.00)",)
    assert limits["ours, bfloat16: share of the bfloat16 floor"] == ("0.50 (0.50 to 0.50)",)
    assert limits["the input's part of a step, bfloat16"] == ("0.200 (0.200 to 0.200)",)
    assert session.tables[1].note.startswith("4.0 GFLOP a step; ")
    assert session.tables[1].note.endswith(" 2 GFLOP/s in float32, 8 GFLOP/s in bfloat16.")
    assert session.seconds["Training, bottleneck net, 96x96, batch 64"]["Keras 3, fit"] == [3.0, 3.0]


def test_the_quick_comparison_leaves_out_what_starts_slowly(session):
    session.quick = True
    session.training("bottleneck")
    names = {*rows_of(session.tables[0])}
    assert {"ours, bfloat16", "Keras 3, fit", "PyTorch, float32", "Flax, bfloat16"} < names and len(names) == 11
    assert not any("compile" in name or "loop" in name for name in names)


def test_results_from_before_a_peer_failed_are_kept(session, monkeypatch, capsys, tmp_path):
    def fails(self):
        raise UserError("input.one_core: ended with status 1")

    monkeypatch.setattr(compare, "Session", lambda *arguments: session)
    monkeypatch.setattr(type(session), "input", fails)
    kept = tmp_path / "kept.json"
    command = ["compare", "--only", "training", "input", "--json", str(kept)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(UserError, match="input.one_core"):
        compare.main()
    assert "### Training, ResNet-18" in capsys.readouterr().out
    assert len(json.loads(kept.read_text())["seconds"]) == 2


def test_inference_table(session):
    session.inference("resnet18")
    table = rows_of(session.tables[0])
    assert table["ours, bfloat16"] == ("1.00 (1.00 to 1.00)",) * 2
    assert table["PyTorch, float32, frozen"] == ("3.00 (3.00 to 3.00)",) * 2 and len(table) == 8


@pytest.fixture
def finished(tmp_path):
    """A train dir of 4,000 steps of 10 images, at 20 images/s except for one slow step."""
    directory = tmp_path / "finished"
    directory.mkdir()
    config = {"recipe": {"batch_size": 10}, "data": {"files": []}}
    (directory / "config.json").write_text(json.dumps(config))
    records = [
        {"step": step, "split": "train", "loss": 1.0, "accuracy": 0.5, "images_per_second": rate}
        for step, rate in ((0, 0.1), (1500, 20.0), (2500, 20.0))
    ]
    records += [
        {"step": step, "split": "val", "loss": 1.0, "accuracy": value, "images": 100}
        for step, value in ((1000, 0.69), (2000, 0.81), (3600, 0.74), (4000, 0.85))
    ]
    records.sort(key=lambda record: record["step"])
    (directory / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return directory


def test_time_to_accuracy(finished):
    read = results.read(finished)
    found = {milestone: read.reached(milestone) for milestone in results.MILESTONES}
    assert found == {0.70: 2000, 0.80: 2000, 0.85: 4000, 0.90: None}
    assert read.late() == pytest.approx((0.74 + 0.85) / 2)
    assert read.row()[1:3] == ("0.500", "2,000 (17 min)") and read.row()[5:8] == ("-", "4,000 (33 min)", "85.00%")


def test_time_to_accuracy_as_a_command(finished):
    picture = finished / "both.png"
    status, lines, err = run("--picture", picture, finished, finished, module="benchmarks.accuracy.results")
    assert (status, err) == (0, "") and "\n".join(lines).count("2,000 (17 min)") == 4
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_run_without_an_evaluation_is_refused(finished):
    (finished / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="not a run with an evaluation"):
        results.read(finished)


def test_a_row_of_the_trials_is_an_architecture():
    first, *_, strided, basic = (trials.row(text) for text in (*trials.ROWS[:1], *trials.ROWS[-2:]))
    assert first == ARCHITECTURES["deep"]
    assert [(g.pool, g.stride, g.bottleneck) for g in strided.groups] == [
        ((2, 2), 1, 128),
        (None, 2, 256),
        (None, 2, 512),
    ]
    assert [(g.scope, g.depth, g.bottleneck) for g in basic.groups[:2]] == [("block1", 32, None), ("block2", 128, None)]


def test_a_trial_that_does_not_exist_is_refused():
    status, _, err = run(
        "ingredients", "--recipe", "strong", "--only", "as it was", module="benchmarks.accuracy.trials"
    )
    assert status == 2
    assert "no trial 'as it was': use one of 'as it is', 'without cosine'" in err
    assert "'learning rate 0.025', 'learning rate 0.1'" in err
