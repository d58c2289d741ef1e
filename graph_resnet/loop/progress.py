"""Progress of a run: a bar in a terminal or notebook, a line from time to time if stderr is a file or a pipe."""

from __future__ import annotations

import contextlib
import contextvars
import errno
import sys
import time
import warnings
from collections.abc import Callable, Iterator

from tqdm import TqdmWarning

from graph_resnet.errors import printable_lines

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # a notebook without ipywidgets gets lines instead of a bar
    from tqdm.auto import tqdm

FIRST_LINE, NEXT_LINES = 10, 60  # seconds before the first line in a file or pipe, and between further ones
BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


_say: contextvars.ContextVar[Callable[[str], object] | None] = contextvars.ContextVar("say", default=print)


@contextlib.contextmanager
def showing(to: Callable[[str], object] | None) -> Iterator[None]:
    """Sends lines to the function `to` inside the block; None shows neither lines nor a progress bar."""
    token = _say.set(to)
    try:
        yield
    finally:
        _say.reset(token)


def say(line: str) -> None:
    """Prints a line above the progress bar, or passes it to the function of `showing`.

    A closed terminal (EIO) is ignored, so that the run can still save.
    """
    to = _say.get()
    if to is None:
        return
    line = printable_lines(line)
    try:
        tqdm.write(line) if to is print else to(line)
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def bar_options() -> dict:
    """tqdm's options for any bar: shown in a terminal or notebook only."""
    in_notebook = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)
    return {"disable": True if _say.get() is None else False if in_notebook else None, "dynamic_ncols": True}


class Progress:
    """Context manager that shows step, loss, learning rate, epoch, images/s, elapsed and remaining time.

    Args:
      step: int, at which the run starts.
      max_step: int.
      images: int, in a training batch, None if not known.
      steps_an_epoch: float, None if not known.
      lines: whether to print lines where no bar can be shown.
    """

    def __init__(
        self,
        step: int,
        max_step: int,
        *,
        images: int | None = None,
        steps_an_epoch: float | None = None,
        lines: bool = True,
    ):
        self._max_step, self._images, self._steps_an_epoch = max_step, images, steps_an_epoch
        self._step, self._seconds, self._rate = step, None, None
        self._after_first = None  # (step, time) after the first update, which takes longer than the others
        self._bar = tqdm(total=max_step, initial=step, unit="step", bar_format=BAR, **bar_options())
        self._since = time.perf_counter()
        self._due = self._since + FIRST_LINE if lines and self._bar.disable and _say.get() else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()

    def update(self, step: int, loss: float, seconds: float, rate: float | None = None) -> None:
        """Call it after each update.

        Args:
          step: int, the global step after the update.
          loss: float, of its batch.
          seconds: float, duration of the update.
          rate: the learning rate, None if it was not fetched.
        """
        self._seconds = seconds if self._seconds is None else 0.9 * self._seconds + 0.1 * seconds
        self._rate = self._rate if rate is None else rate
        moved, self._step = step - self._step, step
        self._after_first = self._after_first or (step, time.perf_counter())
        if not self._bar.disable:
            self._bar.set_postfix_str(" ".join(self._measured(loss)), refresh=False)
            self._bar.update(moved)
        elif self._due is not None and step < self._max_step and time.perf_counter() >= self._due:
            self._due = time.perf_counter() + NEXT_LINES
            _to_stderr(self._line(loss))

    def _measured(self, loss):
        parts = [f"loss {loss:.3g}"]
        if self._rate is not None:
            parts.append(f"lr {self._rate:.3g}")
        if self._steps_an_epoch:
            parts.append(f"epoch {self._step / self._steps_an_epoch:.1f}")
        if self._images:
            parts.append(f"{self._images / self._seconds:.0f} images/s")
        return parts

    def _line(self, loss):
        now, (first, since) = time.perf_counter(), self._after_first
        left = "?"
        if self._step > first:
            left = tqdm.format_interval((self._max_step - self._step) * (now - since) / (self._step - first))
        clock = f"{tqdm.format_interval(now - self._since)} elapsed, {left} left"
        return f"[progress]: step {self._step} of {self._max_step}, {', '.join(self._measured(loss))}, {clock}"


def _to_stderr(line):
    """Prints to stderr; a closed stderr is ignored."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
