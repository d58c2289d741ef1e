"""Shared by all commands: flags as v1 users type them, one-line errors, a late and quiet import of TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import difflib
import errno
import gc
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import NoReturn

import graph_resnet
from graph_resnet import fields, files, flags, machine, session
from graph_resnet.errors import UserError, printable, printable_lines, reason
from graph_resnet.last_words import last_words, silence
from graph_resnet.loop import signals

DIED = "error: the process crashed or was killed, perhaps because memory ran out; run the same command again"
HELP_WIDTH = 80  # columns, of texts that argparse does not wrap
# argparse's own pattern lacks -1e-3 and -inf, and calls them missing values.
NEGATIVE = re.compile(r"-\.?\d.*|-(inf|infinity|nan)", re.IGNORECASE)

positive = flags.typed(fields.Whole())


class _Parser(argparse.ArgumentParser):
    """Accepts underscores in flags; answers a wrong flag with one line and a suggestion.

    Help and errors show one name of a flag; its other names, from other trainers, work too.
    """

    def parse_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None):
        for action in self._option_string_actions.values():
            if not isinstance(action, argparse.BooleanOptionalAction):
                action.option_strings = _main_name(action.option_strings)
        self._negative_number_matcher = NEGATIVE  # what looks like one is a value unless a flag is named like it
        return super().parse_args(arguments(args), namespace)

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"ignored explicit argument (.*)", r"takes no value, got \1", message, flags=re.DOTALL)
        hint = self._hint(message)
        self.exit(2, f"error: {printable(message)}{hint}; --help lists the flags\n")

    def _hint(self, message: str) -> str:
        for word in re.findall(r"(?<!\S)-{0,2}[a-zA-Z][\w-]*", message.partition("unrecognized arguments:")[2]):
            close = difflib.get_close_matches(f"--{word.lstrip('-')}", self._option_string_actions, 1)
            if close:
                return f"; did you mean {close[0]}?"
        return ""


def _main_name(names: Sequence[str]) -> list[str]:
    """The names of a flag that `--help` shows: all short ones, and the first long one."""
    long = [name for name in names if name.startswith("--")]
    return [name for name in names if name not in long[1:]]


def parser(command: str, about: str | None, epilog: str) -> argparse.ArgumentParser:
    """The argument parser of `python -m graph_resnet.COMMAND`; does not accept abbreviated flags."""
    result = _Parser(
        prog=f"python -m graph_resnet.{command}",
        usage=f"python -m graph_resnet.{command} [flags]",
        description=textwrap.fill(about or "", HELP_WIDTH),  # python -OO has no docstrings
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("--version", action="version", version=f"graph_resnet {graph_resnet.__version__}")
    return result


def add_checkpoint(add: Callable) -> None:
    """Adds the flags --train-dir and --checkpoint, which select a trained net."""
    add(
        "--train-dir",
        "--model-dir",
        required=True,
        type=files.path_flag,
        metavar="DIR",
        help="of a run of graph_resnet.train",
    )
    add("--checkpoint", type=files.path_flag, metavar="PATH", help="a prefix such as DIR/model.ckpt-5000, one of its "
        "files, a directory, or 'best' for the one of --keep-best (default: the train dir's newest)")  # fmt: skip
    add("--checkpoint-path", type=_flag_of_training, help=argparse.SUPPRESS)


def _flag_of_training(path):
    """Refuses `--checkpoint-path`, which always means the weights that training starts with."""
    raise argparse.ArgumentTypeError(f"this flag belongs to graph_resnet.train; here, pass --checkpoint {path}")


def arguments(argv: Sequence[str] | None = None) -> list[str]:
    """The command line with dashes for underscores in flags: `--batch_size=64` becomes `--batch-size=64`.

    Words after `--` are not flags and stay unchanged.
    """

    def dashed(word):
        name, equals, value = word.partition("=")
        return name.replace("_", "-") + equals + value if name.startswith("--") else word

    words = list(sys.argv[1:] if argv is None else argv)
    end = words.index("--") if "--" in words else len(words)
    return [dashed(word) for word in words[:end]] + words[end:]


def run(main: Callable[[], int]) -> NoReturn:
    """Runs a command and exits with its status: 0, 1 after a user's error, 128 + signal after a signal."""
    output, errors = _Output("stdout", 1), _Output("stderr", 2, stops=False)
    sys.stdout, sys.stderr = output, errors
    signals.handle(_interrupt)
    message = None
    try:
        machine.check_system()
        with last_words(DIED):
            status = main()
    except UserError as error:
        status, message = 1, f"error: {error}"
    except signals.Interrupted as stop:
        status, message = 128 + stop.signum, stop
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        why = reason(error) if where or machine.has_directory() else "the working directory is gone; cd to another one"
        status, message = 1, f"error: {UserError(where + why)}"
    except SystemExit as end:  # argparse's
        status = end.code
    output.flush()
    if output.lost not in (None, errno.EIO):  # EIO: the terminal was closed, which SIGHUP reports
        message = message and str(message).replace("stopped by SIGTERM", "stopped")  # `_Output` sent it
        if output.lost == errno.EPIPE:  # the reader of the output closed the pipe, like `head`
            status = 128 + signal.SIGPIPE
        else:
            why = os.strerror(output.lost)
            status, message = 1, f"error: cannot write the output ({why}); {message or 'it is incomplete'}"
    if message is not None:
        print(printable_lines(str(message)), file=sys.stderr)  # a stop names the command, and so a path
    errors.flush()
    sys.exit(status)


class _Output:
    """stdout or stderr that never raises while a command works.

    When writing fails (closed or full), it discards further output, stores the errno in `lost`, and sends SIGTERM to
    the process, so that a training run saves its work first.

    Args:
      name: 'stdout' or 'stderr'. If the shell has closed it, /dev/null replaces it.
      number: its file descriptor.
      stops: whether a failure stops the process.
    """

    def __init__(self, name: str, number: int, *, stops: bool = True):
        self.lost: int | None = None
        self._stops = stops
        stream = getattr(sys, name)
        if stream is None:
            _to_nowhere(number)
            stream = open(number, "w", closefd=False)  # noqa: SIM115 (open as long as the process lives)
        # Line by line also in a log file; and a file name may not fit the terminal's encoding.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        first, self.lost = self.lost is None, self.lost or error.errno
        _to_nowhere(self._stream.fileno())
        self.flush()  # else Python would try to write the rest again at exit, and change the status
        if first and self._stops and error.errno != errno.EIO:
            signal.raise_signal(signal.SIGTERM)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def _to_nowhere(number: int) -> None:
    """Redirects a file descriptor to /dev/null."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def _interrupt(signum, frame):
    raise signals.Interrupted(signum, f"stopped by {signal.Signals(signum).name}")


def import_tensorflow() -> ModuleType:
    """Imports TensorFlow quietly, in graph mode. For commands only, because it is global."""
    tf = import_quietly()
    tf.disable_eager_execution()
    return tf


def import_quietly() -> ModuleType:
    """Imports TensorFlow with oneDNN's kernels, without its start-up messages and the warnings of TF-Slim's layers.

    A stop signal is handled after the import: an exception in its middle would turn into another one. A second signal
    ends the process at once.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors that matter are raised as exceptions
    session.use_onednn()
    before = signals.handle(_exit_at_once)
    flags = "".join(f"; is {name} right?" for name in ("TF_XLA_FLAGS", "XLA_FLAGS") if name in os.environ)
    try:
        with (
            last_words(f"error: TensorFlow ended the process while it was imported{flags}"),
            signals.StopRequest() as stop,
            _silenced_stderr(),  # some messages precede the log level
            _uncollected(),
        ):
            with _skipped("keras.src", "jax"):
                import tensorflow.compat.v1 as tf

            from graph_resnet.compat import slim

            tf.config.list_physical_devices()  # the search for a GPU also writes messages
    except (ImportError, MemoryError) as error:
        raise UserError(
            f"TensorFlow cannot be imported ({reason(error)}); install it, or give the process more memory"
        ) from error
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if stop.signum is not None:
        signal.raise_signal(stop.signum)
    slim.quiet()
    _set_log_level(tf)
    return tf


def _exit_at_once(signum, frame):
    silence()
    os._exit(128 + signum)


@contextlib.contextmanager
def _skipped(*modules):
    """Makes the import of some modules fail inside the block, unless they were imported before.

    TensorFlow imports Keras at its end, and JAX for its converter to TFLite, only if they are there: together 1.3 s
    that no command needs. Both can be imported afterwards: `tf.keras` imports Keras on first use.
    """
    blocked = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked))  # None: an ImportError
    try:
        yield
    finally:
        for name in blocked:
            if sys.modules.get(name, False) is None:
                del sys.modules[name]


@contextlib.contextmanager
def _uncollected():
    """Spares garbage collection the objects of TensorFlow's import, the first time, for good.

    They are 400,000 that stay. Looking through them again and again took 0.3 s of the import, and more while a graph
    was built.
    """
    if "tensorflow" in sys.modules:  # what is there by now may be garbage: graphs, for example
        yield
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _set_log_level(tf):
    """Sets the log level of TensorFlow 2.20's runtime, the only version that does not read the variable itself."""
    if tf.__version__.startswith("2.20."):
        with contextlib.suppress(OSError, AttributeError, ValueError):
            runtime = ctypes.CDLL(os.path.join(tf.sysconfig.get_lib(), "libtensorflow_framework.so.2"))
            set_level = runtime._ZN4absl12lts_2025012714SetMinLogLevelENS0_18LogSeverityAtLeastE
            set_level(int(os.environ["TF_CPP_MIN_LOG_LEVEL"]))


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Discards everything that this process writes to stderr inside the block, from C++ too."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
