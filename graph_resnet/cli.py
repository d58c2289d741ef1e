"""What the commands share: flags as v1 users type them, errors in one line, TensorFlow imported late and quietly."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys

from graph_resnet import files
from graph_resnet.errors import UserError, reason
from graph_resnet.loop import signals


def parser(command, about, epilog):
    """The argument parser of `python -m graph_resnet.COMMAND`; abbreviated flags are refused."""
    return argparse.ArgumentParser(
        prog=f"python -m graph_resnet.{command}",
        description=about,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_checkpoint(add):
    """Adds the flags of every command that works with a trained net: which one."""
    add(
        "--train-dir",
        "--model-dir",
        required=True,
        type=files.path_flag,
        metavar="DIR",
        help="of a run of graph_resnet.train",
    )
    add("--checkpoint", "--checkpoint-path", type=files.path_flag, metavar="PATH",
        help="a prefix such as DIR/model.ckpt-5000, one of its "
        "files, or a directory (default: the newest whole one of the train dir)")  # fmt: skip


def arguments(argv=None):
    """The command line's flags with dashes where underscores were typed: `--batch_size=64` is `--batch-size=64`."""

    def dashed(word):
        name, equals, value = word.partition("=")
        return name.replace("_", "-") + equals + value if name.startswith("--") else word

    return [dashed(word) for word in (sys.argv[1:] if argv is None else argv)]


def positive(text):
    """A positive int, for argparse."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def natural(text):
    """An int of at least 0, for argparse."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def seed(text):
    """An int that TensorFlow takes as a seed, for argparse."""
    value = int(text)
    if abs(value) >= 2**31:
        raise ValueError
    return value


def between(low, high):
    """A float within bounds, for argparse."""

    def number(text):
        value = float(text)
        if not low <= value <= high:
            raise ValueError
        return value

    number.__name__ = f"number from {low:g} to {high:g},"
    return number


positive.__name__ = "positive whole number"  # argparse: "invalid positive whole number value: '0'"
natural.__name__ = "whole number, 0 or more,"
seed.__name__ = "whole number of 31 bits,"


def run(main):
    """Ends the process with the status of a command: 0, 1 after an error of the user's, 128 + signal after a signal."""
    # A log file grows line by line, too; and a file name need not be of the terminal's encoding.
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    signals.handle(_interrupt)
    message = None
    try:
        status = main()
    except UserError as error:
        status, message = 1, f"error: {error}"
    except signals.Interrupted as stop:
        status, message = 128 + stop.signum, stop
    except BrokenPipeError:  # whoever read the output has enough of it
        status = 128 + signal.SIGPIPE
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        status, message = 1, f"error: {UserError(where + reason(error))}"
    if message is not None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(message, file=sys.stderr)
    _flush(sys.stdout)
    _flush(sys.stderr)
    sys.exit(status)


def _interrupt(signum, frame):
    raise signals.Interrupted(signum, f"stopped by {signal.Signals(signum).name}")


@contextlib.contextmanager
def last_words(line):
    """Has `line` on stderr if the process does not come to the end of this block: it crashed, or it was killed.

    That happens where memory ends inside an op, or where the system takes it back, and nobody is left to say so but
    another process: a shell, which waits for the end of a pipe that nothing is written to.
    """
    wait = 'read nothing; printf "%s\\n" "$0" >&2'
    with subprocess.Popen(["sh", "-c", wait, line], stdin=subprocess.PIPE, start_new_session=True) as shell:
        try:
            yield
        finally:
            shell.kill()


def _flush(stream):
    """Flushes, and gives up what cannot be written: Python would try again at its exit and change the status."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def import_tensorflow():
    """Imports TensorFlow without its start-up chatter, in graph mode. For commands only: it is global."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters comes as an exception, too
    # Half-way through an import an exception would come out as another one.
    before = signals.handle(lambda signum, frame: os._exit(128 + signum))
    try:
        with _silenced_stderr():  # some of it is written before any log level is read
            import tensorflow.compat.v1 as tf

            from graph_resnet.compat import slim

            tf.config.list_physical_devices()  # the search for a GPU has something to say, too
    except (ImportError, MemoryError) as error:
        raise UserError(
            f"TensorFlow cannot be imported ({reason(error)}); install it, or give it more memory"
        ) from error
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    slim.quiet()
    tf.disable_eager_execution()
    return tf


@contextlib.contextmanager
def _silenced_stderr():
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
