"""Image files -> square uint8 arrays of one size. Uses Pillow, not TensorFlow.

The files are untrusted: only five formats are tried, a decompression bomb is an error, and any fault of a file gives
one line.
"""

import contextlib
import glob
import os
import re
import stat
import threading
import types
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from graph_resnet.errors import UserError, reason

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp")  # of the files taken from a directory
NO_IMAGE = "not an image in PNG, JPEG, BMP, GIF or WebP"
MAX_PIXELS = 89_478_485  # Pillow's default; the caller may have changed Image.MAX_IMAGE_PIXELS
MAX_BYTES = 4 * MAX_PIXELS  # an uncompressed image of that many pixels: 358 MB
# Files and folders that operating systems create, in addition to names that start with a dot.
SYSTEM_NAMES = frozenset(
    ("__macosx", "@eadir", "lost+found", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini")
)
SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes
TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class NotReadError(UserError):
    """The system could not read the file now; the image may be fine."""


class Expansion(NamedTuple):
    """The files that a command line argument means.

    Attributes:
        files: paths, in order.
        errors: one for each folder that could not be read.
        notes: one line that counts the skipped files, or none.
    """

    files: list[str]
    errors: list[UserError]
    notes: list[str]


def expand(argument: str) -> Expansion:
    """The files that a command line argument means: a file, a directory and everything below it, or a glob.

    Raises:
        UserError: there are none.
    """
    if not argument:
        raise UserError("an empty file name: is a variable unset? pass an image, a directory or a pattern")
    try:
        mode = os.lstat(argument).st_mode  # a broken link counts as a file: `load` reports it
    except (FileNotFoundError, NotADirectoryError):
        home = os.path.expanduser(argument)  # of a quoted '~/photos/*.jpg'
        return _matching(argument) if home == argument else expand(home)
    except OSError as error:  # a name that is too long, a directory without permission
        raise UserError(f"{argument}: {reason(error)}") from error
    except ValueError as error:  # its text differs between Python versions
        raise UserError(f"{argument}: a null character in the name") from error
    if stat.S_ISDIR(mode) or os.path.isdir(argument):
        return _below(argument)
    return Expansion([argument], [], [])


def _matching(pattern):
    """The files that match a glob, as an `Expansion`."""
    errors = []
    found = sorted(_glob(pattern, errors))
    files = [name for name in found if not os.path.isdir(name)]
    if not files and not errors:
        if found:
            raise UserError(f"{pattern}: matches only folders; pass them without a pattern, such as {found[0]}")
        raise UserError(f"{pattern}: no such file" + (", nor any that matches" if glob.has_magic(pattern) else ""))
    return Expansion(files, errors, [])


def _not_listed(error):
    """The line about a folder that `os.walk` cannot list."""
    return UserError(f"{error.filename}: cannot be read ({reason(error)}); its images are skipped")


def _glob(pattern, errors):
    """The paths that match a glob, as a set; appends a line to `errors` for each folder that cannot be listed.

    `**` does not follow links, unlike that of `glob`: two links to a parent folder give more paths than can be listed.
    """
    match = re.search(r"(?:^|(?<=/))\*\*(/+\*\*)*(/+|$)", pattern)
    if match is None:
        return set(glob.glob(pattern))
    paths, rest = set(), pattern[match.end() :] or "*"
    for root in glob.glob(pattern[: match.start()]) if match.start() else [""]:
        for folder, subfolders, _ in os.walk(root or os.curdir, onerror=lambda e: errors.append(_not_listed(e))):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            inner = folder if root else os.path.relpath(folder)
            paths |= _glob(os.path.join("" if inner == os.curdir else glob.escape(inner), rest), errors)
    return paths


def _below(directory):
    """All image files in a directory and below, as an `Expansion`."""
    files, errors, skipped = [], [], Counter()
    for folder, subfolders, names in os.walk(directory, onerror=lambda e: errors.append(_not_listed(e))):
        subfolders[:] = sorted(filter(is_shown, subfolders))
        for name in subfolders:
            path = os.path.join(folder, name)
            if os.path.islink(path):  # os.walk does not follow it: it may lead to a parent folder
                errors.append(UserError(f"{path}: a link to a folder, not followed; pass it by name to read it"))
        for name in filter(is_shown, names):
            if has_image_ending(name):
                files.append(str(Path(folder, name)))
            else:
                skipped[ending(name)] += 1
    notes = [f"{directory}: skipped {counted(skipped)}"] if skipped else []
    if not files and not errors:
        raise UserError(
            f"{directory}: no {', '.join(ENDINGS)} file in this directory"
            + "".join(f"; it has {counted(skipped)}" for _ in notes)
        )
    return Expansion(sorted(files), errors, notes)


def is_shown(name: str) -> bool:
    """Whether a file or folder is the user's: not hidden, and not created by the operating system."""
    return not name.startswith(".") and name.casefold() not in SYSTEM_NAMES


def has_image_ending(name: str) -> bool:
    """Whether a file name has an image's ending, in any case."""
    return os.path.splitext(name)[1].lower() in ENDINGS


def ending(name: str) -> str:
    """A file name's ending in lower case, "other" without one."""
    return os.path.splitext(name)[1].lower()[:20] or "other"


def counted(kinds: Counter) -> str:
    """Such as '12 .heic files, 1 .txt file': most frequent first, at most six kinds."""
    listed = [f"{count:,} {kind} file{'s' if count > 1 else ''}" for kind, count in kinds.most_common(6)]
    rest = sum(kinds.values()) - sum(count for _, count in kinds.most_common(6))
    return ", ".join(listed) + (f" and {rest:,} more" if rest else "")


def load(path: str | Path, side: int, *, shown: str | None = None) -> np.ndarray:
    """The centre of an image, in the form of a training record.

    The largest centred square, upright (EXIF orientation), the first frame, transparency on white, 16 bits cut to 8,
    as RGB. A larger square is shrunk by averaging ("box"): no other filter was better in P. Chrabaszcz, I. Loshchilov,
    F. Hutter: A downsampled variant of ImageNet, arXiv:1707.08819, 2017. A smaller one is enlarged bilinearly; one of
    exactly that size is not resampled.

    Args:
        path: of a PNG, JPEG, BMP, GIF or WebP file.
        side: pixels.
        shown: name of the file in errors, default `path`.

    Returns:
        uint8 [side, side, 3].

    Raises:
        UserError: one line that names the file and says why it cannot be used.
        NotReadError: the same, for a reason that is not the file's own.
    """
    shown = path if shown is None else shown
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{shown}: not a regular file")
        if status.st_size > MAX_BYTES:
            raise UserError(f"{shown}: {status.st_size:,} bytes, more than {MAX_BYTES:,}")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:  # Pillow only warns, up to twice that
                raise Image.DecompressionBombError
            return _square(image, side)
    except UserError:
        raise
    except UnidentifiedImageError:
        why = "empty" if status.st_size == 0 else NO_IMAGE
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        why = f"more than {MAX_PIXELS:,} pixels"
    except MemoryError:
        raise NotReadError(f"{shown}: not enough memory to read it") from None
    except OSError as error:
        if error.strerror:  # Pillow's own have none
            raise NotReadError(f"{shown}: {error.strerror}") from error
        why = f"damaged ({error})"
    except Exception as error:  # a damaged file can make its decoder raise anything
        why = f"damaged ({error})" if str(error) else f"damaged ({type(error).__name__})"
    raise UserError(f"{shown}: {why}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences warnings inside the block, because a damaged file is an error here. For several threads at once.

    `warnings.catch_warnings` alone is for one thread: of two, the last one out would restore the silence of the other.
    """
    with _quiet.lock:
        if not _quiet.users:
            _quiet.before = warnings.catch_warnings()
            _quiet.before.__enter__()
            warnings.simplefilter("ignore")
        _quiet.users += 1
    try:
        yield
    finally:
        with _quiet.lock:
            _quiet.users -= 1
            if not _quiet.users:
                _quiet.before.__exit__(None, None, None)


_quiet = types.SimpleNamespace(lock=threading.Lock(), users=0, before=None)


def from_image(image: Image.Image, side: int) -> np.ndarray:
    """The same as `load`, from a PIL image, which is not changed.

    Raises:
      UserError: its pixels cannot be decoded.
    """
    try:
        return _square(image.copy(), side)
    except Exception as error:  # a damaged file can make its decoder raise anything
        raise UserError(f"image {image!r:.100}: damaged ({error or type(error).__name__})") from error


def _square(image, side):
    image.draft(None, (4 * side, 4 * side))  # decodes a large JPEG at a fraction of its size: much faster
    width, height = image.size
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    square = _rgb(image.crop((left, top, left + edge, top + edge)))
    if edge != side:
        square = square.resize((side, side), Image.Resampling.BOX if edge > side else Image.Resampling.BILINEAR)
    turn = _turn(image)
    return np.asarray(square if turn is None else square.transpose(turn))


def _rgb(image):
    """Any mode -> RGB."""
    if image.mode in SIXTEEN_BITS:  # Pillow's own conversion clips at 255
        values, transparent = np.asarray(image), image.info.get("transparency")
        pixels = (values.clip(0, 65535) >> 8).astype(np.uint8)
        if isinstance(transparent, int):
            pixels[values == transparent] = 255
        image = Image.fromarray(pixels)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _turn(image):
    """The `Image.Transpose` that makes an image upright, or None."""
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # damaged EXIF data: the pixels are fine
        return None
