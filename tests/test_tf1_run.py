"""`python -m graph_resnet.tf1` runs a program exactly like `python`."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]


def run(directory, *arguments, stdin="", module="graph_resnet.tf1", lacks=()):
    """Runs the command in `directory`, which is outside this project, as if the packages `lacks` were not installed."""
    command = [sys.executable, *(["-m", module] if module else []), *map(str, arguments)]
    with tempfile.TemporaryDirectory() as site:
        hidden = "".join(f"sys.modules[{name!r}] = None\n" for name in lacks)
        pathlib.Path(site, "sitecustomize.py").write_text(f"import sys\n{hidden}")
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run(
            command, cwd=directory, env=environment, input=stdin, capture_output=True, text=True, timeout=300
        )


def write(directory, name, text):
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


SHOW = "import sys\nprint(sys.argv, __name__, __file__, sys.path[0], __spec__ and __spec__.name)\n"


@pytest.mark.parametrize("arguments", [["a.py", "-x", "1"], ["sub/a.py"], ["-m", "a", "y"], ["pack"], ["-m", "pack"]])
def test_argv_main_and_path_are_pythons(tmp_path, arguments):
    for name in ("a.py", "sub/a.py", "pack/__main__.py"):
        write(tmp_path, name, SHOW)
    ours, pythons = run(tmp_path, *arguments), run(tmp_path, *arguments, module=None)
    assert ours.returncode == pythons.returncode == 0, ours.stderr
    assert ours.stdout == pythons.stdout
    assert str(tmp_path) in ours.stdout


def test_a_script_gets_its_own_utils_or_else_the_projects(tmp_path):
    write(tmp_path, "own/utils.py", "mine = 1\n")
    write(tmp_path, "own/a.py", "import utils\nprint(utils.mine)\n")
    write(tmp_path, "other/a.py", "from utils import learning\nprint(learning.train_with_bn.__name__)\n")
    assert run(tmp_path, "own/a.py").stdout == "1\n"
    result = run(tmp_path, "other/a.py")
    assert result.stdout == "train_with_bn\n", result.stderr


def test_the_projects_utils_is_found_from_a_checkout_too(tmp_path):
    """Without PYTHONPATH, started in the checkout: the script's directory replaces the checkout on the path."""
    path = write(tmp_path, "a.py", "from utils import learning\nprint(learning.train_with_bn.__name__)\n")
    result = subprocess.run(
        [sys.executable, "-m", "graph_resnet.tf1", path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout == "train_with_bn\n", result.stderr


FAILS = """import tensorflow as tf
def f(x):
    try:
        x / 0
    except ZeroDivisionError:
        return tf.no_such_name
f(1)
"""


def test_the_traceback_is_the_users(tmp_path):
    write(tmp_path, "a.py", FAILS)
    result = run(tmp_path, "a.py")
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("  File")]
    assert [line.split(", ", 1)[1] for line in lines] == ["line 4, in f", "line 7, in <module>", "line 6, in f"]
    assert all(str(tmp_path / "a.py") in line for line in lines)
    assert result.stderr.splitlines()[-1] == "AttributeError: module 'tensorflow' has no attribute 'no_such_name'"


def test_a_failing_import_shows_only_the_users_line(tmp_path):
    write(tmp_path, "a.py", "import helper\n")
    write(tmp_path, "helper.py", "import no_such_module\n")
    ours, pythons = run(tmp_path, "a.py"), run(tmp_path, "a.py", module=None)
    assert ours.stderr == pythons.stderr
    assert "no_such_module" in ours.stderr


BAD = {
    "missing": (["none.py"], ""),
    "directory": (["empty"], ""),
    "not python": (["words.py"], ""),
    "null bytes": (["null.py"], ""),
    "no module": (["-m", "none"], ""),
    "status": (["status.py"], ""),
    "message": (["message.py"], ""),
    "stdin": (["echo.py"], "word\n"),
    "no stdin": (["echo.py"], ""),
    "program on stdin": (["-"], "print(6 * 7)\n"),
    "fork": (["fork.py"], ""),
    "atexit": (["atexit_.py"], ""),
}


@pytest.mark.parametrize(("arguments", "stdin"), BAD.values(), ids=BAD)
def test_what_python_does(tmp_path, arguments, stdin):
    (tmp_path / "empty").mkdir()
    write(tmp_path, "words.py", "these are words\n")
    (tmp_path / "null.py").write_bytes(b"\0\1")
    write(tmp_path, "status.py", "import sys\nsys.exit(7)\n")
    write(tmp_path, "message.py", "import sys\nsys.exit('no luck')\n")
    write(tmp_path, "echo.py", "print(input())\n")
    write(tmp_path, "fork.py", "import os\npid = os.fork()\nif not pid: os._exit(3)\nprint(os.wait()[1] >> 8)\n")
    write(tmp_path, "atexit_.py", "import atexit\natexit.register(print, 'bye')\nraise SystemExit(4)\n")
    ours, pythons = run(tmp_path, *arguments, stdin=stdin), run(tmp_path, *arguments, stdin=stdin, module=None)
    assert (ours.returncode, ours.stdout) == (pythons.returncode, pythons.stdout), ours.stderr
    # Python has two ways to name a file that it cannot parse; the last line is the message.
    assert ours.stderr.splitlines()[-1:] == pythons.stderr.splitlines()[-1:] or "null bytes" in ours.stderr


CHILDREN = """
import multiprocessing, sys
def square(x):
    import numpy, tensorflow as tf
    return tf.contrib.__name__, hasattr(numpy, "float"), x * x
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(pool.map(square, [3]))
"""


@pytest.mark.parametrize("method, flags", [("fork", []), ("spawn", []), ("forkserver", []), ("spawn", ["--no-numpy"])])
def test_the_processes_of_a_program_are_switched_too(tmp_path, method, flags):
    write(tmp_path, "a.py", CHILDREN)
    result = run(tmp_path, *flags, "a.py", method)
    assert result.stdout == f"[('tensorflow.contrib', {not flags}, 9)]\n", result.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_script(tmp_path, number):
    write(tmp_path, "a.py", f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(9)\n")
    assert run(tmp_path, "a.py").returncode == -number


def test_a_call_without_a_script_is_an_error(tmp_path):
    for arguments in ([], ["-m"], ["--no-such-flag"]):
        result = run(tmp_path, *arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("usage: python -m graph_resnet.tf1 ")
    assert run(tmp_path, "--help").stdout.startswith("usage: ")


def test_importing_the_project_switches_nothing_on(tmp_path):
    code = "import graph_resnet, tensorflow as tf\nassert tf.executing_eagerly() and tf.__name__ == 'tensorflow'\n"
    code += "assert not hasattr(tf, 'placeholder') and not hasattr(tf, 'contrib')\nimport numpy as np\n"
    code += "assert not hasattr(np, 'int')\n"
    result = run(tmp_path, "-c", code, module=None)
    assert result.returncode == 0, result.stderr


def test_too_late_gives_one_line(tmp_path):
    write(tmp_path, "early.py", "import tensorflow as tf\n")
    code = "import early\nimport graph_resnet.tf1\nimport tensorflow as tf\nprint(tf.placeholder.__name__)\n"
    result = run(tmp_path, "-c", code, module=None)
    assert result.stdout == "placeholder\n"
    assert [line for line in result.stderr.splitlines() if "too late" in line] == [
        "graph_resnet.tf1: too late for early, which imported TensorFlow 2 already; "
        "import graph_resnet.tf1 first, or import tensorflow there again"
    ]


NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
CELLS = ["import tensorflow as tf", "%load_ext graph_resnet.tf1", "x = tf.placeholder(tf.float32)",
         "import tensorflow.contrib.slim as slim", "print(slim.flatten.__name__, tf.executing_eagerly(), x.dtype.name)"]
for cell in CELLS[START:]:
    shell.run_cell(cell.replace("x = ", "import tensorflow as tf; x = ") if START else cell).raise_error()
"""


@pytest.mark.parametrize("start", [1, 0], ids=["first cell", "after import tensorflow"])
def test_a_notebook_after_load_ext(tmp_path, start):
    """Names that hold TensorFlow 2 already are changed, with a line that says so."""
    result = run(tmp_path, "-c", NOTEBOOK.replace("START", str(start)), module=None)
    assert result.returncode == 0, result.stderr
    *said, last = result.stdout.splitlines()
    assert last == "flatten False float32"
    assert said == ([] if start else ["graph_resnet.tf1: tf is TensorFlow 1 from here on; run earlier cells again"])


LIBRARIES = """
import tensorflow as tf, importlib, sys
assert tf.placeholder and importlib.import_module("tensorflow") is tf and __import__("tensorflow") is tf
import keras
assert keras.src.backend.tensorflow.core.tf is sys.modules["tensorflow"] is not tf
import tensorflow.compat.v2 as tf2, tensorflow.compat.v1 as tf1
assert tf1.layers.dense and not hasattr(tf2, "placeholder")
"""


def test_libraries_keep_tensorflow_2(tmp_path):
    write(tmp_path, "a.py", LIBRARIES)
    result = run(tmp_path, "a.py")
    assert result.returncode == 0, result.stderr


REMOVED = """import collections, time, inspect, numpy as np
print(np.int(3.5), np.zeros(2, np.float).dtype, np.object, np.reshape(np.arange(4), newshape=(2, 2)).shape)
print(isinstance([], collections.Iterable), time.clock() > 0, inspect.getargspec(lambda a, *b: 0).args)
import itertools, urllib, cPickle, Queue
print(list(xrange(2)), isinstance("a", basestring), list(itertools.izip("a", "b")), urllib.quote(" "))
print(cPickle.loads(cPickle.dumps(1)), Queue.mine)
print(np.array([1, 2], copy=False).sum(), np.array([[1], [2, 3]], copy=False).shape)
"""


def test_removed_names_of_numpy_and_python(tmp_path):
    write(tmp_path, "a.py", REMOVED)
    write(tmp_path, "Queue.py", "mine = 'the program has its own'\n")
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == [
        *("3 float64 <class 'object'> (2, 2)", "True True ['a']", "[0, 1] True [('a', 'b')] %20"),
        *("1 the program has its own", "3 (2,)"),
    ], result.stderr
    result = run(tmp_path, "--no-numpy", "a.py")
    assert result.returncode == 1
    assert "AttributeError" in result.stderr.splitlines()[-1] or "np.int" in result.stderr


@pytest.mark.parametrize("statement", ["int(np.array([1]))", "np.zeros(2)[0] = np.array([1.0])"])
def test_an_error_of_a_new_numpy_gets_a_hint(tmp_path, statement):
    write(tmp_path, "a.py", f"import numpy as np\n{statement}\n")
    result = run(tmp_path, "a.py")
    if np.lib.NumpyVersion(np.__version__) < "2.4.0":
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 1
        assert result.stderr.splitlines()[-1].endswith("pip install 'numpy<2.4' to run this program")
