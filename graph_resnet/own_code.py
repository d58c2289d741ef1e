"""Recipes and nets from a user's Python file: `--recipe FILE.py`, `--net FILE.py:NAME`.

Only a file named on the command line is run. A `config.json` holds data and never makes code run.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
from types import ModuleType

from graph_resnet import fields
from graph_resnet.architectures import Architecture
from graph_resnet.errors import UserError, reason
from graph_resnet.recipes import Recipe


def architecture(text: str) -> Architecture:
    """The `Architecture` called FILE.py:NAME.

    Raises:
      UserError: there is no such file or name, the file's code fails, or the name is something else.
    """
    path, _, name = text.rpartition(":")
    module = _module(path)
    row = getattr(module, name, None)
    if not isinstance(row, Architecture):
        names = ", ".join(_names(module, Architecture)) or "none"
        raise UserError(f"--net {text}: {path} defines no Architecture of that name; it has {names}")
    return _checked(row, text)


def recipe(text: str) -> Recipe:
    """The `Recipe` in FILE.py: its only one, or the one that FILE.py:NAME names.

    Raises:
      UserError: there is no such file or name, the file's code fails, or it defines no recipe or several.
    """
    path, _, name = text.rpartition(":") if ".py:" in text else (text, "", "")
    module = _module(path)
    names = _names(module, Recipe)
    if name:
        if name not in names:
            raise UserError(
                f"--recipe {text}: {path} defines no Recipe of that name; it has {', '.join(names) or 'none'}"
            )
    elif len(names) != 1:
        what = f"several: {', '.join(names)}; pass --recipe {path}:NAME" if names else "none"
        raise UserError(f"--recipe {text}: it should define one Recipe, it defines {what}")
    return _checked(getattr(module, name or names[0]), text)


def _names(module: ModuleType, row: type) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, row) and not name.startswith("_")]


def _checked(row, text):
    """A row with every field checked, like those of a config.json."""
    try:
        return fields.Row(type(row)).check(row)
    except ValueError as error:
        raise UserError(f"{text}: {error}") from None


def _module(path: str) -> ModuleType:
    """Runs a file, which may import modules from its directory."""
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.isfile(path):
        raise UserError(f"{path}: {'not a file' if os.path.exists(path) else 'no such file'}")
    name = f"graph_resnet_own_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, os.path.dirname(path))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        why = error.msg if isinstance(error, SyntaxError) else reason(error)
        if isinstance(error, OSError) and error.filename is not None:
            why = f"{error.filename}: {why}"
        raise UserError(f"{_place_of(error, path)}: {type(error).__name__}: {why}") from error
    finally:
        with contextlib.suppress(ValueError):  # the file may have removed it
            sys.path.remove(os.path.dirname(path))
    return module


def _place_of(error: BaseException, path: str) -> str:
    """'FILE, line N': the last line in the user's files (those in the folder of `path`) that led to an exception."""
    if isinstance(error, SyntaxError):
        return f"{error.filename or path}, line {error.lineno}"
    place, trace = path, error.__traceback__
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if os.path.dirname(file) == os.path.dirname(path):
            place = f"{file}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
