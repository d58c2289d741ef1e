"""CIFAR archives: downloaded, checked and unpacked, with nothing trusted that comes in one.

directory = download(records.CIFAR10, cache / 'cifar-10-batches-bin')
"""

import contextlib
import glob
import gzip
import os
import secrets
import shutil
import socket
import sys
import tarfile
import time
import urllib.error
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from graph_resnet.data.records import NAMES_FILE_BYTES, OTHERWISE, DataError, check_file

DAY = 86_400  # seconds


def download(layout, target, *, timeout=60):
    """Downloads a dataset's archive, checks its sha256 and unpacks it into the directory `target`, returned.

    Args:
        layout: a `Layout`.
        target: the directory to make (in one rename, when all is there).
        timeout: seconds without a byte before it gives up.

    Raises:
        DataError: whatever went wrong; nothing of the attempt is left.
    """
    before = socket.getdefaulttimeout()  # urllib, beneath get_file, is given no timeout of its own
    with new_directory(target) as draft:
        import tensorflow as tf  # here, because nothing else in this module needs it

        archive = draft / layout.archive
        try:
            socket.setdefaulttimeout(timeout)
            # A redirect is followed to any host: bytes with the right sha256 are right, come whence they may.
            with contextlib.redirect_stdout(sys.stderr):  # the progress bar: stdout is for results
                tf.keras.utils.get_file(
                    archive.name,
                    layout.url,
                    cache_dir=str(draft),
                    cache_subdir=".",
                    file_hash=layout.sha256,
                    hash_algorithm="sha256",
                )
        except Exception as error:  # urllib, http, ssl, socket and get_file have dozens between them
            if isinstance(error.__context__, urllib.error.HTTPError):
                error.__context__.close()  # a 404's connection, which get_file leaves open
            reason = str(error).removeprefix(f"URL fetch failure on {layout.url}: ").removeprefix("None -- ")
            if archive.exists():  # get_file leaves it only if its hash is wrong
                reason = f"{archive.stat().st_size:,} bytes with a wrong sha256, not {layout.size:,}"
            raise DataError(f"{layout.url}: cannot be downloaded ({reason}); {OTHERWISE}") from error
        finally:
            socket.setdefaulttimeout(before)
        unpack(archive, layout, draft)
        archive.unlink()
    return Path(target)


class _Bounded:
    """Reads from a stream, at most `left` bytes in all, so that an archive cannot unpack without end."""

    def __init__(self, stream, left):
        self.stream, self.left = stream, left

    def read(self, size):
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError("it unpacks to more than the dataset")
        return data


def unpack(archive, layout, directory):
    """Copies the members of a .tar.gz that are a dataset's files, by base name, into `directory`.

    Nothing is extracted by path. A member counts only if it is a regular file with a path below the archive's
    own root; all others are passed over.
    """
    limits = dict.fromkeys(layout.files, layout.max_records * layout.record_bytes)
    limits.update((label.names_file, NAMES_FILE_BYTES) for label in layout.labels)
    try:
        progress = {"total": os.path.getsize(archive), "desc": f"unpacking {Path(archive).name}", "unit": "B"}
        with (
            open(archive, "rb") as file,
            tqdm.wrapattr(file, "read", **progress, leave=False, disable=None) as counted,
            gzip.open(counted) as stream,
        ):
            bounded = _Bounded(stream, sum(limits.values()) + (1 << 20))
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=1 << 20) as tar:  # r|: forward only
                for number, member in enumerate(tar):
                    if number == 100:
                        raise ValueError("it has more than 100 members")
                    path = PurePosixPath(member.name)
                    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
                    if not plain or path.is_absolute() or ".." in path.parts or path.name not in limits:
                        continue
                    part = member.size % layout.record_bytes if path.name in layout.files else 0
                    if part or not 0 < member.size <= limits[path.name]:
                        raise ValueError(f"{member.name} of {member.size:,} bytes is not {layout.title}'s")
                    with (directory / path.name).open("xb") as file:
                        shutil.copyfileobj(tar.extractfile(member), file, 1 << 20)
            while bounded.read(1 << 20):  # to the end, where gzip's checksum is
                pass
    except Exception as error:  # on bad input tarfile raises much beyond TarError
        raise DataError(f"{archive}: cannot be unpacked ({error}); replace it, or {OTHERWISE}") from error
    for name in layout.files:
        check_file(directory / name, layout, f"{archive}: {name}", f"replace the archive, or {OTHERWISE}")


@contextlib.contextmanager
def new_directory(target):
    """Yields a directory to write in, which becomes `target` in one rename when the block ends without error.

    Two processes may do this at once: the later finds the same files there already and drops its own.
    Whatever goes wrong, nothing half-written is left under the name `target`. What a killed process left under a hidden
    name is removed by the next one, a day later: until then somebody may still be writing it.

    Raises:
        DataError: the directory cannot be written, or `target` is there and holds something else.
    """
    target = Path(target)
    # Not tempfile.mkdtemp, whose mode 0700 would shut other users out of a shared directory.
    draft = target.parent / f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        for old in target.parent.glob(f".{glob.escape(target.name)}.*.*"):
            with contextlib.suppress(FileNotFoundError):  # another process may be at it too
                if time.time() - old.stat().st_mtime > DAY:
                    shutil.rmtree(old, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir() or _sizes(target) != _sizes(draft):
                raise
    except OSError as error:
        mend = "mend that, or choose another directory (the cache follows $XDG_CACHE_HOME)"
        raise DataError(f"{target}: cannot be written ({error.strerror or error}); {mend}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sizes(directory):
    return {path.name: path.stat().st_size for path in directory.iterdir()}


def cache_directory():
    """$XDG_CACHE_HOME/graph_resnet, by default ~/.cache/graph_resnet; it need not exist yet."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification: a relative path is to be ignored
        base = Path(os.path.expanduser("~")) / ".cache"
    return base / "graph_resnet"
