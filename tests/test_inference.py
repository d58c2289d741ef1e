"""`graph_resnet.inference` from Python, in an eager process: the same numbers, and no side effects."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from graph_resnet import config, inference
from graph_resnet.data import batches, find
from graph_resnet.errors import UserError
from graph_resnet.inference import forward, metrics, restore
from graph_resnet.session import has_bfloat16
from tests.helpers import ROOT


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(capfd):
    """After each test: still eager, an empty default graph, and nothing printed."""
    assert tf.executing_eagerly()
    graph = tf.get_default_graph()
    before = len(graph.get_operations())
    yield
    assert tf.executing_eagerly() and tf.get_default_graph() is graph
    assert len(graph.get_operations()) == before
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def expected(trained_dir, cache):
    """(uint8 [10, 32, 32, 3] test images, float64 [10, 10] their probabilities)."""
    net = config.read(trained_dir[0])
    records = find.cifar("synthetic", cache / "graph_resnet")
    logits, _ = forward.over_split(net, restore.find_checkpoint(net.directory), records)
    return batches.images(records, range(10)), metrics.softmax(logits[:10])


def test_evaluate(trained_dir):
    result = inference.evaluate(trained_dir[0])
    final = f"[final]: step {result.step} loss = {result.loss:.4f} acc = {result.accuracy:.4f} ({result.images} images)"
    assert final == trained_dir[1]
    assert result.logits.shape == (1000, 10) and result.logits.dtype == np.float32
    assert result.labels.shape == (1000,) and result.labels.dtype == np.int32
    assert result.confusion.shape == (10, 10) and result.confusion.trace() == round(1000 * result.accuracy)
    assert result.title == "notebook at step 20, 1,000 test images of synthetic (10 classes)"
    with pytest.raises(UserError, match="split 'all': not one of val, test, train"):
        inference.evaluate(trained_dir[0], split="all")


def test_predict_paths_images_and_arrays(trained_dir, expected, tmp_path):
    images, probabilities = expected
    Image.fromarray(images[0]).save(tmp_path / "0.png")
    mixed = [tmp_path / "0.png", str(tmp_path / "0.png"), Image.fromarray(images[1]), images[2]]
    results = inference.predict(trained_dir[0], mixed)
    for result, k in zip(results, (0, 0, 1, 2), strict=True):
        np.testing.assert_allclose(result.probabilities, probabilities[k], atol=1e-6)
        assert result.label == probabilities[k].argmax() and result.class_name == result.class_names[result.label]
        assert result.probability == result.probabilities.max()
        assert [best["label"] for best in result.top(2)] == list(np.argsort(-probabilities[k], kind="stable")[:2])
    assert results[2].image is mixed[2]
    whole = inference.predict(trained_dir[0], images)  # an array [N, H, W, 3]
    np.testing.assert_allclose([result.probabilities for result in whole], probabilities, atol=1e-6)
    for one in (images[3], Image.fromarray(images[3])):
        (result,) = inference.predict(trained_dir[0], one)
        np.testing.assert_allclose(result.probabilities, probabilities[3], atol=1e-6)
    assert inference.predict(trained_dir[0], []) == []


def test_grey_and_transparent_arrays_of_any_size(trained_dir):
    grey = np.full([50, 40], 99, np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    rgba = np.concatenate([rgb, np.full([50, 40, 1], 255, np.uint8)], axis=2)
    first, *others = inference.predict(trained_dir[0], [rgb, grey, rgba, Image.fromarray(grey)])
    for other in others:
        np.testing.assert_array_equal(first.probabilities, other.probabilities)


def test_a_callers_image_is_not_changed(trained_dir, tmp_path):
    Image.new("RGB", (900, 700), "teal").save(tmp_path / "large.jpg")
    with Image.open(tmp_path / "large.jpg") as image:
        inference.predict(trained_dir[0], image)
        assert image.size == (900, 700) and image.mode == "RGB"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros([4, 4, 3]), r"image: array float64 \[4, 4, 3\]; pass uint8 \[H, W, 3\]"),
        (np.zeros([4, 4, 2], np.uint8), r"image: array uint8 \[4, 4, 2\]; pass"),
        (np.zeros([0, 4, 3], np.uint8), r"image: array uint8 \[0, 4, 3\]; pass"),
        (None, "image: NoneType; pass a path, a PIL image or a uint8 array"),
        (b"none.png", "image: bytes; pass a path"),
        ("none.png", "none.png: No such file"),
    ],
    ids=["floats", "two channels", "empty", "no image", "bytes", "no file"],
)
def test_an_unusable_image_gives_one_line(trained_dir, expected, image, message):
    images, probabilities = expected
    with inference.Predictor(trained_dir[0]) as predictor:
        for given in (image, [images[0], image]):
            with pytest.raises(UserError, match=message):
                predictor(given)
        good, bad, last = predictor.stream([images[0], image, images[1]])
        assert isinstance(bad, UserError)
        np.testing.assert_allclose([good.probabilities, last.probabilities], probabilities[:2], atol=1e-6)
        generator = predictor.stream(iter([images[0]] * 300))  # more than one batch, from a generator
        next(generator)
        assert tf.executing_eagerly()  # also while it waits
        assert sum(1 for _ in generator) == 299
    for given in (images[0], images[:2]):
        with pytest.raises(UserError, match="Predictor of .*model.ckpt-20: it is closed"):
            predictor(given)


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no bfloat16 arithmetic")
def test_a_predictor_in_bfloat16(trained_dir, expected):
    images, probabilities = expected
    with inference.Predictor(trained_dir[0], precision="bfloat16", threads=1) as predictor:
        rounded = [prediction.probabilities for prediction in predictor(images)]
    np.testing.assert_allclose(rounded, probabilities, atol=0.05)
    assert np.abs(rounded - probabilities).max() > 1e-5  # float32 is not as far from itself
    with inference.Predictor(trained_dir[0], precision="auto") as predictor:  # as trained
        np.testing.assert_allclose(predictor(images)[0].probabilities, probabilities[0], atol=1e-6)
    with pytest.raises(UserError, match="precision 'float8': not one of auto, bfloat16, float32"):
        inference.Predictor(trained_dir[0], precision="float8")


def test_logits_in_the_callers_graph(trained_dir, expected):
    images, probabilities = expected
    with tf.Graph().as_default() as graph, tf.Session() as session:
        other = tf.get_variable("resnet/other", initializer=1.0)
        placeholder = tf.placeholder(tf.uint8, [None, 32, 32, 3])
        logits, load = inference.logits(trained_dir[0], placeholder)
        again, _ = inference.logits(trained_dir[0], tf.cast(placeholder, tf.float32), reuse=True)
        with tf.variable_scope("mine"), tf.variable_scope("teacher"):
            scoped, load_scoped = inference.logits(trained_dir[0], placeholder)
        assert logits.shape.as_list() == [None, 10] and logits.dtype == tf.float32
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        assert not tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
        assert any(v.op.name.startswith("mine/teacher/resnet/block1/") for v in tf.trainable_variables())
        graph.finalize()  # restoring must not add ops
        session.run(other.initializer)
        load(session)
        load_scoped(session)
        for tensor in (logits, again, scoped):
            found = metrics.softmax(session.run(tensor, {placeholder: images}))
            np.testing.assert_allclose(found, probabilities, atol=1e-6)
        assert session.run(other) == 1


def test_logits_of_a_tensor_of_another_graph_than_the_default(trained_dir):
    with tf.Graph().as_default() as graph:
        placeholder = tf.placeholder(tf.uint8, [None, None, None, 3])
    logits, _ = inference.logits(trained_dir[0], placeholder)
    assert logits.graph is graph


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: np.zeros([1, 32, 32, 3], np.uint8), "images: ndarray; pass a tensor uint8 or float32"),
        (lambda: tf.zeros([1, 32, 32, 1]), r"images: float32 \(1, 32, 32, 1\); pass a tensor"),
        (lambda: tf.zeros([1, 32, 32, 3], tf.int32), r"images: int32 \(1, 32, 32, 3\); pass a tensor"),
    ],
    ids=["an array", "grey", "int32"],
)
def test_images_of_a_wrong_type_or_shape(trained_dir, build, message):
    with tf.Graph().as_default(), pytest.raises(UserError, match=message):
        inference.logits(trained_dir[0], build())


def test_an_eager_tensor_is_refused(trained_dir):
    with pytest.raises(UserError, match=r"images: EagerTensor; pass a tensor .* of a tf\.Graph"):
        inference.logits(trained_dir[0], tf.zeros([1, 32, 32, 3]))


def test_existing_variable_names_are_refused_with_a_fix(trained_dir):
    with tf.Graph().as_default():
        images = tf.zeros([1, 32, 32, 3])
        inference.logits(trained_dir[0], images)
        with pytest.raises(UserError, match=r"cannot be built in this graph .*tf\.variable_scope, .*reuse=True"):
            inference.logits(trained_dir[0], images)


def test_export(trained_dir, tmp_path):
    exported = inference.export(trained_dir[0], tmp_path / "exported")
    assert exported.step == 20 and exported.class_names[0] == "disc"
    assert exported.bytes == (tmp_path / "exported/saved_model.pb").stat().st_size


@pytest.mark.parametrize("call", ["evaluate", "predict", "export", "logits"])
def test_no_train_dir_is_a_user_error(tmp_path, call):
    second = {"predict": ["x.png"], "export": tmp_path / "out", "logits": None}
    with pytest.raises(UserError, match="none: no such directory; pass the --train-dir of a run"):
        getattr(inference, call)(tmp_path / "none", *([second[call]] if call in second else []))


def test_an_unknown_name():
    assert set(inference.__all__) <= set(dir(inference))
    with pytest.raises(AttributeError, match="no attribute 'evaluation_of'"):
        inference.evaluation_of  # noqa: B018


THREADS = """
import os, sys
from graph_resnet import inference
assert "tensorflow" not in sys.modules  # the call that needs it imports it
inference.predict(sys.argv[1], sys.argv[2])
import tensorflow.compat.v1 as tf
assert tf.executing_eagerly()
with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(inter_op_parallelism_threads=5)) as session:
    session.run(tf.constant(1))
    names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
print(names.count("tf_Compute"))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_other_sessions_keep_their_threads(trained_dir, tmp_path):
    """Sessions share one pool, created by the first of them: that must not be ours."""
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    command = [sys.executable, "-c", THREADS, str(trained_dir[0]), str(tmp_path / "a.png")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout == "5\n", done.stderr
