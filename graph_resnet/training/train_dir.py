"""The train dir: one run at a time."""

import fcntl
import os
import sys
from pathlib import Path

from graph_resnet.errors import UserError

LOCK = "lock"


def claim(train_dir):
    """Creates the directory and locks it for as long as this process lives.

    Returns:
      The lock, an open file: the directory is free again when it is closed.

    Raises:
      UserError: it is a file, cannot be written, or another process trains into it (its id is named).
    """
    path = Path(train_dir)
    check_name(path, "train dir")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / LOCK, "ab+", buffering=0)  # noqa: SIM115 (held until the process ends)
    except FileExistsError:
        raise UserError(f"train dir {path}: is a file; pass a directory as --train-dir") from None
    except OSError as error:
        raise _cannot_be_written(path, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(b"%d\n" % os.getpid())
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().decode(errors="replace").strip() or "unknown"
        lock.close()
        raise UserError(
            f"train dir {path}: process {owner} trains into it; wait, or pass another --train-dir"
        ) from None
    except OSError as error:
        lock.close()
        raise _cannot_be_written(path, error) from None
    return lock


def _cannot_be_written(path, error):
    return UserError(f"train dir {path}: cannot be written ({error.strerror}); mend that, or pass another --train-dir")


def check_name(path, what):
    """Refuses a path that TensorFlow, which takes names in UTF-8 only, would look for elsewhere.

    Raises:
      UserError: its name is not UTF-8, or Python's encoding of file names is another one.
    """
    name = str(path)
    if os.fsencode(name) != name.encode(errors="replace"):
        encoding = sys.getfilesystemencoding()
        raise UserError(f"{what} {path}: not UTF-8 where file names are {encoding}; rename it, or set PYTHONUTF8=1")
