"""Files, the same way everywhere: read only if they are regular and within a bound, written whole or not at all.

    config = files.read_json(path)       # OSError or ValueError; a pipe, a device or a terabyte of zeros is an OSError
    files.write(path, page.encode())     # a reader, a kill -9 and a power cut see the old file or the new one
    with files.draft(path) as file:      # the same for whatever writes into a file object
        figure.savefig(file)
    with files.new_directory(target) as directory: ...

Writing follows no link and uses no name that anybody could foresee. What `locks.claim` has claimed is looked at before
each write. Names of drafts end the same way, so that `remove_drafts` finds what a kill has left.
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
import typing
from collections.abc import Iterator
from pathlib import Path

from graph_resnet import locks

MOST = 64 << 20  # bytes of a file that is read at once, unless said otherwise
DEEPEST = 50  # lists and objects in one another in JSON: what goes through them may call itself
DRAFT = re.compile(r"\.graph_resnet-[0-9a-f]{16}\.draft")
KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def path_flag(text: str) -> str:
    """A path of this machine out of a flag, for argparse: `~` is expanded, so that `--train_dir=~/x` works, too."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path; is a variable of the shell not set?")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        raise argparse.ArgumentTypeError(
            f"{text}: not a path of this machine; mount it or copy it, and pass the path here"
        )
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise argparse.ArgumentTypeError(f"{text}: no user of that name; if it is a file's name, pass ./{text}")
    return path


def open_regular(path: str | os.PathLike) -> typing.BinaryIO:
    """Opens a regular file to read its bytes; links are followed.

    Raises:
      OSError: it cannot be opened, or it is a pipe, device, socket or directory. None of those is waited for.
    """
    _check_regular(os.stat(path), path)  # before it is opened: that alone does something to some devices
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
      most: bytes.

    Raises:
      OSError: see `open_regular`; or it is larger than `most`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    size = max(size, len(content))
    if size > most:
        raise OSError(errno.EFBIG, f"{size:,} bytes, more than {most:,}", os.fspath(path))
    return content


def read_json(path: str | os.PathLike, most: int = MOST) -> object:
    """The value in a JSON file.

    Raises:
      OSError: see `read`.
      ValueError: it is not JSON, nested too deeply, or has a number of thousands of digits.
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
    """A file to write into; it becomes `path` when the block ends, on the disk by then. After an error nothing is left.

    A link at `path` is replaced, and not what it points to; so is one of several names of a file.

    Raises:
      OSError: it cannot be written.
      UserError: the directory was claimed and is lost (`locks.check`).
    """
    path = Path(path)
    locks.check(path)
    name = path.parent / _draft_name()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(name, flags, 0o666), "wb") as file:
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                locks.try_lock(file.fileno())
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


def _draft_name():
    return f".graph_resnet-{secrets.token_hex(8)}.draft"  # without the name it will have, which may be of 255 bytes


def sync(path: str | os.PathLike) -> None:
    """Returns when the bytes of a file are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: str | os.PathLike) -> None:
    """Returns when the names in a directory are on the disk, where the system can say so."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # one may write there, but not list it; or the system opens no directories
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


def remove_drafts(directory: str | os.PathLike) -> None:
    """Removes the drafts in a directory that nobody writes any more: a process was killed."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if DRAFT.fullmatch(entry.name) and not entry.is_symlink():
                with contextlib.suppress(OSError):  # another process may be at it, too
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
    """A directory in `parent` to write into; what is left in it at the end of the block is removed.

    Raises:
      OSError: it cannot be written.
      UserError: `parent` was claimed and is lost.
    """
    locks.check(parent)
    path = Path(os.path.abspath(parent)) / _draft_name()
    path.mkdir()  # not by tempfile.mkdtemp, whose mode 0700 would shut other users out
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            locks.try_lock(descriptor)
        yield path
    finally:
        os.close(descriptor)
        shutil.rmtree(path, ignore_errors=True)


def publish(draft: Path, target: str | os.PathLike, last: str | None = None) -> None:
    """Moves what is in a `draft_directory` into another, each name at once, when all of it is on the disk.

    Args:
      draft: the directory.
      target: where to, on the same file system.
      last: the name (or the end of it) that appears last there, without which the others are nothing.

    Raises:
      OSError: it cannot be written.
      UserError: `target` was claimed and is lost.
    """
    _sync_tree(draft)
    locks.check(target)
    for name in sorted(os.listdir(draft), key=lambda name: (last is not None and name.endswith(last), name)):
        os.rename(draft / name, Path(target) / name)
    sync_directory(target)


@contextlib.contextmanager
def new_directory(target: str | os.PathLike, last: str | None = None) -> Iterator[Path]:
    """A directory to write into; it becomes `target`, which is missing or empty, when the block ends without error.

    A missing one appears in one rename. In an empty one (a mount, a link to a directory, the working directory) the
    files appear one by one, `last` as the last.

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
    """Whether a directory holds nothing but drafts, and what a new file system comes with."""
    return all(name == "lost+found" or DRAFT.fullmatch(name) for name in os.listdir(directory))


def _sync_tree(directory):
    for parent, _, names in os.walk(directory):
        for name in names:
            sync(os.path.join(parent, name))
        sync_directory(parent)
