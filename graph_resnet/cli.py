"""What the commands share: flags as v1 users type them, errors in one line, TensorFlow imported late and quietly."""

import contextlib
import os
import sys

from utils.errors import UserError
from utils.signals import Interrupted


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


positive.__name__ = "positive whole number"  # argparse: "invalid positive whole number value: '0'"


def run(main):
    """Ends the process with the status of a command: 0, 1 after an error of the user's, 128 + signal after a signal."""
    sys.stdout.reconfigure(line_buffering=True)  # a log file grows line by line, too
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(128 + stop.signum)
    except KeyboardInterrupt:
        sys.exit(130)


def import_tensorflow():
    """Imports TensorFlow without its start-up chatter, in graph mode. For commands only: it is global."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters comes as an exception, too
    with _silenced_stderr():  # some of it is written before any log level is read
        import tensorflow.compat.v1 as tf

        from utils import slim_compat

        tf.config.list_physical_devices()  # the search for a GPU has something to say, too
    slim_compat.quiet()
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
