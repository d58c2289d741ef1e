"""Files: reads only regular files of limited size, and writes atomically.

    config = files.read_json(path)       # OSError or ValueError; a pipe, a device or a terabyte of zeros is an OSError
    files.write(path, page.encode())     # a reader, a kill -9 and a power cut see the old file or the new one
    with files.draft(path) as file:      # the same for code that writes to a file object
    with files.new_directory(target) as directory: ...

Writing follows no symbolic link and uses only unpredictable names. It checks before each write that the directory is
still the one that `locks.claim` claimed. All drafts have the same ending, so that `remove_drafts` finds those of a
killed process.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import stat
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

from graph_resnet import locks
from graph_resnet.errors import UserError

MOST = 64 << 20  # bytes, default size limit for reading
DEEPEST = 50  # levels of nesting in JSON: code that walks it may be recursive
DRAFT = re.compile(r"\.graph_resnet-[0-9a-f]{16}\.draft")
KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def path_flag(text: str) -> str:
    """A path from a flag, for argparse; expands `~`, so that `--train_dir=~/x` works too."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path; is a shell variable unset?")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        raise argparse.ArgumentTypeError(
            f"{text}: not a path on this machine; mount it or copy it, and pass the path here"
        )
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise argparse.ArgumentTypeError(f"{text}: no user of that name; if it is a file, pass ./{text}")
    return path


def check_name(path: str | os.PathLike, what: str) -> None:
    """Refuses a path that TensorFlow would read differently, because it expects names in UTF-8.

    Raises:
      UserError: the name is not UTF-8, or Python's encoding of file names is not.
    """
    name = str(path)
    if os.fsencode(name) != name.encode(errors="replace"):
        encoding = sys.getfilesystemencoding()
        raise UserError(f"{what} {path}: not UTF-8 where file names are {encoding}; rename it, or set PYTHONUTF8=1")


def open_regular(path: str | os.PathLike) -> typing.BinaryIO:
    """Opens a regular file to read its bytes; links are followed.

    Raises:
      OSError: it cannot be opened, or it is a pipe, device, socket or directory. It never waits for one of those.
    """
    _check_regular(os.stat(path), path)  # before opening it, because opening has an effect on some devices
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = open(os.open(path, flags), "rb")  # noqa: SIM115 (returned open)
    try:
        _check_regular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def _check_regular(status, path):
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"{kind}, not a regular file", os.fspath(path))


def read(path: str | os.PathLike, most: int = MOST) -> bytes:
    """The bytes of a regular file.

    Args:
      path: of the file; links are followed.
      most: bytes, the size limit.

    Raises:
      OSError: see `open_regular`; or it is larger than `most`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= most else b""  # it may grow meanwhile
    size = max(size, len(content))
    if size > most:
        raise OSError(errno.EFBIG, f"{size:,} bytes, more than {most:,}", os.fspath(path))
    return content


def read_json(path: str | os.PathLike, most: int = MOST) -> object:
    """The value in a JSON file.

    Raises:
      OSError: see `read`.
      ValueError: it is not JSON, is nested too deeply, or has a number with thousands of digits.
    """
    try:
        value = json.loads(read(path, most))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level if isinstance(outer, (dict, list)) for inner in _values(outer)]
    if level:
        raise ValueError("nested too deeply")
    return value


def _values(container):
    return container.values() if isinstance(container, dict) else container


def write(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file: see `draft`."""
    with draft(path) as file:
        file.write(content)


@contextlib.contextmanager
def draft(path: str | os.PathLike) -> Iterator[typing.BinaryIO]:
    """A file to write; when the block ends it is on disk and renamed to `path`. After an error nothing is left.

    A link at `path` is replaced, not its target; of a file with several hard links only this name is replaced.

    Raises:
      OSError: it cannot be written.
      UserError: the directory was claimed and has been lost (`locks.check`).
    """
    path = Path(path)
    locks.check(path)
    name, descriptor = _locked_draft(path.parent, _create_file)
    with open(descriptor, "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            locks.check(path)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    sync_directory(path.parent)


def _locked_draft(parent, create):
    """(path, descriptor that holds its lock) of a new draft in `parent`.

    Until it is locked, `remove_drafts` of another process may remove it; then another one is made.

    Args:
      parent: a directory.
      create: function(path) that makes a file or directory; returns a descriptor, or None if it is gone already.
    """
    while True:
        # Without the final name, which may have 255 bytes already.
        path = parent / f".graph_resnet-{secrets.token_hex(8)}.draft"
        descriptor = create(path)
        if descriptor is None:
            continue
        try:
            ours = locks.try_lock(descriptor) and os.path.lexists(path)
        except OSError:  # the file system has no locks
            ours = True
        if ours:
            return path, descriptor
        os.close(descriptor)


def _create_file(path):
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o666)


def _create_directory(path):
    path.mkdir()  # not tempfile.mkdtemp, whose mode 0700 would exclude other users
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None


def sync(path: str | os.PathLike) -> None:
    """Waits until the bytes of a file are on disk."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: str | os.PathLike) -> None:
    """Waits until the names in a directory are on disk, if the system supports it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # the directory is writable but not readable, or the system cannot open directories
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


def remove_drafts(directory: str | os.PathLike) -> None:
    """Removes drafts that no process writes any more, because it was killed."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if DRAFT.fullmatch(entry.name) and not entry.is_symlink():
                with contextlib.suppress(OSError):  # another process may remove it too
                    _remove_if_left(entry.path)


def _remove_if_left(path):
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if locks.try_lock(descriptor):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def draft_directory(parent: str | os.PathLike) -> Iterator[Path]:
    """A directory in `parent` to write in; it is removed with its content when the block ends.

    Raises:
      OSError: it cannot be written.
      UserError: `parent` was claimed and has been lost.
    """
    locks.check(parent)
    path, descriptor = _locked_draft(Path(os.path.abspath(parent)), _create_directory)
    try:
        yield path
    finally:
        os.close(descriptor)
        shutil.rmtree(path, ignore_errors=True)


def publish(draft: Path, target: str | os.PathLike, last: str | None = None) -> None:
    """Moves the content of a `draft_directory` into another directory, once all of it is on disk.

    Args:
      draft: the directory.
      target: directory on the same file system.
      last: the name, or its ending, to move last, because the other files mean nothing without it.

    Raises:
      OSError: it cannot be written.
      UserError: `target` was claimed and has been lost.
    """
    _sync_tree(draft)
    locks.check(target)
    for name in sorted(os.listdir(draft), key=lambda name: (last is not None and name.endswith(last), name)):
        os.rename(draft / name, Path(target) / name)
    sync_directory(target)


@contextlib.contextmanager
def new_directory(target: str | os.PathLike, last: str | None = None) -> Iterator[Path]:
    """A directory to write in; it becomes `target`, which is missing or empty, when the block ends without an error.

    A missing `target` appears in one rename. In an empty one (a mount, a link to a directory, the working directory)
    the files appear one by one, `last` at the end.

    Raises:
      OSError: it cannot be written, or is not empty.
    """
    target = Path(os.path.abspath(target))
    exists = os.path.isdir(target)
    where = target if exists else target.parent
    where.mkdir(parents=True, exist_ok=True)
    remove_drafts(where)
    with draft_directory(where) as draft:
        yield draft
        if not exists:
            _sync_tree(draft)
            draft.rename(target)
            sync_directory(where)
        elif is_empty(target):
            publish(draft, target, last)
        else:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(target))


def is_empty(directory: str | os.PathLike) -> bool:
    """Whether a directory is empty, except for drafts and what a new file system contains."""
    return all(name == "lost+found" or DRAFT.fullmatch(name) for name in os.listdir(directory))


def _sync_tree(directory):
    for parent, _, names in os.walk(directory):
        for name in names:
            sync(os.path.join(parent, name))
        sync_directory(parent)
