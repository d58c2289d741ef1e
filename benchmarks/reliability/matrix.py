"""Installs and uses the project with each TensorFlow minor version on each available Python.

    python -m benchmarks.reliability.matrix                           every pair, without the tests
    python -m benchmarks.reliability.matrix --only 2.20:3.13 --tests  one pair, with the quick tests

For each pair: a fresh virtual environment, `pip install tensorflow==MINOR.* WHEEL` with the wheel of this tree, a run
of 5 steps, the same run killed with SIGKILL after step 2 and resumed (its last checkpoint must have the same bytes),
evaluate, predict, export; with `--tests` also `pytest -m "not slow"` with the `test` extra. pip selects the versions of
all other packages. The environment, 1.5 GB or more, is deleted afterwards.

The result of each pair replaces its line in docs/results/matrix.jsonl, and docs/matrix.md is written from that file.
Exit status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results" / "matrix.jsonl"
PAGE = ROOT / "docs" / "matrix.md"
TENSORFLOWS = ("2.16", "2.17", "2.18", "2.19", "2.20", "2.21")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
STEPS = 5
RUN = f"--dataset synthetic --image-size 64 --batch-size 32 --log-every 1 --save-every 1 --steps {STEPS}".split()
TIMEOUT = 3600  # seconds, of one command
SHOWN = ("protobuf", "numpy", "keras")  # packages whose versions are recorded
COLUMNS = ("install", "train", "kill, resume", "evaluate", "predict", "export", "quick tests")
INTRODUCTION = """# TensorFlow and Python versions

Written by `make matrix` (`python -m benchmarks.reliability.matrix`) on Linux. Each row is a fresh environment, into
which pip installed the wheel of this project, TensorFlow of one minor version, and the newest version of everything
else that fits. There a run of 5 steps was trained, killed with SIGKILL after step 2 and resumed (the last
checkpoint must have the same bytes as without the kill), evaluated, used for a prediction and exported. "quick
tests" is the closing line of `pytest -m "not slow"`; "-" means not run, "no such wheel" that PyPI has no TensorFlow
of this version for this Python.

"""


class CheckError(Exception):
    """A column's check failed; the message is its last line."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="TF:PYTHON", help="pairs such as 2.21:3.12 (default: all)")
    parser.add_argument("--tests", action="store_true", help="also run the quick tests")
    parser.add_argument("--directory", metavar="DIR", help="for the environments (default: the temporary directory)")
    flags = parser.parse_args(argv)
    pairs = [pair.split(":") for pair in flags.only or ()] or [(tf, py) for tf in TENSORFLOWS[::-1] for py in PYTHONS]
    failed = False
    if flags.directory:
        os.makedirs(flags.directory, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=flags.directory, ignore_cleanup_errors=True) as shared:
        wheel = build_wheel(Path(shared))
        for tensorflow, version in pairs:
            python = find_python(version)
            if python is None:
                print(f"{tensorflow} {version}: no python{version} here", flush=True)
                continue
            with tempfile.TemporaryDirectory(dir=flags.directory, ignore_cleanup_errors=True) as scratch:
                row = check(tensorflow, version, python, wheel, Path(scratch), tests=flags.tests)
            failed = failed or any(value.startswith("FAILED") for value in row.values())
            print(json.dumps(row), flush=True)
            record(row)
    return int(failed)


def find_python(version: str) -> str | None:
    """The path of a Python of this minor version: pyenv's newest patch version, or the one on PATH."""
    below = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = sorted(below.glob(f"{version}.*/bin/python"), key=lambda path: int(path.parts[-3].split(".")[2]))
    return str(candidates[-1]) if candidates else shutil.which(f"python{version}")


def build_wheel(directory: Path, *, isolated: bool = True) -> Path:
    """Builds the wheel from a copy of this tree, so that no build directory is left here; returns its path.

    Args:
      directory: for the copy and the wheel.
      isolated: whether pip fetches setuptools; False uses the installed one.
    """
    source = directory / "source"
    for name in ("graph_resnet", "utils"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copyfile(ROOT / name, source / name)
    options = ["-q", "--no-deps", *(() if isolated else ("--no-build-isolation",)), "-w", str(directory)]
    call([sys.executable, "-m", "pip", "wheel", *options, str(source)], directory)
    return next(directory.glob("*.whl"))


def commit() -> str:
    """The commit of this tree, followed by "+" if files have changed since."""
    changed = call(["git", "status", "--porcelain", "-uno", "--", "graph_resnet", "utils", "setup.py"], ROOT).strip()
    return call(["git", "rev-parse", "--short", "HEAD"], ROOT).strip() + ("+" if changed else "")


def check(tensorflow: str, version: str, python: str, wheel: Path, scratch: Path, *, tests: bool) -> dict[str, str]:
    """Creates the environment of one pair, runs all checks and returns a row of the table.

    Returns:
      {"tensorflow", "python", "date", "commit", each of SHOWN, each of COLUMNS}; the value of a column is "ok", "-",
      "no such wheel" or "FAILED: last line".
    """
    row = {"tensorflow": tensorflow, "python": version, "date": datetime.date.today().isoformat(), "commit": commit()}
    row |= dict.fromkeys((*SHOWN, *COLUMNS), "-")
    binary = scratch / "venv" / "bin" / "python"

    def install() -> None:
        call([python, "-m", "venv", str(scratch / "venv")], scratch)
        pip = [str(binary), "-m", "pip"]
        # TensorFlow has 10,000 modules, of which few are imported; those are compiled then.
        call([*pip, "install", "-q", "--no-compile", f"tensorflow=={tensorflow}.*", str(wheel)], scratch)
        versions = {
            package["name"]: package["version"]
            for package in json.loads(call([*pip, "list", "--format=json"], scratch))
        }
        row.update({name: versions[name] for name in SHOWN})
        row["tensorflow"] = versions["tensorflow"]

    def command(name: str, *arguments: str) -> str:
        return call([str(binary), "-m", f"graph_resnet.{name}", *arguments], scratch)

    checks = {
        "install": install,
        "train": lambda: command("train", *RUN, "--train-dir", "calm"),
        "kill, resume": lambda: kill_and_resume(binary, scratch),
        "evaluate": lambda: command("evaluate", "--train-dir", "calm"),
        "predict": lambda: command("predict", "--train-dir", "calm", "calm/confusion.png"),
        "export": lambda: command("export", "--train-dir", "calm", "--export-dir", "exported"),
    }
    if tests:
        checks["quick tests"] = lambda: quick_tests(binary, wheel, scratch)
    for column, run in checks.items():
        try:
            row[column] = "ok"
            text = run()
            if column == "quick tests":
                row[column] = text
        except CheckError as failure:
            no_wheel = "No matching distribution found for tensorflow" in str(failure)
            row[column] = "no such wheel" if no_wheel else f"FAILED: {failure}"
            if column == "install":
                break
    return row


def kill_and_resume(binary: Path, scratch: Path) -> None:
    """Kills a run with SIGKILL after its second line, runs it again, and compares its last checkpoint with `calm`'s."""
    command = [str(binary), "-u", "-m", "graph_resnet.train", *RUN, "--train-dir", "killed"]
    process = subprocess.Popen(
        command, cwd=scratch, env=environment(scratch), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with process:
        for line in process.stdout:
            if line.startswith("[train]: step 2 "):
                process.kill()
    if process.returncode != -signal.SIGKILL:
        raise CheckError(f"the run ended with {process.returncode} before it was killed")
    output = call(command, scratch)
    if f"[final]: step {STEPS} " not in output:
        raise CheckError(f"no [final] line, but {output.splitlines()[-1]}")
    name = f"model.ckpt-{STEPS}.data-00000-of-00001"
    if (scratch / "killed" / name).read_bytes() != (scratch / "calm" / name).read_bytes():
        raise CheckError("the last checkpoint differs from that of a run that was not killed")


def quick_tests(binary: Path, wheel: Path, scratch: Path) -> str:
    """Runs the quick tests and returns pytest's last line."""
    call([str(binary), "-m", "pip", "install", "-q", "--no-compile", f"{wheel}[test]"], scratch)
    options = ["-p", "no:cacheprovider", "-m", "not slow", "--tb=line", "--basetemp", str(scratch / "pytest")]
    output = call([str(binary), "-m", "pytest", *options], ROOT, environment(scratch))
    return output.splitlines()[-1].strip("= ")


def environment(scratch: Path) -> dict[str, str]:
    """The commands' environment: its own cache, and no packages from outside."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "TF_CONFIG")}
    return {**kept, "XDG_CACHE_HOME": str(scratch / "cache")}


def call(command: list[str], directory: Path, env: dict[str, str] | None = None) -> str:
    """Runs a command and returns its stdout.

    Raises:
      CheckError: its status is not 0; the message is its last error or non-empty line.
    """
    if env is None:
        # pip keeps its cache between the environments; the project's own commands get a fresh one.
        is_ours = "graph_resnet" in " ".join(command[1:3])
        env = environment(directory) if is_ours else {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise CheckError(f"did not end within {TIMEOUT} s") from None
    if done.returncode:
        print(done.stdout[-8000:], done.stderr[-8000:], sep="\n", file=sys.stderr, flush=True)
        lines = [line for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"\w*error:", line, re.IGNORECASE)]
        last = (errors or lines or ["no output"])[-1]
        raise CheckError(f"status {done.returncode}, {last.strip():.120}")
    return done.stdout


def record(row: dict[str, str]) -> None:
    """Adds a row to RESULTS, replacing an older one of its pair, and writes PAGE."""
    rows = {}
    with contextlib.suppress(FileNotFoundError):
        for old in map(json.loads, RESULTS.read_text().splitlines()):
            rows[_pair(old)] = old
    rows[_pair(row)] = row
    ordered = [rows[pair] for pair in sorted(rows)]
    RESULTS.write_text("".join(json.dumps(result) + "\n" for result in ordered))
    names = ("tensorflow", "python", *SHOWN, *COLUMNS, "date", "commit")
    lines = ["| " + " | ".join(names) + " |", "| " + " | ".join(["---"] * len(names)) + " |"]
    lines += ["| " + " | ".join(result[name].replace("|", "\\|") for name in names) + " |" for result in ordered]
    PAGE.write_text(INTRODUCTION + "\n".join(lines) + "\n")


def _pair(row: dict[str, str]) -> tuple[tuple[int, ...], ...]:
    """A row's versions, such as ((2, 21), (3, 12))."""
    return tuple(tuple(int(part) for part in row[name].split(".")[:2]) for name in ("tensorflow", "python"))


if __name__ == "__main__":
    sys.exit(main())
