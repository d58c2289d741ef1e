"""The prediction command, used by a person and by a script. Single images: see test_image_files.py."""

import json
import os
import pty
import shutil
import struct

import numpy as np
import pytest
from PIL import Image

from graph_resnet import predict
from graph_resnet.errors import UserError
from tests.helpers import png, run, start


def command(*arguments, **options):
    return run(*arguments, module="graph_resnet.predict", **options)


@pytest.fixture(scope="module")
def images(tmp_path_factory, trained_dir, cache):
    """(a directory with the first 150 test records as PNG files, their probabilities: float64 [150, 10])."""
    from graph_resnet import config
    from graph_resnet.data import batches, find
    from graph_resnet.inference import forward, metrics, restore

    net = config.read(trained_dir[0])
    records = find.cifar("synthetic", cache / "graph_resnet")
    directory = tmp_path_factory.mktemp("images")
    for i, image in enumerate(batches.images(records, range(150))):
        Image.fromarray(image).save(directory / f"{i:03d}.png")
    logits, _ = forward.over_split(net, restore.find_checkpoint(net.directory), records)
    return directory, metrics.softmax(logits[:150])


def test_json_lines_and_bad_files(trained_dir, images, tmp_path):
    """More than one batch of good images, with every kind of bad one among them: a line each, and exit status 1."""
    directory, expected = images
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "text.png").write_text("no image")
    (bad / "half.png").write_bytes((directory / "000.png").read_bytes()[:200])
    (bad / "bomb.png").write_bytes(png(10_000, 10_000))
    (bad / "color\x1b[31m.jpg").write_bytes(b"\xff\xd8\xff" + struct.pack(">H", 9))
    Image.new("CMYK", (300, 20), (1, 2, 3, 4)).save(bad / "fine.jpg")
    status, lines, err = command(
        "--train_dir", trained_dir[0], bad, directory, directory / "00[12].png", tmp_path / "none.gif", "--top=10"
    )
    assert status == 1
    assert [line.partition(": ")[2] for line in err.splitlines()] == [
        f"{tmp_path / 'none.gif'}: no such file",
        f"{bad / 'bomb.png'}: more than 89,478,485 pixels",
        *(line.partition(": ")[2] for line in err.splitlines()[2:4]),
        f"{bad / 'text.png'}: not an image in PNG, JPEG, BMP, GIF or WebP",
    ]
    assert f"{bad / 'half.png'}: " in err and f"{bad}/color\\x1b[31m.jpg: " in err
    found = [json.loads(line) for line in lines]
    assert list(found[0]) == ["image", "predictions"]
    assert list(found[0]["predictions"][0]) == ["class", "label", "probability"]
    names = [f"{i:03d}.png" for i in (*range(150), 1, 2)]
    assert [result["image"] for result in found] == [str(bad / "fine.jpg"), *(str(directory / name) for name in names)]
    for each, probabilities in zip(found[1:151], expected):
        order = [p["label"] for p in each["predictions"]]
        assert sorted(order) == list(range(10))
        np.testing.assert_allclose([p["probability"] for p in each["predictions"]], probabilities[order], atol=2e-6)
        assert each["predictions"][0]["probability"] == max(p["probability"] for p in each["predictions"])
    assert found[151:] == found[2:4]  # the pattern's files, named a second time
    assert {p["label"]: p["class"] for p in found[0]["predictions"]}[1] == "ring"


def test_a_table_on_a_terminal(trained_dir, images):
    directory, expected = images
    terminal, slave = pty.openpty()
    flags = ["--train-dir", trained_dir[0], "--top", "2", directory / "003.png"]
    _, err = start(*flags, module="graph_resnet.predict", stdout=slave).communicate(timeout=300)
    os.close(slave)
    assert err == ""
    row = os.read(terminal, 10_000).decode().splitlines()
    os.close(terminal)
    first, second = np.sort(expected[3])[::-1][:2]
    assert len(row) == 1
    words = row[0].split()
    assert words[0].endswith("003.png") and words[2::2] == [f"{first:.1%}", f"{second:.1%}"]


def test_help_and_wrong_flags_without_tensorflow(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", pytest.fail)
    for arguments, status in ((["--help"], 0), (["--train-dir", "x"], 2), (["--train-dir", "x", "a", "--top", "0"], 2)):
        with pytest.raises(SystemExit) as caught:
            predict.main(arguments)
        assert caught.value.code == status
    out, err = capsys.readouterr()
    assert '{"image": path, "predictions":' in out
    assert "argument --top: '0' is not a whole number from 1" in err
    with pytest.raises(UserError, match="none: no such directory"):
        predict.main(["--train-dir", str(tmp_path / "none"), "a.png"])


def test_nothing_to_classify_ends_before_tensorflow(trained_dir, capsys, monkeypatch):
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", pytest.fail)
    assert predict.main(["--train-dir", str(trained_dir[0]), "none.png", "none*.jpg"]) == 1
    assert capsys.readouterr().err == (
        "error: none.png: no such file\nerror: none*.jpg: no such file, nor any that matches\n"
    )


def test_skipped_folders_and_impossible_names(trained_dir, images, tmp_path):
    """A line on stderr for each, regardless of its neighbours, and exit status 1."""
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    shutil.copy(images[0] / "001.png", photos / "sub" / "1.png")
    (photos / "linked").symlink_to(images[0])
    (photos / "1.heic").touch()
    long = "x" * 300 + ".png"
    status, lines, err = command("--train-dir", trained_dir[0], long, "", photos, images[0] / "002.png")
    assert status == 1
    assert [json.loads(line)["image"] for line in lines] == [str(photos / "sub" / "1.png"), str(images[0] / "002.png")]
    assert err.splitlines() == [
        f"error: {long}: File name too long",
        "error: an empty file name: is a variable unset? pass an image, a directory or a pattern",
        f"error: {photos / 'linked'}: a link to a folder, not followed; pass it by name to read it",
        f"{photos}: skipped 1 .heic file",
    ]


def test_a_directory_without_images_is_an_error(trained_dir, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", None)
    (tmp_path / "notes.txt").touch()
    assert predict.main(["--train-dir", str(trained_dir[0]), str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {tmp_path}: no .png, ") and err.endswith("it has 1 .txt file\n")
    (tmp_path / "linked").symlink_to("/")
    assert predict.main(["--train-dir", str(trained_dir[0]), str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/linked: a link to a folder")
