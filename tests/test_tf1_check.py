"""`python -m graph_resnet.tf1 --check`: what became of the names that programs use, read without running them."""

import ast
import json
import os

import pytest

from graph_resnet.compat import check
from graph_resnet.compat.names_used import Python2Error, parse, source_of, uses
from tests.test_tf1_run import run, write

FILES = {
    "works.py": """import tensorflow as tf
from tensorflow.contrib import rnn
from tensorflow.contrib.rnn.python.ops.core_rnn_cell import _linear
x = tf.placeholder(tf.float32)
cell = rnn.GRUCell(3)
from tensorflow import estimator
hook = estimator.SessionRunHook()
raise SystemExit("this file must not run")
""",
    "differs.py": "import tensorflow as tf\n\ny = tf.layers.batch_normalization(tf.zeros([2, 3]))\n",
    "gone.py": """import tensorflow as tf
from tensorflow.contrib.tpu import RunConfig
from tensorflow.contrib.rnn.python.ops.rnn_cell import GridLSTMCell

def train():
    tf.estimator.Estimator(None)
    tf.estimator.Estimator(None)
    tf.nn.rnn(None)
    tf.no_name_of_any_version
""",
    "sub/python2.py": "import tensorflow as tf\n\nprint 'loss', 3\n",
    "sub/words.py": "these are words\n",
    "sub/null.py": "a\0b",
    "sub/empty.py": "",
    "sub/not_read.txt": "import tensorflow as tf\ntf.estimator.Estimator\n",
    ".hidden/no.py": "these are words\n",
    "book.ipynb": json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "source": ["tf.estimator"]},
                {"cell_type": "code", "source": ["%matplotlib inline\n", "import tensorflow as tf\n"]},
                {"cell_type": "code", "source": ["!ls\n", "tf.contrib.slim.conv2d\n"]},
            ]
        }
    ),
    "broken.ipynb": "{",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A directory of programs, with a link to a file, one to nothing and one to the directory itself."""
    directory = tmp_path_factory.mktemp("programs")
    for name, text in FILES.items():
        write(directory, name, text)
    (directory / "latin.py").write_bytes("# no coding line: é\n".encode("latin-1"))
    (directory / "coded.py").write_bytes("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"))
    (directory / "deep.py").write_text("x = " + "+".join(["1"] * 20000) + "\n")
    (directory / "long.py").write_text("import tensorflow as tf\n" + "tf.add(1, 2)\n" * 20000)
    (directory / "link.py").symlink_to("works.py")
    (directory / "nothing.py").symlink_to("no_such_file.py")
    (directory / "loop").symlink_to(directory)
    return directory


@pytest.fixture(scope="module")
def findings(tree):
    """What `--check --json` prints about the tree, by file."""
    result = run(tree, "--check", "--json", ".", lacks=["tensorflow_estimator"])
    assert result.returncode == 1, result.stderr
    by_file = {}
    for finding in json.loads(result.stdout):
        by_file.setdefault(os.path.relpath(finding["file"], "."), []).append(finding)
    return by_file


def brief(findings):
    return {finding["name"]: (finding["status"], finding["lines"]) for finding in findings}


@pytest.mark.slow
def test_works_works_differently_and_gone_with_file_and_line(findings):
    assert brief(findings["works.py"]) == {
        "contrib.rnn": ("works", [2]),
        "contrib.rnn.python.ops.core_rnn_cell._linear": ("works", [3]),
        "float32": ("works", [4]),
        "placeholder": ("works", [4]),
        "contrib.rnn.GRUCell": ("works", [5]),
        "estimator": ("works", [6]),
        "estimator.SessionRunHook": ("works", [7]),
    }
    assert findings["link.py"] == [{**finding, "file": "./link.py"} for finding in findings["works.py"]]
    assert brief(findings["differs.py"])["layers.batch_normalization"] == ("works differently", [3])
    gone = brief(findings["gone.py"])
    assert gone == {
        "contrib.tpu.RunConfig": ("gone", [2]),
        "contrib.rnn.python.ops.rnn_cell.GridLSTMCell": ("gone", [3]),
        "estimator.Estimator": ("gone", [6, 7]),
        "nn.rnn": ("gone", [8]),
        "no_name_of_any_version": ("gone", [9]),
    }
    notes = {finding["name"]: finding["note"] for finding in findings["gone.py"]}
    assert "install tensorflow_estimator" in notes["estimator.Estimator"]
    assert "static_rnn" in notes["nn.rnn"]
    assert "LSTMCell" in notes["contrib.rnn.python.ops.rnn_cell.GridLSTMCell"]
    assert notes["no_name_of_any_version"] == "TensorFlow has no such name"
    assert brief(findings["book.ipynb"]) == {"contrib.slim.conv2d": ("works", [4])}
    assert [len(finding["lines"]) for finding in findings["long.py"]] == [20000]


@pytest.mark.slow
def test_what_cannot_be_read_is_a_finding_of_its_own(findings):
    problems = {name: (items[0]["lines"], items[0]["note"]) for name, items in findings.items() if not items[0]["name"]}
    assert set(problems) == {
        *("sub/python2.py", "sub/words.py", "sub/null.py", "broken.ipynb", "latin.py", "deep.py", "nothing.py")
    }
    assert problems["sub/python2.py"][0] == [3] and problems["sub/python2.py"][1].startswith("Python 2 (")
    assert problems["sub/words.py"] == ([1], "not Python (invalid syntax)")
    assert problems["sub/null.py"][1].startswith("not Python (")
    assert problems["nothing.py"][1] == "cannot be read (No such file or directory)"
    assert problems["deep.py"][1] == "cannot be read (an expression is nested too deeply)"
    for name in ("broken.ipynb", "latin.py"):
        assert problems[name][1].startswith("cannot be read (")


@pytest.mark.slow
def test_the_text_has_a_line_for_each_name_and_counts(tree):
    result = run(tree, "--check", "gone.py", "differs.py", lacks=["tensorflow_estimator"])
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[2].startswith("gone.py:6: tf.estimator.Estimator (+1) gone: it was removed in TensorFlow 2.16; ")
    assert lines[-2].startswith("differs.py:3: tf.zeros works") or "batch_normalization" in lines[-2]
    assert lines[-1] == "[check]: 1 works, 1 works differently, 5 gone"
    result = run(tree, "--check", "works.py", "sub/empty.py")
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == "[check]: 7 works, 0 works differently, 0 gone"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.py"], "error: none.py: no such file or directory; pass Python files or directories\n"),
        ([], "the following arguments are required: FILE_OR_DIR"),
        (["--nonsense"], "FILE_OR_DIR"),
    ],
    ids=["missing file", "no file", "wrong flag"],
)
def test_a_wrong_call_ends_with_status_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    try:
        status = check.command(arguments)
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_directories_are_read_in_order_without_hidden_ones_and_without_following_links(tree):
    found = [os.path.relpath(path, tree) for path in check.files([str(tree)])]
    top = sorted(path for path in found if os.sep not in path)
    assert found == [*top, "sub/empty.py", "sub/null.py", "sub/python2.py", "sub/words.py"]
    assert {"book.ipynb", "link.py", "works.py"} <= set(top)
    assert list(check.files([str(tree / "sub/not_read.txt")])) == [str(tree / "sub/not_read.txt")]


USES = {
    "import tensorflow as tf\ntf.nn.relu(tf.zeros)": ["nn.relu", "zeros"],
    "import tensorflow\ntensorflow.contrib.slim.conv2d": ["contrib.slim.conv2d"],
    "import tensorflow.contrib.slim as slim\nslim.conv2d": ["contrib.slim", "contrib.slim.conv2d"],
    "import tensorflow.compat.v1 as tf\ntf.placeholder": ["placeholder"],
    "from tensorflow.contrib import rnn as r\nr.GRUCell": ["contrib.rnn", "contrib.rnn.GRUCell"],
    "import tensorflow as tf\nlayers = tf.layers\nlayers.dense": ["layers", "layers.dense"],
    "import tensorflow as tf\ndef f(tf):\n    tf.nothing": [],
    "import tensorflow as tf\ndef f():\n    tf = 1\n    tf.nothing\ntf.add": ["add"],
    "def f():\n    import tensorflow as tf\n    tf.add\ntf.nothing": ["add"],
    "import tensorflow as tf\nclass A:\n    b = tf.add\n    def c(self):\n        return tf.sub": ["add", "sub"],
    "import tensorflow.compat.v2 as tf\ntf.anything": [],
    "import numpy as tf\ntf.zeros": [],
    "from .tensorflow import x\nx.y": [],
}


@pytest.mark.parametrize(("source", "names"), USES.items())
def test_which_names_of_tensorflow_a_source_uses(source, names):
    assert sorted({use.name for use in uses(ast.parse(source))}) == names


@pytest.mark.parametrize(
    "source",
    ["print 'x'\n", "try:\n    pass\nexcept ValueError, e:\n    pass\n", "x = 0777\n", "raise ValueError, 'x'\n"],
)
def test_python_2_is_recognized(source):
    with pytest.raises(Python2Error):
        parse(source, "a.py")


def test_a_declared_encoding_is_used(tree):
    assert "é" in source_of(str(tree / "coded.py"))
