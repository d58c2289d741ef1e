"""Draws with matplotlib's defaults, whatever the user's matplotlibrc and MPLBACKEND say.

They may ask for LaTeX, which is not there, or turn images upside down. Imports matplotlib on first use.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def _defaults() -> Iterator[None]:
    """Imports matplotlib, and sets its defaults inside the block."""
    if "matplotlib" not in sys.modules:
        backend = os.environ.pop("MPLBACKEND", None)
        import matplotlib

        if backend is not None:  # as matplotlib does it, but a name that it does not know is no error: none is needed
            os.environ["MPLBACKEND"] = backend
            with contextlib.suppress(ValueError):
                matplotlib.rcParams["backend"] = backend
    import matplotlib.style

    with matplotlib.style.context("default"):
        yield


def plot(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function that draws or writes a figure."""

    @functools.wraps(draw)
    def drawn(*args, **options):
        with _defaults():
            return draw(*args, **options)

    return drawn
