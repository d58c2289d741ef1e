"""`--check`: lists the TensorFlow names that programs use and their status, without running the programs.

Names are resolved through the same tables and modules as in a running program, on the installed TensorFlow.
"""

import argparse
import dataclasses
import functools
import json
import os
import sys
import types
from collections.abc import Iterator

from . import tables
from .modules import gone_reason
from .names_used import Python2Error, parse, source_of, uses

WORKS, DIFFERS, GONE = "works", "works differently", "gone"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A name in a file: the lines that use it, its status and, unless it works, a note."""

    file: str
    lines: tuple[int, ...]
    name: str
    status: str
    note: str


def resolve(name: str) -> tuple[str, str, str]:
    """The status of a name below `tf`: (the part of it that belongs to TensorFlow, status, note).

    Attributes of classes and flags belong to the program and are dropped: "flags.FLAGS.steps" is "flags.FLAGS".
    """
    from .facade import facade

    value, parts = facade(), name.split(".")
    if parts[0] == "python":
        return _resolve_inside(parts)
    for end, part in enumerate(parts, 1):
        known = ".".join(parts[:end])
        try:
            value = getattr(value, part)
        except (AttributeError, ImportError) as error:
            return known, GONE, _reason(known, error)
        if not isinstance(value, types.ModuleType):
            break
        if end == len(parts) and gone_reason(known) and not _has_names(known):
            return known, GONE, gone_reason(known)
    return known, *_difference(known)


def _has_names(module):
    """Whether a module, which may be gone otherwise, still has names."""
    return tables.MODULES.get(module) or any(name.startswith(f"{module}.") for name in tables.NAMES)


def _reason(name, error):
    reason = gone_reason(name)
    if reason:
        return reason
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        return str(error)
    return "TensorFlow has no such name"


def _resolve_inside(parts):
    """A name inside TensorFlow, `tensorflow.python...`: a module, or an attribute of the last module."""
    import importlib

    value, known = None, "tensorflow"
    for end, part in enumerate(parts):
        known = ".".join(["tensorflow", *parts[: end + 1]])
        try:
            value = importlib.import_module(known)
        except ImportError:
            try:
                value = getattr(value, part)
            except (AttributeError, ImportError):
                return known.removeprefix("tensorflow."), GONE, "it has moved inside TensorFlow; use the public API"
            break
    return known.removeprefix("tensorflow."), WORKS, ""


def _difference(name):
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        note = tables.DIFFERENT.get(".".join(parts[:end]))
        if note:
            return DIFFERS, note
    return WORKS, ""


def check_file(path: str) -> list[Finding]:
    """The findings of one file. A file that cannot be read or parsed gives one finding with an empty name."""
    try:
        source = source_of(path)
        found = uses(parse(source, path))
    except Python2Error as error:
        return [Finding(path, (error.lineno or 1,), "", GONE, f"Python 2 ({error.msg}); convert it to Python 3 first")]
    except SyntaxError as error:
        return [Finding(path, (error.lineno or 1,), "", GONE, f"not Python ({error.msg})")]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return [Finding(path, (1,), "", GONE, f"cannot be read ({reason})")]
    except RecursionError:
        return [Finding(path, (1,), "", GONE, "cannot be read (an expression is nested too deeply)")]
    lines: dict[tuple[str, str, str], set[int]] = {}
    for use in found:
        if use.name:
            lines.setdefault(_cached_resolve(use.name), set()).add(use.line)
    findings = [Finding(path, tuple(sorted(used_lines)), *key) for key, used_lines in lines.items()]
    return sorted(findings, key=lambda finding: (finding.lines, finding.name))


_cached_resolve = functools.cache(resolve)


def files(paths: list[str]) -> Iterator[str]:
    """The files to read: the named ones, and every .py and .ipynb below a named directory, sorted."""
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        for directory, children, names in os.walk(path):
            children[:] = sorted(child for child in children if not child.startswith((".", "__pycache__")))
            for name in sorted(names):
                if name.endswith((".py", ".ipynb")):
                    yield os.path.join(directory, name)


def _show(finding):
    more = f" (+{len(finding.lines) - 1})" if len(finding.lines) > 1 else ""
    name = f" tf.{finding.name}{more}" if finding.name else ""
    note = f": {finding.note}" if finding.note else ""
    status = f"{finding.status}{note}" if finding.name else finding.note
    return f"{finding.file}:{finding.lines[0]}:{name} {status}"


def command(arguments: list[str]) -> int:
    """The command line of `--check`; returns the exit status: 1 if a name is gone, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m graph_resnet.tf1 --check", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", metavar="FILE_OR_DIR", help="Python files, notebooks, directories of them")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    options = parser.parse_args(arguments)
    missing = [path for path in options.paths if not os.path.exists(path)]
    if missing:
        print(f"error: {missing[0]}: no such file or directory; pass Python files or directories", file=sys.stderr)
        return 2
    from . import facade

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    facade.install()
    findings = [finding for path in files(options.paths) for finding in check_file(path)]
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            print(_show(finding))
        counts = {status: sum(f.status == status for f in findings) for status in (WORKS, DIFFERS, GONE)}
        print("[check]: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    return int(any(finding.status == GONE for finding in findings))
