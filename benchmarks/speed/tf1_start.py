"""How much longer a program takes to start with `python -m graph_resnet.tf1` than with `python`, measured in turns.

    python -m benchmarks.speed.tf1_start --rounds 5

Compares `import tensorflow` alone, with `python` and with the command, and also TF-Slim's import, which a program with
`tf.contrib.slim` needs in any case. Processor seconds are shown too, because a busy machine makes clock time longer.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = {
    "python, import tensorflow": (False, "import tensorflow as tf\n"),
    "tf1, import tensorflow": (True, "import tensorflow as tf\ntf.placeholder\n"),
    "python, and tf_slim": (False, "import tensorflow as tf\nimport graph_resnet\nimport tf_slim\n"),
    "tf1, and tf.contrib.slim": (
        True,
        "import tensorflow as tf\nimport tensorflow.contrib.slim as slim\nslim.conv2d\n",
    ),
}


def seconds(path: Path, through_command: bool) -> tuple[float, float]:
    """Runs one program: (clock seconds, processor seconds).

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, *(["-m", "graph_resnet.tf1"] if through_command else []), str(path)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.getcwd()}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        raise RuntimeError(f"{path} ended with status {result.returncode}: {result.stderr[-500:]}")
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(arguments=None):
    """Prints the table: minimum and median of each program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns per program")
    rounds = parser.parse_args(arguments).rounds
    results = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as directory:
        paths = {}
        for i, (name, (_, source)) in enumerate(PROGRAMS.items()):
            paths[name] = Path(directory) / f"program{i}.py"
            paths[name].write_text(source)
        for turn in range(rounds + 1):
            for name, (through_command, _) in PROGRAMS.items():
                took = seconds(paths[name], through_command)
                if turn:  # the first turn fills the caches
                    results[name].append(took)
    print("| program | seconds, minimum | median | processor seconds, minimum | median |")
    print("| --- | --- | --- | --- | --- |")
    for name, values in results.items():
        clock, processor = zip(*values)
        cells = (min(clock), statistics.median(clock), min(processor), statistics.median(processor))
        print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
