"""A train dir in TensorBoard: its server's answers, and its page in a real browser if there is one."""

import io
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
from PIL import Image

from tests.helpers import browse, needs_browser


@pytest.fixture(scope="module")
def address(trained_dir):
    """The address of a TensorBoard that shows the tiny run."""
    options = ["--logdir", trained_dir[0], "--host", "127.0.0.1", "--port", "0"]
    server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", *options], stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in server.stderr:
            lines.append(line)
            if found := re.search(r"at (http://127\.0\.0\.1:\d+/)", line):
                break
        else:
            pytest.fail("TensorBoard did not start: " + "".join(lines))
        yield found[1]
    finally:
        server.kill()
        server.communicate()


def asked(address, path, query=None, **options):
    """The server's answer; by default the query is made of the options."""
    query = query or urllib.parse.urlencode(options)
    with urllib.request.urlopen(f"{address}data/{path}?{query}", timeout=60) as answer:
        return answer.read()


def test_training_and_validation_share_plots(address):
    assert sorted(json.loads(asked(address, "runs"))) == ["train", "val"]
    tags = json.loads(asked(address, "plugin/scalars/tags"))
    assert set(tags["val"]) == {"loss", "accuracy"} < set(tags["train"])
    steps = [step for _, step, _ in json.loads(asked(address, "plugin/scalars/scalars", tag="loss", run="val"))]
    assert steps[-1] == 20


def test_pictures_of_the_first_images_and_the_confusion_matrix(address):
    tags = json.loads(asked(address, "plugin/images/tags"))
    assert len(tags["train"]) == 12 and all(tag.startswith("first_images/") for tag in tags["train"])
    assert list(tags["val"]) == ["confusion"]
    for run, tag in (("train", min(tags["train"])), ("val", "confusion")):
        found = json.loads(asked(address, "plugin/images/images", tag=tag, run=run, sample=0))[-1]
        picture = asked(address, "plugin/images/individualImage", found["query"])
        assert min(Image.open(io.BytesIO(picture)).size) >= 32
        assert found["step"] == (0 if run == "train" else 20)


def test_histograms_of_all_trained_variables(address):
    tags = json.loads(asked(address, "plugin/histograms/tags"))["train"]
    assert {"weights/resnet/block1/conv5_5/weights", "weights/resnet/classification/logit/biases"} <= set(tags)


def test_the_graph_has_nine_boxes_and_one_for_each_residual_block(address):
    text = asked(address, "plugin/graphs/graph", run="train", large_attrs_key="_too_large_attrs").decode()
    names = re.findall(r'^  name: "(.+)"', text, re.MULTILINE)
    assert {name.partition("/")[0] for name in names} == {
        "input", "global_step", "learning_rate", "resnet", "validation", "training", "gradients", "weights", "Momentum"
    }  # fmt: skip
    blocks = {found[0] for name in names if (found := re.match(r"resnet/block\d/residual_block\d", name))}
    assert blocks == {f"resnet/block{i}/residual_block{j}" for i in (2, 3) for j in (1, 2)}


@needs_browser
def test_in_a_browser(address, tmp_path):
    text = browse(f"{address}#timeseries", tmp_path)
    for shown in ("loss", "accuracy", "train", "val"):
        assert re.search(rf">\s*{shown}\s*<", text), shown
