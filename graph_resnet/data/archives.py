"""Downloads, checks and unpacks CIFAR archives. Their content is treated as untrusted.

directory = download(layouts.CIFAR10, cache / 'cifar-10-batches-bin')
"""

import contextlib
import errno
import gzip
import http.client
import os
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from graph_resnet import files
from graph_resnet.data.layouts import NAMES_FILE_BYTES, OTHERWISE, PICKLE_BYTES, Layout
from graph_resnet.data.records import check_file, sha256
from graph_resnet.errors import UserError, reason

MOST_MEMBERS = 100


def download(layout: Layout, target: Path | str, *, timeout: float = 60) -> Path:
    """Downloads a dataset's archive, checks its sha256, unpacks it into the directory `target` and returns that.

    Args:
        layout: what to download.
        target: the directory to create (in one rename, when everything is there).
        timeout: seconds without a byte before it gives up.

    Raises:
        UserError: the download failed; nothing of it is left.
    """
    with new_directory(target) as draft:
        archive = draft / layout.archive
        _fetch(layout, archive, timeout)
        unpack(archive, layout, draft)
        archive.unlink()
        check_unpacked(draft, layout, layout.url)
    return Path(target)


def _fetch(layout, archive, timeout):
    """Downloads a dataset's archive to the file `archive`. Redirects to other hosts are fine: the sha256 is checked."""
    print(f"Downloading {layout.url}, {layout.size:,} bytes", file=sys.stderr)
    try:
        with (
            urllib.request.urlopen(layout.url, timeout=timeout) as answer,
            open(archive, "wb") as file,
            tqdm.wrapattr(file, "write", total=layout.size, unit="B", leave=False, disable=None) as counted,
        ):
            bounded = _Bounded(answer, layout.size, "it is longer than the dataset's archive")
            shutil.copyfileobj(bounded, counted)
    except urllib.error.HTTPError as error:
        error.close()
        raise _not_downloaded(layout, f"{error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        _pass_on(error)
        cause = getattr(error, "reason", error)  # the reason of a URLError
        why = reason(cause if isinstance(cause, Exception) else error)
        raise _not_downloaded(layout, why) from error
    if sha256(archive) != layout.sha256:
        raise _not_downloaded(layout, f"{archive.stat().st_size:,} bytes with a wrong sha256, not {layout.size:,}")


def _pass_on(error):
    """Raises an error of the disk that is written to: it is no fault of the archive or the network."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
        raise error


def _not_downloaded(layout, why):
    return UserError(f"{layout.url}: cannot be downloaded ({why}); {OTHERWISE}")


class _Bounded:
    """Reads at most `left` bytes from a stream, so that no download or archive is endless."""

    def __init__(self, stream, left, refusal="it unpacks to more than the dataset"):
        self.stream, self.left, self.refusal = stream, left, refusal

    def read(self, size):
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError(self.refusal)
        return data


def unpack(archive: Path, layout: Layout, directory: Path) -> set[str]:
    """Copies a dataset's files from a .tar.gz, by base name, into `directory`.

    These are its record files, its pickles and the files of class names. Member paths are never used to write. Only a
    regular file inside the archive's root counts; other members are skipped.

    Returns:
        The base names of all members that are regular files.

    Raises:
        UserError: the archive cannot be read to its end, or holds a file of a wrong size.
    """
    limits = _limits(layout)
    names = set()
    try:
        progress = {"total": os.path.getsize(archive), "desc": f"unpacking {archive.name}", "unit": "B"}
        with (
            open(archive, "rb") as file,
            tqdm.wrapattr(file, "read", **progress, leave=False, disable=None) as counted,
            gzip.open(counted) as stream,
        ):
            # The pickled version also holds a file name per record; Python 3 writes a byte as up to two in protocol 2.
            most = 2 * len(layout.files) * layout.max_records * (layout.record_bytes + 200) + (1 << 20)
            bounded = _Bounded(stream, most)
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=1 << 20) as tar:  # r|: forward only
                for number, member in enumerate(tar):
                    if number == MOST_MEMBERS:
                        raise ValueError(f"it has more than {MOST_MEMBERS} members")
                    if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse():
                        names.add(_copy(tar, member, layout, limits, directory))
            while bounded.read(1 << 20):  # to the end, where gzip's checksum is
                pass
    except Exception as error:  # on bad input tarfile raises much more than TarError
        _pass_on(error)
        raise UserError(f"{archive}: cannot be unpacked ({reason(error)}); replace it, or {OTHERWISE}") from error
    return names


def _limits(layout):
    """The maximum size in bytes of each file of a dataset, by name."""
    limits = dict.fromkeys(layout.files, layout.max_records * layout.record_bytes)
    limits |= dict.fromkeys(layout.pickles, PICKLE_BYTES)
    limits |= {label.names_file: NAMES_FILE_BYTES for label in layout.labels}
    return limits


def _copy(tar, member, layout, limits, directory):
    """Writes one member into `directory` if it is one of the dataset's files, and returns its base name."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or path.name not in limits:
        return path.name
    part = member.size % layout.record_bytes if path.name in layout.files else 0
    if part or not 0 < member.size <= limits[path.name]:
        raise ValueError(f"{path.name} of {member.size:,} bytes is not {layout.title}'s")
    if (directory / path.name).exists():
        raise ValueError(f"it holds {path.name} twice")
    with (directory / path.name).open("xb") as file:
        shutil.copyfileobj(tar.extractfile(member), file, 1 << 20)
    return path.name


def check_unpacked(directory: Path, layout: Layout, whose: object) -> None:
    """Checks the record files unpacked from an archive.

    Raises:
        UserError: names the archive (`whose`), the file and what is wrong with it.
    """
    for name in layout.files:
        check_file(Path(directory) / name, layout.format, f"{whose}: {name}", f"replace the archive, or {OTHERWISE}")


@contextlib.contextmanager
def new_directory(target: Path | str) -> Iterator[Path]:
    """Yields a temporary directory, renamed to `target` when the block ends without an error.

    Two processes may do this at once: the second finds the same files and drops its own. Nothing half-written is ever
    visible under the name `target`.

    Raises:
        UserError: the directory cannot be written, or `target` exists with other content.
    """
    sizes = None
    try:
        with files.new_directory(target) as draft:
            yield draft
            sizes = _sizes(draft)
    except OSError as error:
        if sizes is not None and os.path.isdir(target) and _sizes(target) == sizes:
            return
        fix = "make it writable, or choose another directory (the cache follows $XDG_CACHE_HOME)"
        raise UserError(f"{target}: cannot be written ({reason(error)}); {fix}") from error


def _sizes(directory):
    return {path.name: path.stat().st_size for path in Path(directory).iterdir()}


def cache_directory() -> Path:
    """$XDG_CACHE_HOME/graph_resnet, by default ~/.cache/graph_resnet; it may not exist yet."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification says to ignore a relative path
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            raise UserError("no home directory for the cache; set XDG_CACHE_HOME")
        base = Path(home) / ".cache"
    return base / "graph_resnet"
