"""CIFAR record files: found, checked and described.

CIFAR-10 is six files of 3,073-byte records (one label byte, then 32x32 pixels as three planes: red, green,
blue); CIFAR-100 is two files of 3,074-byte records (coarse label, fine label, pixels): see
https://www.cs.toronto.edu/~kriz/cifar.html. The synthetic pictures of `utils.synthetic` have the same layout,
so that everything after this module is one path. Typical use:

    records = cifar_files.find("cifar10", data_dir)  # a DataError is one line that the user can act on
    print(records.title, records.num_train, records.train)
"""

import contextlib
import gzip
import hashlib
import os
import secrets
import shutil
import socket
import stat
import sys
import tarfile
import urllib.error
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from utils.errors import UserError

SIDE = 32
PIXEL_BYTES = SIDE * SIDE * 3
NAMES_FILE_BYTES = 65536  # the most that is read of a file of class names
OTHERWISE = "pass --data-dir DIR with the files, or --dataset synthetic"

CIFAR10_NAMES = tuple(str.split("airplane automobile bird cat deer dog frog horse ship truck"))
CIFAR100_COARSE_NAMES = tuple(
    str.split("""
    aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
    household_furniture insects large_carnivores large_man-made_outdoor_things
    large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates
    people reptiles small_mammals trees vehicles_1 vehicles_2
    """)
)
CIFAR100_FINE_NAMES = tuple(
    str.split("""
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
    can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter
    palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
    rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower
    sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
    """)
)


class DataError(UserError):
    """Data that cannot be used: one line that names the file, directory or value at fault, and the mend."""

    def __init__(self, message):
        # A file name, or a name inside a hostile file, may hold line breaks and terminal codes.
        super().__init__("".join(each if each.isprintable() else "?" for each in message))


@dataclass(frozen=True)
class Label:
    """A label byte of a record: its kind, the file and official names of its classes, its key in a pickle."""

    kind: str
    names_file: str
    names: tuple
    pickle_key: str


@dataclass(frozen=True)
class Layout:
    """The official files of a dataset, its label bytes in record order, and where it comes from.

    `max_records` is the most that a file holds; `size` (bytes) and `sha256` are of the archive at `url`.
    """

    title: str
    folder: str
    train: tuple
    test: tuple
    labels: tuple
    max_records: int
    url: str
    size: int
    sha256: str
    pickle_folder: str
    pickle_meta: str

    @property
    def record_bytes(self):
        return len(self.labels) + PIXEL_BYTES

    @property
    def files(self):
        return self.train + self.test

    @property
    def archive(self):
        return self.url.rpartition("/")[2]


CIFAR10 = Layout(
    title="CIFAR-10",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test=("test_batch.bin",),
    labels=(Label("fine", "batches.meta.txt", CIFAR10_NAMES, "labels"),),
    max_records=10_000,
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    pickle_folder="cifar-10-batches-py",
    pickle_meta="batches.meta",
)
CIFAR100 = Layout(
    title="CIFAR-100",
    folder="cifar-100-binary",
    train=("train.bin",),
    test=("test.bin",),
    labels=(
        Label("coarse", "coarse_label_names.txt", CIFAR100_COARSE_NAMES, "coarse_labels"),
        Label("fine", "fine_label_names.txt", CIFAR100_FINE_NAMES, "fine_labels"),
    ),
    max_records=50_000,
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    size=168_513_733,
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    pickle_folder="cifar-100-python",
    pickle_meta="meta",
)
LAYOUTS = {"cifar10": CIFAR10, "cifar100": CIFAR100, "synthetic": CIFAR10, "synthetic100": CIFAR100}


@dataclass(frozen=True)
class Records:
    """Checked record files: each record is `label_bytes` labels, then uint8 pixels [3, side, side].

    Attributes:
        dataset: "cifar10", "cifar100", "synthetic", "synthetic100", or "pictures" (`utils.picture_folders`).
        train, test: tuples of pathlib.Path, in record order.
        side: height and width of a picture, in pixels.
        label_bytes: 1, or 2 (coarse, fine) with 100 classes.
        label_offset: which of the label bytes is the class.
        class_names: tuple of str, by class number.
        num_train, num_test: records in all of `train` and in all of `test`.
        directory: pathlib.Path of the folders that "pictures" were made from.
    """

    dataset: str
    train: tuple
    test: tuple
    side: int
    label_bytes: int
    label_offset: int
    class_names: tuple
    num_train: int
    num_test: int
    directory: Path | None = None

    @property
    def num_classes(self):
        return len(self.class_names)

    @property
    def record_bytes(self):
        return self.label_bytes + 3 * self.side * self.side

    @property
    def label(self):
        """'fine' or 'coarse'."""
        return "fine" if self.dataset == "pictures" else LAYOUTS[self.dataset].labels[self.label_offset].kind

    @property
    def title(self):
        """What to show beside a result, such as "CIFAR-100 (20 superclasses)" or "synthetic (10 classes)"."""
        count = f" ({self.num_classes} {'superclasses' if self.label == 'coarse' else 'classes'})"
        if _is_synthetic(self.dataset):
            return "synthetic" + count
        if self.dataset == "pictures":
            return f"pictures in {self.directory.name}" + count
        return LAYOUTS[self.dataset].title + (count if self.label == "coarse" else "")


def find(dataset="cifar10", data_dir=None, *, label="fine"):
    """Finds the record files of a dataset, checks them whole (sizes, every label) and returns `Records`.

    Looks in `data_dir` and nowhere else if it is given; otherwise in $CIFAR_DATA_DIR, then in the cache
    directory, and then downloads into the cache. A directory may hold the record files, the archive's folder,
    the archive, or CIFAR's pickled Python version; the last two are copied into the cache as record files.
    The synthetic pictures are drawn once, into `data_dir` or the cache.

    Args:
        dataset: a key of `LAYOUTS`.
        data_dir: str or path, or None.
        label: "fine", or "coarse" for the 20 superclasses of a dataset with 100 classes.

    Raises:
        DataError: no usable files, or a damaged one; the message is one line.
    """
    if dataset not in LAYOUTS:
        raise DataError(f"dataset {dataset!r}: choose one of {', '.join(LAYOUTS)}")
    layout = LAYOUTS[dataset]
    kinds = [each.kind for each in layout.labels]
    if label not in kinds:
        raise DataError(f"label {label!r}: {dataset} has only {' and '.join(kinds)} labels")
    directory = _locate_synthetic(dataset, data_dir) if _is_synthetic(dataset) else _locate(dataset, data_dir)
    # What this project wrote is made anew when it is gone; the user's own files are the user's.
    ours = _is_synthetic(dataset) or cache_directory() in directory.parents
    mend = f"delete {directory} and run again" if ours else f"put the right file there, or {OTHERWISE}"
    counts = {name: _check_file(directory / name, layout, directory / name, mend) for name in layout.files}
    return Records(
        dataset=dataset,
        train=tuple(directory / name for name in layout.train),
        test=tuple(directory / name for name in layout.test),
        side=SIDE,
        label_bytes=len(layout.labels),
        label_offset=kinds.index(label),
        class_names=_class_names(directory, layout.labels[kinds.index(label)], dataset),
        num_train=sum(counts[name] for name in layout.train),
        num_test=sum(counts[name] for name in layout.test),
    )


def cache_directory():
    """$XDG_CACHE_HOME/graph_resnet, by default ~/.cache/graph_resnet; it need not exist yet."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification: a relative path is to be ignored
        base = Path(os.path.expanduser("~")) / ".cache"
    return base / "graph_resnet"


def _is_synthetic(dataset):
    return dataset.startswith("synthetic")


def _locate_synthetic(dataset, data_dir):
    from utils import synthetic  # here, because it imports this module

    base = cache_directory() if data_dir is None else _path(data_dir)
    directory = base / f"{dataset}-{synthetic.VERSION}"
    if not os.path.exists(directory):
        synthetic.write(directory, num_classes=len(LAYOUTS[dataset].labels[-1].names))
    return directory


def _locate(dataset, data_dir):
    """The directory of a dataset's record files: found, unpacked, converted or downloaded."""
    layout = LAYOUTS[dataset]
    if data_dir is not None:
        directory = _path(data_dir)
        found = _search(directory, "data_dir", layout)
        if found is None:
            other = "cifar100" if dataset == "cifar10" else "cifar10"
            is_other = _record_folder(directory, LAYOUTS[other])
            mend = f"it holds {LAYOUTS[other].title}: pass --dataset {other}" if is_other else OTHERWISE
            forms = f"{layout.folder}, {layout.archive} or {layout.pickle_folder}"
            raise DataError(f"data_dir {directory}: holds no {layout.title} ({forms}); {mend}")
        return found
    if os.environ.get("CIFAR_DATA_DIR"):
        found = _search(_path(os.environ["CIFAR_DATA_DIR"]), "$CIFAR_DATA_DIR", layout)
        if found is not None:
            return found
    cache = cache_directory()
    found = _search(cache, "cache directory", layout) if os.path.exists(cache) else None
    return found or download(layout, cache / layout.folder)


def _path(directory):
    return Path(os.path.expanduser(directory))  # Path.expanduser raises for an unknown user


def _search(directory, what, layout):
    """The directory of the record files held in any form by `directory` (`what`, in an error), or None."""
    # os.path throughout: Path.exists, is_dir and is_file raise where they may not look.
    if not os.path.exists(directory):
        raise DataError(f"{what} {directory}: no such directory; {OTHERWISE}")
    if not os.path.isdir(directory):
        raise DataError(f"{what} {directory}: this is a file; pass the directory that holds it")
    for place in (directory, directory / layout.folder, directory / layout.pickle_folder):
        if os.path.isdir(place) and not os.access(place, os.R_OK | os.X_OK):
            raise DataError(f"{what} {place}: cannot be read; change its permissions")
    folder = _record_folder(directory, layout)
    if folder and all(os.path.isfile(folder / name) for name in layout.files):
        return folder
    archive = directory / layout.archive
    if os.path.isfile(archive):
        target = cache_directory() / f"{layout.folder}-{sha256(archive)[:16]}"
        if not os.path.exists(target):
            with new_directory(target) as draft:
                _unpack(archive, layout, draft)
        return target
    for pickles in (directory / layout.pickle_folder, directory):
        if all(os.path.isfile(pickles / Path(name).stem) for name in layout.files):
            from utils import cifar_pickle  # here, because it imports this module

            return cifar_pickle.convert(pickles, layout, cache_directory())
    return folder  # some of the files: the check will name the first that is missing


def _record_folder(directory, layout):
    """`directory` or the archive's folder in it, whichever holds more record files; None without any."""
    folders = (directory, directory / layout.folder)
    held = [sum(os.path.lexists(folder / name) for name in layout.files) for folder in folders]
    return folders[held.index(max(held))] if any(held) else None


def _check_file(path, layout, shown, mend):
    """The number of records of one file, after a look at its size and every label.

    An error calls the file `shown` and ends with `mend`.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{shown}: not a regular file; {mend}")
        if status.st_size == 0:
            raise DataError(f"{shown}: empty; {mend}")
        count, over = divmod(status.st_size, layout.record_bytes)
        other = CIFAR100 if len(layout.labels) == 1 else CIFAR10
        if over and status.st_size % other.record_bytes == 0:
            raise DataError(f"{shown}: holds {other.title} records, not {layout.title}; {mend}")
        if over:
            whole = f"{count:,} records of {layout.record_bytes:,} bytes"
            raise DataError(f"{shown}: cut off or damaged, {over:,} bytes over {whole}; {mend}")
        records = np.memmap(path, np.uint8, mode="r", shape=(count, layout.record_bytes))
        for offset, label in enumerate(layout.labels):
            labels = np.array(records[:, offset])
            wrong = np.flatnonzero(labels >= len(label.names))
            if wrong.size:
                what = f"record {wrong[0]} has {label.kind} label {labels[wrong[0]]}"
                raise DataError(f"{shown}: {what}, the largest is {len(label.names) - 1}; {mend}")
    except FileNotFoundError as error:
        raise DataError(f"{shown}: missing; {mend}") from error
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror or error}); {mend}") from error
    return count


def _class_names(directory, label, dataset):
    """The class names of the file beside the records, or the usual ones if there is none."""
    from utils import synthetic  # here, because it imports this module

    drawn = synthetic.CLASS_NAMES[len(label.names)]
    path = directory / label.names_file
    try:
        with path.open("rb") as file:
            text = file.read(NAMES_FILE_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return drawn if _is_synthetic(dataset) else label.names
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); mend that, or delete it") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != len(label.names):
        raise DataError(f"{path}: {len(names)} class names, not {len(label.names)}; mend it, or delete it")
    if names == drawn and not _is_synthetic(dataset):
        raise DataError(f"{path}: drawn pictures, not {LAYOUTS[dataset].title}; pass --dataset synthetic")
    return names


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
        _unpack(archive, layout, draft)
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


def _unpack(archive, layout, directory):
    """Copies the members of a .tar.gz that are a dataset's files, by base name, into `directory`.

    Nothing is extracted by path. A member counts only if it is a regular file with a path below the archive's
    own root; all others are passed over.
    """
    limits = dict.fromkeys(layout.files, layout.max_records * layout.record_bytes)
    limits.update((label.names_file, NAMES_FILE_BYTES) for label in layout.labels)
    try:
        with gzip.open(archive) as stream:
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
        _check_file(directory / name, layout, f"{archive}: {name}", f"replace the archive, or {OTHERWISE}")


@contextlib.contextmanager
def new_directory(target):
    """Yields a directory to write in, which becomes `target` in one rename when the block ends without error.

    Two processes may do this at once: the later finds the same files there already and drops its own.
    Whatever goes wrong, nothing half-written is left under the name `target`.

    Raises:
        DataError: the directory cannot be written, or `target` is there and holds something else.
    """
    target = Path(target)
    # Not tempfile.mkdtemp, whose mode 0700 would shut other users out of a shared directory.
    draft = target.parent / f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
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


def sha256(*paths):
    """The sha256 of the bytes of all files, one after another, as a hex string.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); change its permissions") from error
    return digest.hexdigest()


def describe(records):
    """A dict for a config.json by which `same_data` tells whether a later run has the same data, wherever it is."""
    files = []
    for path in records.train + records.test:
        digest, size = sha256(path), path.stat().st_size
        count = size // records.record_bytes
        files.append({"name": path.name, "bytes": size, "records": count, "sha256": digest})
    about = {"dataset": records.dataset, "label": records.label, "num_classes": records.num_classes}
    if records.directory:
        about["directory"] = str(records.directory)
    return {**about, "files": files}


def same_data(old, new):
    """None if two results of `describe` are of the same data, else a phrase for the first difference."""
    for key in ("dataset", "label", "num_classes"):
        if old.get(key) != new.get(key):
            return f"{key} was {old.get(key)!r}, is {new.get(key)!r}"
    before, after = ({file["name"]: file for file in each.get("files", ())} for each in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            return f"file {name} is {'new' if name in after else 'gone'}"
        for key in ("bytes", "records", "sha256"):
            if before[name].get(key) != after[name].get(key):
                return f"{key} of {name} was {before[name].get(key)}, is {after[name].get(key)}"
    return None
