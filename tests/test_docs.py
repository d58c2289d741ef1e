"""The programs in the docs: each is run, and does what the page says of it."""

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.helpers import ROOT

LINES = 45  # of a program, blank ones left out


def programs(page):
    """The python code blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def execute(graph, monkeypatch):
    """Runs a program in a fresh graph, where there is no eager execution to be turned off, and returns its names."""
    monkeypatch.setattr(tf, "disable_eager_execution", lambda: None)

    def execute(source):
        names = {}
        exec(compile(source, "program", "exec"), names)
        return names

    return execute


def variables(scope):
    """{name below the scope: shape}, those of optimizers left out."""
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


def test_the_slim_net_comes_back(execute):
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


def test_readme(execute):
    found = programs("README.md")
    for source in found:
        compile(source, "README.md", "exec")
    assert "residual_block" in found[0]
    assert execute(found[0])["net"].shape.as_list() == [None, 14, 14, 64]
