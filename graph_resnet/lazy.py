"""Imports a package's names on first use, so that `--help` does not import TensorFlow."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def names(
    package: str, homes: dict[str, str], before: Callable[[], None] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package.

    Args:
      package: its `__name__`.
      homes: public name -> the module of the package that defines it.
      before: called before one of these modules is imported.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if before:
            before()
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return get, listed, list(homes)
