"""report.html and the page about several runs: single files, tested also in a real browser."""

import base64
import html.parser
import json
import re
import shutil
import subprocess
import sys

import pytest

from graph_resnet import config, inference, report, train
from graph_resnet.errors import UserError
from graph_resnet.inference import comparison, page, runs
from tests.helpers import ROOT, TINY, browse, needs_browser

# Added to a copy of the page to report what the browser shows.
PROBE = """
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") && !e.closest("svg"))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1);
  const found = {
    images: [...document.images].map(image => image.complete && image.naturalWidth),
    figures: [...document.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect().width),
    fetched: performance.getEntriesByType("resource").map(entry => entry.name).filter(url => !url.startsWith("data:")),
    overflow: document.documentElement.scrollWidth - innerWidth,
    wide: wide.map(e => e.tagName),
    text: document.body.innerText,
  };
  document.documentElement.innerHTML = "<pre>" + btoa(unescape(encodeURIComponent(JSON.stringify(found)))) + "</pre>";
});
</script>
"""
SECTIONS = ["Curves", "Calibration", "Classes", "Confusion matrix", "Mistakes", "Recipe", "Run"]


@pytest.fixture
def written(trained_dir):
    return (trained_dir[0] / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def two(trained_dir, tmp_path_factory):
    """The trained net's directory and a copy with another seed, learning rate and name."""
    other = tmp_path_factory.mktemp("runs") / "other <b>"
    other.mkdir()
    shutil.copy(trained_dir[0] / "metrics.jsonl", other)
    values = config.read_json(trained_dir[0])
    values["recipe"]["learning_rate"], values["seed"] = 0.5, 4
    config.write_json(other, values)
    return [trained_dir[0], other]


def stands_alone(text):
    """Asserts that a page loads nothing from elsewhere."""

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag not in ("script", "link", "iframe", "object", "embed")
            for name, value in attributes:
                if name in ("src", "href", "xlink:href", "srcset", "action"):
                    assert value.startswith(("data:image/png;base64,", "#"))

    Links().feed(text)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_nothing_comes_from_elsewhere(written, two, tmp_path):
    stands_alone(written)
    stands_alone(inference.write_comparison(two, tmp_path / "page.html").read_text())


def opened(text, directory, width):
    """The page in a browser of that width."""
    copy = directory / f"page{width}.html"
    copy.write_text(text.replace("</html>", PROBE + "</html>"), encoding="utf-8")
    dom = browse(copy.as_uri(), directory, width)
    return json.loads(base64.b64decode(re.search(r"<pre>(.+)</pre>", dom)[1]))


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [500, 1400])  # the minimum of headless windows
def test_in_a_browser(written, trained_dir, two, tmp_path, width):
    found = opened(written, tmp_path, width)
    assert (found["fetched"], found["wide"]) == ([], []) and found["overflow"] <= 0
    assert len(found["images"]) == 40 and all(found["images"])
    assert len(found["figures"]) == 4 and all(300 < shown <= width for shown in found["figures"])
    accuracy = float(re.search(r"acc = (\S+)", trained_dir[1])[1])
    assert f"{accuracy:.2%}\nof 1,000 test images right" in found["text"]
    assert "synthetic (10 classes)" in found["text"]
    headings = [line for line in found["text"].splitlines() if line in SECTIONS]
    assert headings == SECTIONS
    found = opened(inference.write_comparison(two, tmp_path / "page.html").read_text(), tmp_path, width)
    assert (found["fetched"], found["wide"]) == ([], []) and found["overflow"] <= 0
    assert "other <b>" in found["text"] and len(found["figures"]) == 3


def test_what_was_overridden_is_marked(written, trained_dir):
    marked = re.findall(r"<tr class=marked><td>(\w+)</td><td>(.*?)</td><td>(.*?)</td>", written)
    assert ("dataset", "synthetic", "cifar10") in marked and ("steps", "20", "20000") in marked
    assert ("batch_size", "50", "64") in marked
    assert "optimizer" not in [name for name, *_ in marked]


def test_its_numbers_are_those_of_the_last_line(written, trained_dir):
    _, loss, accuracy = re.search(r"step (\d+) loss = (\S+) acc = (\S+)", trained_dir[1]).groups()
    assert f"<b>{float(accuracy):.2%}</b>" in written and f"<b>{loss}</b>" in written
    last = runs.read(trained_dir[0]).last
    assert (f"{last['loss']:.4f}", f"{last['accuracy']:.4f}") == (loss, accuracy)


def test_a_comparison_has_every_difference_and_nothing_else(two):
    found = comparison.html({"a": runs.read(two[0]), "b": runs.read(two[1])})
    rows = re.findall(r"<tr><td>(\w+)</td><td>(.*?)</td><td>(.*?)</td></tr>", found.partition("Differences")[2])
    assert rows == [("learning_rate", "0.01", "0.5"), ("seed", "3", "4")]
    same = comparison.html({"a": runs.read(two[0]), "b": runs.read(two[0])})
    assert "none that config.json records" in same


def test_runs_are_named_by_what_differs_in_their_paths(tmp_path):
    assert list(comparison.named([tmp_path / "a/x", tmp_path / "b/x"])) == ["a/x", "b/x"]
    assert list(comparison.named([tmp_path / "a/x", tmp_path / "b/y"])) == ["x", "y"]
    with pytest.raises(UserError, match="given twice"):
        comparison.named([tmp_path, f"{tmp_path}/."])
    with pytest.raises(UserError, match="two train dirs or more"):
        inference.write_comparison([tmp_path], tmp_path / "x.html")


def test_the_command(two, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("graph_resnet.cli.import_tensorflow", lambda: None)  # it would turn off eager execution
    monkeypatch.chdir(tmp_path)
    assert report.main([str(directory) for directory in two]) == 0
    assert capsys.readouterr() == ("[report]: comparison.html\n", "")
    (two[1] / "report.html").unlink(missing_ok=True)
    assert report.main([str(two[1])]) == 0  # it has no checkpoint
    out, err = capsys.readouterr()
    assert out == f"[report]: {two[1] / 'report.html'}\n" and "without the parts that need an evaluation" in err
    text = (two[1] / "report.html").read_text()
    assert "Curves" in text and "Recipe" in text and "Mistakes" not in text
    for flags, message in ((["a", "--output", "x"], "needs several"), (["a", "b", "--data-dir", "x"], "a single run")):
        with pytest.raises(SystemExit):
            report.main(flags)
        assert message in capsys.readouterr().err
    with pytest.raises(UserError, match="none: no such directory; pass the train dir"):
        report.main([str(tmp_path / "none")])


def test_any_text_is_escaped():
    assert page.text("<b>&\x1b[31m\n\"'") == "&lt;b&gt;&amp;\\x1b[31m &quot;&#x27;"
    assert page.text({"a": None}) == "{&quot;a&quot;: null}"
    assert "x" * 41 not in page.name("x" * 300)[len('<bdi title="') + 300 :]
    assert runs.duration(59.6) == "1 min 00 s" and runs.duration(7500) == "2 h 05 min" and runs.duration(3) == "3 s"
    assert runs.duration(2375, rounded=True) == "40 min" and runs.duration(31, rounded=True) == "31 s"


@pytest.mark.parametrize(("from_step", "timed", "seconds"), [(0, True, 5), (30, False, 96)])
def test_the_seconds_of_a_resumed_run_are_an_estimate(from_step, timed, seconds, tmp_path):
    """Its last start took 5 s; at 10 images/s, its 60 steps of 16 images take 96 s."""
    config = {"recipe": {"batch_size": 16}, "data": {}, "finished": {"seconds": 5, "from_step": from_step}}
    history = [
        {"step": 1, "split": "train", "images_per_second": 10},
        {"step": 60, "split": "val", "loss": 1.0, "accuracy": 0.5},
    ]
    run = runs.Run(tmp_path, config, history)
    assert (run.timed, run.seconds) == (timed, seconds)


def test_the_report_uses_trainings_last_pass(tmp_path):
    """A second evaluation would fail in this process."""
    program = """
import sys
from graph_resnet.inference import evaluation
evaluation.evaluate = lambda *args, **options: sys.exit("evaluated again")
from graph_resnet import train
sys.exit(train.main(sys.argv[1:]))
"""
    flags = [*TINY, "--batch-size", "50", "--steps", "2", "--train-dir", tmp_path / "run"]
    command = [sys.executable, "-c", program, *map(str, flags)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    final = done.stdout.splitlines()[-1]
    loss, accuracy = re.search(r"loss = (\S+) acc = (\S+)", final).groups()
    text = (tmp_path / "run/report.html").read_text()
    assert f"<b>{float(accuracy):.2%}</b>" in text and f"<b>{loss}</b>" in text
    assert "1,000 test images" in text and "Mistakes" in text


def test_wrong_data_leaves_the_page_as_it_is(trained_dir, tmp_path):
    directory = shutil.copytree(trained_dir[0], tmp_path / "run")
    before = (directory / "report.html").read_bytes()
    (tmp_path / "nowhere").touch()
    with pytest.raises(UserError, match="nowhere"):
        inference.write_report(directory, data=tmp_path / "nowhere")
    assert (directory / "report.html").read_bytes() == before


def test_a_last_evaluation_without_an_accuracy(trained_dir, tmp_path):
    directory = shutil.copytree(trained_dir[0], tmp_path / "run")
    with open(directory / "metrics.jsonl", "a") as file:
        file.write('{"step": 20, "split": "val", "loss": 1.0}\n')
    run = runs.read(directory)
    assert run.last == run.best == max((r for r in run.history if "accuracy" in r and r["split"] == "val"),
                                       key=lambda r: r["accuracy"])  # fmt: skip


def test_null_for_a_number_of_records_is_an_error(trained_dir, tmp_path):
    directory = shutil.copytree(trained_dir[0], tmp_path / "run")
    values = json.loads((directory / "config.json").read_text())
    values["data"]["files"][0]["records"] = None
    (directory / "config.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="config.json: records is None, not a whole number"):
        inference.write_report(directory)


@pytest.mark.parametrize("flag", ["--summary", "--dataset=pictures"])
def test_the_recipe_of_a_run_on_pictures_contradicts_no_flag(trained_dir, tmp_path, flag):
    values = json.loads((trained_dir[0] / "config.json").read_text())
    values["recipe"]["dataset"], values["data"]["directory"] = "pictures", str(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values))
    recipe, flags = train.parse(["--recipe", str(tmp_path / "config.json"), flag])
    assert (recipe.dataset, flags.dataset_dir) == ("pictures", str(tmp_path))
    with pytest.raises(SystemExit):
        train.parse(["--dataset-dir", str(tmp_path), "--summary"])
