"""The evaluation command and its functions, compared with the training command and with a second computation."""

import dataclasses
import json
import os
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import config, evaluate, inference, tower
from graph_resnet.data import batches, find
from graph_resnet.errors import UserError
from graph_resnet.inference import evaluation, forward, pictures, restore
from graph_resnet.loop import GraphToTrain
from graph_resnet.loop.validation import Validation
from graph_resnet.session import has_bfloat16, session_config
from tests.helpers import run


@pytest.fixture(scope="module")
def json_run(trained_dir):
    """(the JSON object that the command printed, its stderr)."""
    status, lines, err = command("--train_dir", trained_dir[0], "--json")
    assert status == 0, err
    assert len(lines) == 1
    return json.loads(lines[0]), err


@pytest.fixture
def net(trained_dir):
    return config.read(trained_dir[0])


@pytest.fixture(scope="module")
def val_run(trained_dir, cache):
    """(records, logits, labels) of the test images."""
    net = config.read(trained_dir[0])
    records = find.cifar("synthetic", cache / "graph_resnet")
    return records, *forward.over_split(net, restore.find_checkpoint(net.directory), records)


def command(*arguments, **options):
    return run(*arguments, module="graph_resnet.evaluate", **options)


def raw(records, split="val"):
    """(uint8 [N, 32, 32, 3], int [N]) of a split in CIFAR-10's layout, read without the code under test."""
    files = records.train if split == "train" else records.test
    rows = np.concatenate([np.fromfile(path, np.uint8) for path in files]).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0].astype(int)


def logits_of(net, images):
    with tf.Graph().as_default(), tf.Session() as session:
        found = restore.net_of_images(net, tf.constant(np.ascontiguousarray(images)))
        restore.load(session, restore.find_checkpoint(net.directory))
        return session.run(found)


def test_the_numbers_are_those_of_the_training_command(trained_dir, json_run):
    directory, final = trained_dir
    result, err = json_run
    assert err == ""
    assert final == f"[final]: step 20 loss = {result['loss']:.4f} acc = {result['accuracy']:.4f} (1000 images)"
    assert (result["step"], result["images"], result["split"], result["tta"]) == (20, 1000, "val", False)
    assert result["checkpoint"] == str(directory / "model.ckpt-20")
    assert result["data"] == "synthetic (10 classes)"


def test_the_keys_are_those_of_the_help(json_run):
    keys = (
        "train_dir checkpoint step data split tta precision images loss accuracy top5_accuracy calibration_error "
        "classes confusion files"
    ).split()
    assert list(json_run[0]) == keys
    assert list(json_run[0]["classes"][0]) == ["name", "images", "accuracy"]
    documented = evaluate.EPILOG.partition("--json prints one object:")[2]
    assert all(re.search(rf"\b{key}\b", documented) for key in keys)


def test_the_parts_of_the_result_agree(json_run):
    result, _ = json_run
    confusion = np.array(result["confusion"])
    assert confusion.shape == (10, 10) and confusion.sum() == 1000
    assert result["accuracy"] == confusion.trace() / 1000
    assert result["accuracy"] <= result["top5_accuracy"] <= 1
    assert 0 <= result["calibration_error"] <= 1
    assert [record["name"] for record in result["classes"]][:2] == ["disc", "ring"]
    for k, record in enumerate(result["classes"]):
        assert record["images"] == 100
        assert record["accuracy"] == confusion[k, k] / 100


def test_the_pictures_are_written(trained_dir, json_run):
    result, _ = json_run
    assert result["files"] == {name: str(trained_dir[0] / f"{name}-val.png") for name in pictures.NAMES}
    for path in result["files"].values():
        with open(path, "rb") as file:
            assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    assert not list(trained_dir[0].glob(".*"))  # no draft left


def test_each_image_once_in_order(net, val_run):
    records, logits, labels = val_run
    images, expected = raw(records)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(logits, logits_of(net, images), atol=1e-5)


def test_training_images_in_order_without_augmentation_and_tta(net, val_run):
    """Both in one run: the average over each image and its mirror image."""
    records, *_ = val_run
    found = forward.over_split(net, restore.find_checkpoint(net.directory), records, split="train", tta=True)
    images, expected = raw(records, "train")
    np.testing.assert_array_equal(found[1], expected)
    some = images[-60:]
    np.testing.assert_allclose(found[0][-60:], (logits_of(net, some) + logits_of(net, some[:, :, ::-1])) / 2, atol=1e-5)


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no bfloat16 arithmetic")
def test_the_numbers_are_those_of_the_training_command_in_bfloat16_too(net, val_run):
    """Computed as in the training loop, where the bfloat16 rewrite sees another graph."""
    records, in_float32, _ = val_run
    checkpoint = restore.find_checkpoint(net.directory)
    found = evaluation.measures(*forward.over_split(net, checkpoint, records, precision="bfloat16"), net.class_names)
    with tf.Graph().as_default(), tf.Session(config=session_config("bfloat16")) as session:
        recipe = net.recipe
        images, labels = batches.in_order(records, 32, recipe.batch_size, mean=recipe.mean, std=recipe.std)
        logits = restore.net_of_batches(net, images)
        loss, accuracy = tower.loss_and_accuracy(logits, labels)
        engine = GraphToTrain(tf.no_op(), loss, val_loss=loss, val_acc=accuracy, val_logits=logits)
        validation = Validation(engine)
        restore.load(session, checkpoint)
        session.run([tf.local_variables_initializer()])
        session.run([tf.tables_initializer()])
        expected = validation.run(session)
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)  # one image is a thousandth
    assert found["loss"] == pytest.approx(expected["loss"], abs=1e-6)
    of_the_pass = evaluation.measures(expected["logits"], val_run[2], net.class_names)
    assert of_the_pass["loss"] == pytest.approx(expected["loss"], abs=1e-6)  # the report uses this pass
    assert found["loss"] != evaluation.measures(in_float32, val_run[2], net.class_names)["loss"]


def test_the_table_and_another_checkpoint(trained_dir, tmp_path, cache):
    """A read-only train dir, a checkpoint in another directory, and plots in a third."""
    shutil.copy(trained_dir[0] / "config.json", tmp_path)
    for path in trained_dir[0].glob("model.ckpt-20.*"):
        shutil.copy(path, tmp_path / path.name.replace("ckpt-20", "ckpt-7"))
    output = tmp_path / "out"
    output.mkdir()
    flags = [
        "--checkpoint",
        tmp_path / "model.ckpt-7.index",
        "--output-dir",
        output,
        "--data-dir",
        cache / "graph_resnet",
    ]
    status, lines, err = command("--train-dir", tmp_path, "--tta", *flags)
    assert (status, err) == (0, "")
    assert lines[0] == "notebook at step 20, 1,000 test images of synthetic (10 classes), with their mirror images"
    assert lines[1] == f"{tmp_path / 'model.ckpt-7'}, float32"
    assert [line.split()[0] for line in lines if line.endswith("%") or line.endswith("-")][:2] == ["accuracy", "top-5"]
    assert sum(line.split()[:2][-1:] == ["100"] for line in lines) == 10  # one row per class
    paths = [output / f"{name}-val.png" for name in pictures.NAMES]
    assert lines[-1] == f"[files]: {', '.join(map(str, paths))}"
    assert set(output.iterdir()) == set(paths)


def test_help_and_wrong_flags_without_tensorflow(capsys, monkeypatch):
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", pytest.fail)
    for arguments, status in ((["--help"], 0), ([], 2), (["--train-dir", "x", "--split", "all"], 2)):
        with pytest.raises(SystemExit) as caught:
            evaluate.main(arguments)
        assert caught.value.code == status
    out, err = capsys.readouterr()
    assert "--json prints one object" in out
    assert "argument --split: 'all' is not one of val, test, train" in err


def test_errors_are_one_line_and_quick(trained_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", pytest.fail)  # none of these may import it
    with pytest.raises(UserError, match="none: no such directory"):
        evaluate.main(["--train-dir", str(tmp_path / "none")])
    directory = str(trained_dir[0])
    with pytest.raises(UserError, match="nowhere: not a writable directory; pass another --output-dir"):
        evaluate.main(["--train-dir", directory, "--output-dir", str(tmp_path / "nowhere")])
    records = find.cifar("synthetic")
    shutil.copytree(records.test[0].parent, tmp_path / "other" / records.test[0].parent.name)
    with open(tmp_path / "other" / records.test[0].parent.name / "test_batch.bin", "r+b") as file:
        file.write(b"\x00" * 30)
    with pytest.raises(UserError, match="was trained on other data .*test_batch.bin.*--allow-other-data"):
        evaluate.main(["--train-dir", directory, "--data-dir", str(tmp_path / "other")])


def test_which_checkpoint(trained_dir, tmp_path):
    directory = trained_dir[0]
    prefix = str(directory / "model.ckpt-20")
    assert restore.find_checkpoint(directory) == prefix
    for path in (prefix, prefix + ".index", prefix + ".data-00000-of-00001", prefix + ".meta", str(directory)):
        assert restore.find_checkpoint("elsewhere", path) == prefix
    with pytest.raises(UserError, match="no file .*model.ckpt-21.index; pass a prefix such as"):
        restore.find_checkpoint(directory, directory / "model.ckpt-21")
    with pytest.raises(UserError, match="it holds no checkpoint; train longer, or pass --checkpoint PATH"):
        restore.find_checkpoint(tmp_path)
    shutil.copytree(directory, tmp_path / "copy")
    for end in ("index", "meta", "data-00000-of-00001"):
        shutil.copy(f"{prefix}.{end}", tmp_path / "copy" / f"model.ckpt-25.{end}")
    os.truncate(tmp_path / "copy" / "model.ckpt-25.data-00000-of-00001", 1000)
    said = []
    assert restore.find_checkpoint(tmp_path / "copy", say=said.append) == str(tmp_path / "copy" / "model.ckpt-20")
    assert len(said) == 1 and "model.ckpt-25 cannot be used" in said[0]
    with pytest.raises(UserError, match="model.ckpt-25: cannot be used"):
        restore.find_checkpoint(directory, tmp_path / "copy" / "model.ckpt-25")


def test_a_checkpoint_of_another_net_is_refused_in_one_line(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        for name, shape in (("a/weights", [3, 4]), ("b", []), ("other", [2])):
            tf.get_variable(name, shape)
        session.run(tf.global_variables_initializer())
        checkpoint = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with tf.Graph().as_default(), tf.Session() as session:
        for name, shape in (("a/weights", [3, 5]), ("b", []), *((f"c{i}", [1]) for i in range(6))):
            tf.get_variable(name, shape)
        with pytest.raises(UserError) as caught:
            restore.load(session, checkpoint)
    assert str(caught.value) == (
        f"checkpoint {checkpoint} does not fit: a/weights is [3, 4] there, [3, 5] here; c0 is not in it; c1 is not in "
        "it; c2 is not in it; c3 is not in it; c4 is not in it; and 1 more. Pass a --checkpoint of this train dir's net"
    )


def damaged(trained_dir, directory, name, value):
    """A checkpoint of the trained net, with all weights of one variable set to `value`."""
    net = config.read(trained_dir[0])
    with tf.Graph().as_default(), tf.Session() as session:
        restore.net_of_images(net, tf.zeros([1, 32, 32, 3], tf.uint8))
        restore.load(session, restore.find_checkpoint(net.directory))
        weights = next(v for v in tf.global_variables() if v.op.name == name)
        session.run(weights.assign(tf.fill(weights.shape, value)))
        return tf.train.Saver().save(session, str(directory / "model.ckpt"))


@pytest.mark.parametrize("variable", ["block1/conv5_5/weights", "classification/logit/biases"])
@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_weights_that_are_not_finite_give_one_line_in_every_command(trained_dir, tmp_path, command, variable):
    """A ReLU hides NaNs of the first convolution, so the net still gives an output."""
    name = f"resnet/{variable}"
    checkpoint = damaged(trained_dir, tmp_path, name, float("nan"))
    call = {
        "evaluate": lambda: inference.evaluate(trained_dir[0], checkpoint=checkpoint),
        "predict": lambda: inference.predict(trained_dir[0], np.zeros([32, 32, 3], np.uint8), checkpoint=checkpoint),
        "export": lambda: inference.export(trained_dir[0], tmp_path / "exported", checkpoint=checkpoint),
    }[command]
    with pytest.raises(UserError) as caught:
        call()
    assert str(caught.value) == (
        f"checkpoint {checkpoint}: cannot be used ({name} is not finite: the net diverged); pass another --checkpoint"
    )
    assert not (tmp_path / "exported").exists()


def test_finite_weights_with_an_output_that_is_not(net, trained_dir, records, tmp_path):
    checkpoint = damaged(trained_dir, tmp_path, "resnet/classification/logit/weights", 3e38)
    with pytest.raises(UserError, match="the net's output is not finite for 7 images: it diverged"):
        forward.over_split(net, checkpoint, records)


def test_measures_of_a_class_without_images():
    logits = np.array([[2.0, 1, 0], [0, 2, 1]], np.float32)
    result = evaluation.measures(logits, np.array([0, 2]), ("a", "b", "c"))
    assert [record["accuracy"] for record in result["classes"]] == [1.0, None, 0.0]
    assert (result["accuracy"], result["top5_accuracy"], result["images"]) == (0.5, 1.0, 2)
    assert ["b", "0", "-", "-"] in [line.split() for line in evaluation.table(result).splitlines()]
    json.dumps(result)


def test_pictures_by_number(tmp_path, records):
    found = batches.images(records, [6, 0, 3])
    assert found.shape == (3, 8, 8, 3) and found.dtype == np.uint8
    assert [np.unique(image).tolist() for image in found] == [[106], [100], [103]]
    synthetic = find.cifar("synthetic")  # five training files
    images, _ = raw(synthetic, "train")
    numbers = [0, 999, 1000, 2500, 4999]
    np.testing.assert_array_equal(batches.images(synthetic, numbers, "train"), images[numbers])


def of_records(records, logits, **names):
    """An `Evaluation` with three classes and no train dir."""
    net = SimpleNamespace(
        directory="runs/a", class_names=names.get("class_names", ("a", "b", "c")), precision="float32",
        recipe=SimpleNamespace(name=names.get("recipe", "notebook")),
    )  # fmt: skip
    labels = batches.labels(records, range(len(logits)), "val").astype(np.int32)
    return evaluation.of_logits(net, records, np.array(logits, np.float32), labels, checkpoint="model.ckpt-9", step=9)


def test_a_plot_without_mistakes(tmp_path, records):
    result = of_records(records, np.eye(3)[[i % 3 for i in range(100, 107)]] * 9, recipe="$\\5 and $6")
    paths, problems = pictures.save(result, tmp_path, "-x")
    assert (set(paths), problems) == (set(pictures.NAMES), [])
    assert {path.name for path in tmp_path.iterdir()} >= {f"{name}-x.png" for name in pictures.NAMES}
    assert result.accuracy == 1 and pictures.worst_mistakes(result) == ([], 0)


def test_a_plot_that_cannot_be_written_gives_a_line(tmp_path, records, monkeypatch):
    result = of_records(records, np.eye(3)[[0] * 7])
    (tmp_path / "file").touch()
    paths, problems = pictures.save(result, tmp_path / "file")
    assert paths == {} and len(problems) == 3
    assert all("not written (Not a directory)" in line for line in problems)
    for path in (*records.train, *records.test):  # only the plot of mistakes needs the data
        path.unlink()
    paths, problems = pictures.save(result, tmp_path)
    assert set(paths) == {"confusion", "calibration"} and "mistakes.png not written" in problems[0]


def test_the_most_confident_mistakes_come_first(records):
    logits = np.zeros([7, 3])  # the labels are 1 2 0 1 2 0 1
    logits[[0, 1, 2, 4], [1, 0, 1, 2]] = 1, 5, 7, 1
    worst, total = pictures.worst_mistakes(of_records(records, logits), most=2)
    assert total == 4  # equal logits give class 0, which is right for image 5
    assert [(index, true, guess) for index, (true, _), (guess, _) in worst] == [(2, 0, 1), (1, 2, 0)]


@pytest.mark.parametrize(
    ("dataset", "held_out", "split", "expected"),
    [
        ("synthetic", 0, "val", "test"), ("synthetic", 5, "val", "held-out"), ("synthetic", 5, "test", "test"),
        ("pictures", 0, "val", "validation"), ("pictures", 0, "test", "validation"),
        ("cifar10", 0, "train", "training"),
    ],
)  # fmt: skip
def test_images_are_called_test_images_only_if_they_are(records, dataset, held_out, split, expected):
    records = dataclasses.replace(records, dataset=dataset, held_out=held_out)
    assert evaluation.kind(records, split) == expected


def test_terminal_codes_in_names_are_escaped(records):
    names = ("red\x1b[31m", "two\nlines", "\u202ereversed")
    result = of_records(records, np.eye(3)[[0, 0, 1, 1, 2, 2, 0]], class_names=names, recipe="\x1b]0;title\x07")
    shown = f"{result.title}\n{evaluation.table(result.as_json())}"
    assert all(character.isprintable() for character in shown.replace("\n", ""))
    assert "red\\x1b[31m" in shown and "two lines" in shown and "\\u202ereversed" in shown
    assert len(shown.splitlines()) == 1 + 6 + 3


def test_classes_of_the_same_name_have_a_row_each(records):
    result = of_records(records, np.eye(3)[[0, 0, 0, 0, 1, 2, 2]], class_names=("a", "a", "b"))
    rows = [line.split() for line in evaluation.table(result.as_json()).splitlines()[6:]]
    assert [row[:2] for row in rows] == [["a", "2"], ["a", "3"], ["b", "2"]]
    assert [row[3] for row in rows] == ["b", "a", "a"]


def test_a_checkpoint_that_its_run_removes_meanwhile(trained_dir, tmp_path, monkeypatch):
    """The run that trains keeps its newest five; an evaluation may take longer."""
    shutil.copytree(trained_dir[0], tmp_path / "run")
    over_split = forward.over_split

    def then_removed(*arguments, **options):
        result = over_split(*arguments, **options)
        for path in (tmp_path / "run").glob("model.ckpt*"):
            path.unlink()
        return result

    monkeypatch.setattr(forward, "over_split", then_removed)
    assert inference.evaluate(tmp_path / "run").step == 20
    shutil.copytree(trained_dir[0], tmp_path / "run", dirs_exist_ok=True)
    find_checkpoint = restore.find_checkpoint

    def removed(*arguments, **options):
        path = find_checkpoint(*arguments, **options)
        for part in (tmp_path / "run").glob("model.ckpt*"):
            part.unlink()
        return path

    monkeypatch.setattr(restore, "find_checkpoint", removed)
    with pytest.raises(UserError, match="model.ckpt-20: cannot be read .* if its run removed it, run the same command"):
        inference.evaluate(tmp_path / "run")


def test_names_in_a_checkpoint_are_shown_without_control_characters(trained_dir, tmp_path, monkeypatch, capsys):
    shutil.copytree(trained_dir[0], tmp_path / "run")
    name = "\x1b]0;title\x07evil\nerror: made up"
    tf.raw_ops.SaveV2(prefix=str(tmp_path / "run/model.ckpt-99"), tensor_names=[name], shape_and_slices=[""],
                      tensors=[tf.constant(np.nan)])  # fmt: skip
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", lambda: tf)
    evaluate.main(["--train-dir", str(tmp_path / "run"), "--json"])
    shown = capsys.readouterr().err
    assert "model.ckpt-99 cannot be used (\\x1b]0;title\\x07evil error: made up is not finite" in shown
    assert "\x1b" not in shown and not any(line.startswith("error") for line in shown.splitlines())


@pytest.mark.parametrize("name", ["model.ckpt[1]-20", "a*b"])
def test_a_checkpoint_whose_name_is_a_pattern(trained_dir, tmp_path, name):
    for path in trained_dir[0].glob("model.ckpt-20.*"):
        shutil.copy(path, tmp_path / path.name.replace("model.ckpt-20", name))
    result = inference.evaluate(trained_dir[0], checkpoint=tmp_path / f"{name}.data-00000-of-00001")
    assert (result.step, result.checkpoint) == (20, str(tmp_path / name))
