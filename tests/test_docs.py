"""Runs the programs in the docs and checks what the pages say about them."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import train
from tests.helpers import ROOT, run

LINES = 45  # of a program, without blank lines


def programs(page):
    """The python code blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def execute(graph, monkeypatch):
    """Runs a program in a fresh graph, so eager execution need not be turned off, and returns its names."""
    monkeypatch.setattr(tf, "disable_eager_execution", lambda: None)

    def execute(source):
        names = {}
        exec(compile(source, "program", "exec"), names)
        return names

    return execute


def variables(scope):
    """{name below the scope: shape}, without the optimizer's variables."""
    found = tf.get_collection(tf.GraphKeys.MODEL_VARIABLES, scope)
    return {variable.op.name.removeprefix(scope): variable.shape.as_list() for variable in found}


def test_the_page_has_three_short_programs():
    found = programs("docs/residual_block.md")
    assert len(found) == 3
    for source in found:
        lines = source.splitlines()
        assert len([line for line in lines if line]) <= LINES and max(map(len, lines)) <= 120
        assert "residual_block(" in source


def test_the_classifier_learns(execute):
    names = execute(programs("docs/residual_block.md")[0])
    assert names["net"].shape.as_list() == [None, 7, 7, 64]
    assert variables("block1/")["conv2/BatchNorm/moving_mean"] == [8]
    assert 0.8 < names["losses"][0] < 1.6 and np.mean(names["losses"][-5:]) < 0.3
    assert names["right"] >= 0.9


def test_the_encoder_learns(execute):
    names = execute(programs("docs/residual_block.md")[1])
    assert names["codes"].shape == (300, 12)
    assert variables("encoder/block1/conv2/") == {"weights": [3, 3, 8, 8], "biases": [8]}
    assert names["error"] < names["x"].var() / 2


def test_the_slim_net_is_restored(execute):
    names = execute(programs("docs/residual_block.md")[2])
    for features in ("restored", "kept"):
        np.testing.assert_array_equal(names[features], names["saved"])
    assert names["saved"].shape == (64, 8, 8, 64) and names["saved"].std() > 0
    assert names["losses"][-1] < names["losses"][0] / 2


def test_a_unit_of_slim_is_a_block(graph):
    import graph_resnet.compat.slim  # noqa: F401

    import tf_slim as slim  # isort: skip
    from tf_slim.nets import resnet_v1  # isort: skip

    from graph_resnet import residual_block

    images = tf.constant(np.random.default_rng(0).normal(size=(2, 8, 8, 64)), tf.float32)
    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        theirs = resnet_v1.bottleneck(images, 256, 64, 1, scope="unit")
        ours = residual_block(images, 64, 256, scope="block")
    assert len(variables("unit/")) == 20 and variables("unit/") == variables("block/")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([tf.assign(a, b) for a, b in zip(tf.global_variables("block/"), tf.global_variables("unit/"))])
        theirs, ours = session.run([theirs, ours])
    assert theirs.std() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_readmes_block(execute):
    source = next(source for source in programs("README.md") if "residual_block(" in source)
    assert execute(source)["net"].shape.as_list() == [None, 14, 14, 64]


def test_the_readmes_loop_learns(execute, capsys):
    source = next(source for source in programs("README.md") if "train_with_bn(" in source)
    execute(source)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[val]: ")]
    losses = [float(re.search(r"loss = ([\d.]+)", line)[1]) for line in lines]
    assert lines[0].startswith("[val]: step 0 ") and lines[-1].startswith("[val]: step 200 ")
    assert losses[-1] < losses[0] / 2


@pytest.mark.slow
def test_the_calls_from_python(tmp_path):
    """In a separate process, which runs eagerly except in the graphs that the program creates."""
    (source,) = programs("docs/api.md")
    source += "\nassert tf.executing_eagerly() and evaluation.accuracy == result.accuracy"
    done = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("[train]: step 0 ") == 1 and done.stdout.endswith("(1, 10)\n")


def test_the_readmes_map_names_every_room():
    page = (ROOT / "README.md").read_text()
    table = page[page.index("## Where things are") :]
    named = set(re.findall(r"`([\w/.]+)`", table))
    rooms = {f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("graph_resnet/*/__init__.py")}
    assert rooms <= named and {"utils/", "benchmarks/"} <= named
    for name in named:
        places = (ROOT / name, ROOT / "graph_resnet" / name, ROOT / "benchmarks" / name, ROOT / "utils")
        assert any(place.exists() for place in places), name


@pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))], ids=lambda path: path.name
)
def test_a_page_names_files_that_exist(page):
    text = page.read_text()
    named = re.findall(r"`((?:graph_resnet|utils|tests|benchmarks|docs|notebooks)/[\w/]+\.\w+)`", text)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([\w/.-]+\.\w+(?:#[\w-]+)?)\)", text)]
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [link for link in links if link and not (page.parent / link).exists()]
    assert not missing


def test_a_users_row_and_recipe(tmp_path):
    """Runs the page's file with the command; afterwards the file is not needed, because config.json has the row."""
    source = next(source for source in programs("docs/extending.md") if "Architecture(" in source)
    (tmp_path / "mine.py").write_text(source)
    train_dir = tmp_path / "run"
    flags = "--dataset synthetic --image-size 16 --batch-size 50 --steps 2 --precision float32".split()
    status, lines, err = run("--recipe", tmp_path / "mine.py", *flags, "--train-dir", train_dir)
    assert status == 0, err
    assert any(line.startswith("[net]: small, ") for line in lines)
    (tmp_path / "mine.py").unlink()
    status, evaluated, err = run("--train-dir", train_dir, "--json", module="graph_resnet.evaluate")
    assert status == 0, err
    assert f"acc = {json.loads(evaluated[0])['accuracy']:.4f}" in lines[-1]
    recipe, _ = train.parse(["--recipe", str(train_dir / "config.json"), "--steps", "3"])
    assert (recipe.net.scope, recipe.image_size, recipe.steps) == ("small", 16, 3)


@pytest.mark.parametrize("name", ["focal_loss", "from_tensor_slices"])
def test_a_users_graphs_learn(name, capsys):
    source = next(source for source in programs("docs/extending.md") if name in source)
    names = {}
    exec(compile(source, name, "exec"), names)
    evaluations = [record for record in names["history"] if record["split"] == "val"]
    assert evaluations[-1]["loss"] < evaluations[0]["loss"]
    assert evaluations[-1]["images"] == {"focal_loss": 1000, "from_tensor_slices": 50}[name]


def test_a_users_loop():
    names = {}
    exec(compile(programs("docs/extending.md")[-1], "loop", "exec"), names)
    assert len(names["losses"]) == 20 and np.isfinite(names["losses"]).all()
