"""Locks a directory for one writing process, and detects if it is removed, moved or replaced.

    with locks.claim(directory, "train dir"):
        locks.check(path)        # raises UserError if the directory was removed, moved or replaced

`files.write` checks by itself. Other code that writes (TensorFlow, an open log) calls `check` before each write.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

from graph_resnet.errors import UserError

LOCK = "lock"
OURS = re.compile(rb"\d+\n?")  # its content: the number of the process

_claims: dict[str, Claim] = {}  # the claims of this process, by absolute path


def try_lock(descriptor: int) -> bool:
    """Locks an open file or directory until it is closed; False if another process holds the lock.

    Raises:
      OSError: the file system does not support locks.
    """
    import fcntl  # here, so that systems without it can import this module

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def was_claimed(directory: str | os.PathLike) -> bool:
    """Whether a directory holds the lock of a `claim`, of this process or another, past or present."""
    try:
        descriptor = os.open(os.path.join(directory, LOCK), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and bool(OURS.fullmatch(os.read(descriptor, 32)))
    finally:
        os.close(descriptor)


class Claim:
    """A locked directory. As a context manager, it unlocks the directory when the block ends."""

    def __init__(self, directory: str | os.PathLike, what: str):
        self.directory, self._shown = os.path.abspath(directory), f"{what} {directory}"
        self._descriptors = []

    def _acquire(self):
        lock = os.path.join(self.directory, LOCK)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        while not self._descriptors:
            if os.path.lexists(lock) and not stat.S_ISREG(os.lstat(lock).st_mode):
                raise UserError(f"{self._shown}: {LOCK} is not a regular file; remove it")
            descriptor = os.open(lock, flags, 0o666)
            try:
                before = os.read(descriptor, 32)
                if not try_lock(descriptor):
                    owner = before.decode(errors="replace").strip() or "unknown"
                    raise UserError(f"{self._shown}: process {owner} trains into it; wait, or pass another --train-dir")
                if before and not OURS.fullmatch(before):
                    raise UserError(f"{self._shown}: {LOCK} was not written by this program; move it away")
                if os.fstat(descriptor).st_nlink > 1:  # writing to it would change its other hard links too
                    os.unlink(lock)
                elif _same(descriptor, lock, False):  # else it was removed between open and lock
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
                    self._descriptors.append(descriptor)
            finally:
                if not self._descriptors:
                    os.close(descriptor)
        with contextlib.suppress(OSError):  # kept open so that a new directory cannot get the same inode number
            self._descriptors.append(os.open(self.directory, os.O_RDONLY))

    def check(self) -> None:
        """Raises a `UserError` if the path no longer leads to the claimed directory and lock."""
        lock = os.path.join(self.directory, LOCK)
        if not os.path.isdir(self.directory):
            what = "is gone: it was removed or moved"
        elif not all(map(_same, self._descriptors, (lock, self.directory), (False, True))):
            what = f"is not this run's any more: it, or its {LOCK}, was removed or replaced"
        else:
            return
        raise UserError(f"{self._shown}: {what} while this process wrote into it; nothing more is written there")

    def close(self) -> None:
        """Unlocks the directory."""
        if _claims.get(self.directory) is self:
            del _claims[self.directory]
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _same(descriptor, path, follow_links):
    """Whether `path` names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=follow_links))
    except OSError:
        return False


def claim(directory: str | os.PathLike, what: str = "train dir") -> contextlib.AbstractContextManager:
    """Creates a directory if it is missing, and locks it; does nothing if this process holds it already.

    Args:
      directory: its path.
      what: its name in errors.

    Returns:
      A `Claim`; closing it, or the end of the process, unlocks the directory.

    Raises:
      UserError: it is a file, cannot be written, or another process (named by its id) trains into it.
    """
    path = os.path.abspath(directory)
    if path in _claims:
        return contextlib.nullcontext(_claims[path])
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        new = Claim(directory, what)
        new._acquire()
    except FileExistsError:
        kind = "is a broken link" if os.path.islink(directory) else "is a file"
        raise UserError(f"{what} {directory}: {kind}; pass a directory as --train-dir") from None
    except OSError as error:
        raise UserError(
            f"{what} {directory}: cannot be written ({error.strerror}); fix that, or pass another --train-dir"
        ) from None
    _claims[path] = new
    return new


def check(path: str | os.PathLike) -> None:
    """Call before each write: raises a `UserError` if `path` is in a directory that this process has lost."""
    path = os.path.abspath(path)
    for claim in list(_claims.values()):
        if path == claim.directory or path.startswith(os.path.join(claim.directory, "")):
            claim.check()
