"""The train dir: one run at a time, and always the same run."""

import fcntl
import json
import os
import sys
from pathlib import Path

from graph_resnet.errors import UserError

CONFIG = "config.json"
LOCK = "lock"

# What makes a run another run: what its weights mean, and which images they saw. Length, cadence, learning rate and
# regularization may change on the way.
IDENTITY = ("name", "net", "dataset", "label", "image_size", "mean", "std", "batch_size", "num_classes")


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


def read_config(train_dir):
    """The `config.json` of a train dir as a dict, or None if it has none.

    Raises:
      UserError: it is not what this package wrote.
    """
    path = Path(train_dir) / CONFIG
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); put it back, or pass another --train-dir") from None
    if not (
        isinstance(config, dict) and isinstance(config.get("recipe"), dict) and isinstance(config.get("data"), dict)
    ):
        raise UserError(f"{path}: not a run's config; put it back, or pass another --train-dir")
    files = config["data"].get("files")
    if not (isinstance(files, list) and all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in files)):
        raise UserError(f"{path}: data has no list of files; put it back, or pass another --train-dir")
    return config


def write_config(train_dir, config):
    """Writes `config.json` in one go: a killed process leaves the old one or the new one."""
    path = Path(train_dir) / CONFIG
    draft = path.with_suffix(".json.new")
    try:
        draft.write_text(json.dumps(config, indent=2) + "\n")
        os.replace(draft, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); mend that, or pass another --train-dir"
        ) from None


def check_same_run(train_dir, old, new, difference_of_data):
    """Refuses to go on with another run's weights.

    Args:
      old, new: configs.
      difference_of_data: None, or a phrase that names it.

    Raises:
      UserError: names the first difference.
    """
    new = json.loads(json.dumps(new))  # with lists for tuples, as `old` has them
    pairs = {key: (old["recipe"].get(key), new["recipe"].get(key)) for key in IDENTITY}
    pairs["held_out"] = old.get("held_out", 0), new.get("held_out", 0)
    pairs["seed"] = old.get("seed"), new.get("seed")
    for key, (before, now) in pairs.items():
        if before != now:
            raise UserError(
                f"train dir {train_dir}: holds a run with {key} {before!s:.60}, not {now}; pass another --train-dir"
            )
    if difference_of_data:
        raise UserError(
            f"train dir {train_dir}: was trained on other data ({difference_of_data}); pass another --train-dir, or "
            "--allow-other-data to go on"
        )
