"""The library in a repository with its own `utils`, and installed from its wheel into an empty directory."""

import ast
import os
import subprocess
import sys

import pytest

from benchmarks.reliability.matrix import build_wheel
from tests.helpers import ROOT, TINY, run

# A foreign `utils`: {file: source}, and the code with which its owner gets MARK from it.
FOREIGN = {
    "a module": ({"utils.py": "MARK = 'foreign'"}, "from utils import MARK"),
    "a package": ({"utils/__init__.py": "", "utils/helper.py": "MARK = 'foreign'"}, "from utils.helper import MARK"),
    "a namespace package": ({"utils/helper.py": "MARK = 'foreign'"}, "from utils.helper import MARK"),
}
BLOCK = """
import sys
if {first}:
    {use}
import tensorflow.compat.v1 as tf
from graph_resnet import residual_block
assert ("utils" in sys.modules) is {first}

with tf.Graph().as_default(), tf.Session() as session:
    tf.set_random_seed(1)
    images, labels = tf.random.normal([8, 8, 8, 16], seed=2), tf.constant([0, 1] * 4)
    net = residual_block(images, bottleneck_depth=4, out_depth=8, stride=2)
    loss = tf.losses.sparse_softmax_cross_entropy(labels, tf.reduce_mean(net, [1, 2]))
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    session.run(tf.global_variables_initializer())
    losses = [session.run([loss, step])[0] for _ in range(20)]
assert losses[-1] < losses[0], losses

{use}
print(MARK)
"""


def lay(files, directory):
    """Writes {name: source} below a directory."""
    for name, source in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["working directory", "PYTHONPATH", "imported before"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_the_block_trains_beside_a_foreign_utils(kind, place, tmp_path):
    files, use = FOREIGN[kind]
    foreign, here = tmp_path / "foreign", tmp_path / "here"
    here.mkdir()
    lay(files, foreign)
    (tmp_path / "script.py").write_text(BLOCK.format(use=use, first=place == "imported before"))
    # This project's root, with its own `utils`, comes last, like installed packages. '' is the working directory.
    path = ["", str(ROOT)] if place == "working directory" else [str(foreign), str(ROOT)]
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        cwd=foreign if place == "working directory" else here,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "foreign\n"), done.stderr


EAGER = """
import tensorflow.compat.v1 as tf
from graph_resnet.data import batches
from graph_resnet.errors import UserError
try:
    batches.load_data(16, 8, dataset="synthetic")
except UserError as error:
    print(error)
tf.disable_eager_execution()
images, *_ = batches.load_data(16, 8, dataset="synthetic")
print(images.shape)
"""


def test_data_in_an_eager_process_gives_one_line_and_in_a_graph_no_warnings(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", EAGER], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    error, shape = done.stdout.splitlines() or [done.stderr] * 2
    assert error.startswith("data: needs a TensorFlow 1 graph; call tf.compat.v1.disable_eager_execution()")
    assert (shape, "deprecated" in done.stderr) == ("(8, 16, 16, 3)", False), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command, kind",
    [("train", "a package"), ("evaluate", "a module"), ("predict", "a namespace package"), ("export", "a package")],
)
def test_the_commands_run_beside_a_foreign_utils(command, kind, tmp_path, trained_dir):
    directory, _ = trained_dir
    lay({**FOREIGN[kind][0], "sentinel.py": ""}, tmp_path)
    flags = {
        "train": [*TINY, "--steps", 2, "--train-dir", "run"],
        "evaluate": ["--train-dir", directory, "--output-dir", "."],
        "predict": ["--train-dir", directory, directory / "confusion.png"],
        "export": ["--train-dir", directory, "--export-dir", "exported"],
    }[command]
    # `python -m` puts the working directory first.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    status, lines, err = run(*flags, module=f"graph_resnet.{command}", cwd=tmp_path, env=environment)
    assert (status, err) == (0, "") and lines


# The lines before the tutorial's cells; `import tf_slim as slim` replaces the import from contrib.
FIRST = {
    "graph_resnet": """import graph_resnet
import sys
assert not {"tensorflow", "tf_slim"} & sys.modules.keys()""",
    "utils": "from utils import learning",
    "tensorflow": "import tensorflow\nimport graph_resnet",
    "tf_slim, in vain": """try:
    import tf_slim
except AttributeError:
    pass
import graph_resnet""",
}
CELLS = """
{first}
import tensorflow as tf
import tf_slim as slim
assert tf.executing_eagerly()
with tf.Graph().as_default():
    net = slim.conv2d(tf.zeros([2, 4, 4, 3]), 4, 3, normalizer_fn=slim.batch_norm)
    print(net.shape, len(tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST)
def test_tf_slim_can_be_imported_after_this_project(first, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CELLS.format(first=FIRST[first])],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "(2, 4, 4, 4) 2\n"), done.stderr


EVERY_MODULE = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert root in pathlib.Path(module.__file__).parents, (name, module.__file__)
print(len(sys.argv[2:]))
"""


def modules(root):
    """The names of all modules of the two packages in a directory."""
    files = [file.relative_to(root) for package in ("graph_resnet", "utils") for file in (root / package).rglob("*.py")]
    return sorted(".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files)


@pytest.mark.slow
def test_every_module_of_the_wheel_is_imported_from_elsewhere(tmp_path):
    bare, elsewhere = tmp_path / "bare", tmp_path / "elsewhere"
    elsewhere.mkdir()
    wheel = build_wheel(tmp_path, isolated=False)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(bare), str(wheel)]
    subprocess.run(install, cwd=elsewhere, check=True, timeout=300)
    names = modules(bare)
    assert names == modules(ROOT) and "graph_resnet.distributed.cluster" in names
    assert {path.name for path in bare.iterdir() if "-" not in path.name} <= {"graph_resnet", "utils", "bin"}
    done = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE, str(bare), *names],
        cwd=elsewhere, env={**os.environ, "PYTHONPATH": str(bare)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{len(names)}\n"), done.stderr


# The rooms that each room of graph_resnet may import, in addition to itself and BASE.
BASE = {
    *(
        "architectures",
        "errors",
        "evaluation_plots",
        "fields",
        "files",
        "flags",
        "last_words",
        "lazy",
        "locks",
        "machine",
        "own_code",
        "plot_defaults",
        "plot_text",
        "plots",
        "recipes",
    ),
    "session",
}
RECORD_OF_A_RUN = {"config", "tower", "loop", "data", "net", "compat"}
ROOMS = {
    "compat": set(),
    "net": {"blocks"},
    "blocks": {"block_arguments", "compat"},
    "block_arguments": {"compat"},
    "data": {"compat"},
    "loop": {"data", "compat"},
    "config": {"data", "loop"},
    "tower": {"net", "compat"},
    "inference": RECORD_OF_A_RUN,
    "training": {"inference", *RECORD_OF_A_RUN},
    "distributed": {"training", "inference", *RECORD_OF_A_RUN},
    "cli": {"compat", "loop"},
    "": {"net", "compat"},  # graph_resnet/__init__.py
    **{name: set() for name in BASE},
}
COMMANDS = {"__main__", "train", "evaluate", "predict", "export", "report", "tf1", "notebook"}


def imported(file):
    """All names that a source file imports, including those of from-imports: 'os.path.join', ..."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = [*above, *filter(None, [node.module])]
            yield from (".".join([*module, alias.name]) for alias in node.names)


SOURCES = sorted((ROOT / "graph_resnet").rglob("*.py"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_one_way(file):
    room = file.relative_to(ROOT / "graph_resnet").with_suffix("").parts[0].removesuffix("__init__")
    everything = ROOMS.keys() - {""}
    allowed = {room} | BASE | (everything if room in COMMANDS else ROOMS[room])
    for name in imported(file):
        package, _, rest = name.partition(".")
        assert package not in ("utils", "tests", "benchmarks"), f"{file.name} imports {name}"
        if package == "graph_resnet" and rest:
            target = rest.partition(".")[0]
            assert target in allowed | {"__version__"}, f"{room or 'graph_resnet'} imports {target}: {name}"
