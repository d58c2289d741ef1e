"""The exported SavedModel: folded, frozen, and with the same numbers in every loader; and folding itself."""

import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf1or2
import tensorflow.compat.v1 as tf
from PIL import Image

from graph_resnet import config, export, inference, net
from graph_resnet.errors import UserError
from graph_resnet.inference import folding, restore, saved_model

import tf_slim as slim  # isort: skip
from tests.helpers import ROOT, run

DEPRECATED = "ignore:.*tf.lite.Interpreter is deprecated:UserWarning"


@pytest.fixture(scope="module")
def exported(trained_dir, tmp_path_factory):
    """(export dir, the JSON object of the command)."""
    directory = tmp_path_factory.mktemp("export") / "models" / "1"
    flags = ["--train_dir", trained_dir[0], "--export_dir", directory, "--json"]
    status, lines, err = run(*flags, module="graph_resnet.export")
    assert (status, err) == (0, "")
    return directory, json.loads(lines[0])


@pytest.fixture(scope="module")
def images():
    """Images of the net's own size and of another size."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, np.uint8) for shape in ((9, 32, 32, 3), (2, 50, 37, 3))]


@pytest.fixture(scope="module")
def expected(exported, images):
    """The outputs of tf.saved_model.load for the images: a list of dicts of arrays."""
    predict = tf1or2.saved_model.load(str(exported[0])).signatures["serving_default"]
    return [{name: t.numpy() for name, t in predict(images=tf1or2.constant(batch)).items()} for batch in images]


def check(found, expected):
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-4)
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-5)
    np.testing.assert_array_equal(found["classes"], expected["classes"])


def test_what_is_written(trained_dir, exported):
    directory, result = exported
    files = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
    assert files == ["assets/class_names.txt", "saved_model.pb"]
    assert (directory / "assets/class_names.txt").read_text().split("\n")[:3] == ["disc", "ring", "square"]
    assert [path.name for path in directory.parent.iterdir()] == ["1"]  # no draft left
    assert list(result) == ["train_dir", "checkpoint", "step", "export_dir", "bytes", "classes"]
    assert result["export_dir"] == str(directory) and result["step"] == 20
    assert result["checkpoint"] == str(trained_dir[0] / "model.ckpt-20")
    assert result["bytes"] == (directory / "saved_model.pb").stat().st_size
    assert result["classes"][0] == "disc"


def test_it_equals_the_tower_of_the_train_dir(trained_dir, images, expected):
    trained_net = config.read(trained_dir[0])
    for each, outputs in zip(images, expected):
        with tf.Graph().as_default(), tf.Session() as session:
            logits = restore.net_of_images(trained_net, tf.constant(each))
            restore.load(session, restore.find_checkpoint(trained_dir[0]))
            logits = session.run(logits)
        assert outputs["logits"].shape == (len(each), 10)
        assert {name: value.dtype for name, value in outputs.items()} == {
            "logits": np.float32,
            "probabilities": np.float32,
            "classes": np.int64,
        }
        np.testing.assert_allclose(outputs["logits"], logits, atol=1e-4)
        np.testing.assert_array_equal(outputs["classes"], logits.argmax(1))
        np.testing.assert_allclose(outputs["probabilities"].sum(1), 1, atol=1e-5)


def test_the_export_has_class_names_and_no_variables_or_batch_norm(exported):
    directory, _ = exported
    model = tf1or2.saved_model.load(str(directory))
    assert not model.variables
    assert [path.asset_path.numpy().decode() for path in model.asset_paths] == [
        str(directory / "assets/class_names.txt")
    ]
    ops = {op.type for op in model.graph.get_operations()}
    assert "Conv2D" in ops and not {"FusedBatchNormV3", "VarHandleOp", "ReadVariableOp", "If", "Switch"} & ops
    text = (directory / "saved_model.pb").read_bytes()
    assert b"is_training" not in text and str(directory.parent).encode() not in text


def test_saved_model_cli_runs_it(exported, images, expected, tmp_path):
    np.save(tmp_path / "images.npy", images[0])
    flags = [
        "--tag_set",
        "serve",
        "--signature_def",
        "serving_default",
        "--inputs",
        f"images={tmp_path / 'images.npy'}",
    ]
    tool = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    subprocess.run([*tool, "run", "--dir", exported[0], *flags, "--outdir", tmp_path], check=True, capture_output=True)
    check({name: np.load(tmp_path / f"{name}.npy") for name in saved_model.OUTPUTS}, expected[0])


@pytest.fixture
def page(exported, tmp_path, monkeypatch):
    """The programs of docs/export.md, in a directory with the files that they need."""
    (tmp_path / "exported").symlink_to(exported[0])
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/export.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_program_in_the_docs(page, exported, capsys):
    exec(page[0], {})
    name, probability = capsys.readouterr().out.split()
    assert name in exported[1]["classes"] and 0.1 <= float(probability) <= 1


def test_one_picture_at_a_time_as_in_the_docs(page, images, expected, monkeypatch):
    monkeypatch.setenv("TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD", "0")  # restored after the program sets it
    names = {"images": images[0]}
    exec(page[1], names)
    names["session"].close()
    np.testing.assert_allclose(names["probabilities"], expected[0]["probabilities"], atol=0.02)  # bfloat16


@pytest.mark.filterwarnings(DEPRECATED)
def test_tflite_as_in_the_docs(page, images, expected):
    exec(page[2], {})
    predict = tf1or2.lite.Interpreter("model.tflite").get_signature_runner("serving_default")
    for each, outputs in zip(images, expected):
        check(predict(images=each), outputs)


@pytest.mark.skipif(
    not (importlib.util.find_spec("tf2onnx") and importlib.util.find_spec("onnxruntime")),
    reason="tf2onnx or onnxruntime is not installed: pip install '.[onnx]'",
)
def test_onnx(exported, images, expected, tmp_path):
    import onnxruntime

    path = tmp_path / "model.onnx"
    flags = ["--saved-model", exported[0], "--output", path, "--opset", "18"]
    subprocess.run([sys.executable, "-m", "tf2onnx.convert", *flags], check=True, capture_output=True)
    session = onnxruntime.InferenceSession(path)
    for each, outputs in zip(images, expected):
        found = session.run(list(saved_model.OUTPUTS), {"images": each})
        check(dict(zip(saved_model.OUTPUTS, found)), outputs)


def test_a_directory_in_use_is_refused(trained_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", pytest.fail)  # must not be needed
    (tmp_path / "file").touch()
    for target, message in ((tmp_path, "not empty"), (tmp_path / "file", "not a directory")):
        with pytest.raises(UserError, match=f"^export dir {target}: {message}; pass a new one$"):
            export.main(["--train-dir", str(trained_dir[0]), "--export-dir", str(target)])
    with pytest.raises(UserError, match=r"^export dir .*file/x: .*/file is not a directory; pass another$"):
        inference.export(trained_dir[0], tmp_path / "file" / "x")


@pytest.mark.parametrize("name", ["empty", "link", ".", "n" * 250, "deep/er/still"])
def test_an_export_into_an_empty_directory_or_a_long_name(trained_dir, tmp_path, monkeypatch, name):
    """Into an existing empty directory, which a rename would replace; and to a name of maximum length."""
    monkeypatch.chdir(tmp_path)
    if name == "empty":
        (tmp_path / name / "lost+found").mkdir(parents=True)  # like the root of a disk
    if name == "link":
        (tmp_path / "target").mkdir()
        (tmp_path / name).symlink_to("target")
    inference.export(trained_dir[0], name)
    assert (tmp_path / name / "saved_model.pb").stat().st_size > 1000
    assert (tmp_path / name / "assets/class_names.txt").read_text().startswith("disc\n")
    assert (tmp_path / "link").is_symlink() == (name == "link")
    assert not list(tmp_path.rglob(".*"))  # no draft left


def test_a_failure_leaves_nothing(trained_dir, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(saved_model, "printable", lambda name: 1 / 0)
    for name in ("new", "empty"):
        with pytest.raises(ZeroDivisionError):
            inference.export(trained_dir[0], tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_help_and_wrong_flags_without_tensorflow(capsys, monkeypatch):
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", pytest.fail)
    for arguments, status in ((["--help"], 0), (["--train-dir", "x"], 2)):
        with pytest.raises(SystemExit) as caught:
            export.main(arguments)
        assert caught.value.code == status
    out, err = capsys.readouterr()
    assert "uint8 [batch, height, width, 3]" in out and "--export-dir" in err


def frozen(build):
    """(frozen GraphDef of build(images) -> tensor 'out', its values on random images), with random variables."""
    rng = np.random.default_rng(0)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 8, 8, 3], name="images")
        tf.identity(build(images), name="out")
        for variable in tf.global_variables():
            low = 0.5 if "variance" in variable.op.name else -0.5
            variable.load(rng.uniform(low, 1, variable.shape), session)
        values = session.run("out:0", {"images:0": inputs()})
        return tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["out"]), values


def inputs():
    return np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype(np.float32)


def ops(graph_def):
    return [node.op for node in graph_def.node]


def values(graph_def):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run("out:0", {"images:0": inputs()})


def batch_norm(x, **options):
    return slim.batch_norm(x, is_training=False, **options)


@pytest.mark.parametrize("keras", [False, True], ids=["no gamma, no bias", "gamma, biases, a plain shortcut"])
def test_folding_of_blocks(keras):
    def build(x):
        scope = net.keras_arg_scope() if keras else net.resnet_arg_scope()
        with slim.arg_scope(scope), slim.arg_scope([slim.batch_norm], is_training=False):
            return net.basic_block(net.residual_block(x, 4, 8, stride=2), 12, normalize_shortcut=not keras)

    graph_def, before = frozen(build)
    assert ops(graph_def).count("FusedBatchNormV3") == (6 if keras else 7)
    folded = folding.fold_batch_norm(graph_def, ["out"])
    assert "FusedBatchNormV3" not in ops(folded)
    assert ops(folded).count("Conv2D") == ops(folded).count("BiasAdd") == 7
    np.testing.assert_allclose(values(folded), before, rtol=1e-5, atol=1e-5)
    assert ops(graph_def).count("FusedBatchNormV3") > 0  # the argument was not changed


@pytest.mark.parametrize(
    "build",
    [
        batch_norm,
        lambda x: batch_norm(tf.nn.relu(slim.conv2d(x, 4, 3, activation_fn=None))),
        lambda x: (lambda y: y + batch_norm(y))(slim.conv2d(x, 4, 3, activation_fn=None)),
        lambda x: slim.batch_norm(slim.conv2d(x, 4, 3, activation_fn=None), is_training=True),
    ],
    ids=["no convolution", "an activation between", "the convolution is used twice", "training"],
)
def test_other_batch_norms_are_not_folded(build):
    graph_def, before = frozen(build)
    folded = folding.fold_batch_norm(graph_def, ["out"])
    assert ops(folded).count("FusedBatchNormV3") == 1
    np.testing.assert_allclose(values(folded), before, rtol=1e-5, atol=1e-5)


def test_convolutions_that_share_weights_are_folded_separately():
    def build(x):
        y = slim.conv2d(x, 3, 3, normalizer_fn=batch_norm, scope="a")
        with tf.variable_scope("a", reuse=True):
            weights = tf.get_variable("weights")
        return batch_norm(tf.nn.conv2d(y, weights, 1, "SAME"), scope="other")

    graph_def, before = frozen(build)
    folded = folding.fold_batch_norm(graph_def, ["out"])
    assert "FusedBatchNormV3" not in ops(folded)
    np.testing.assert_allclose(values(folded), before, rtol=1e-5, atol=1e-5)
