"""Image files -> square uint8 arrays of one size. Uses Pillow, not TensorFlow.

The files are untrusted: only five formats are tried, a decompression bomb is an error, and any fault of a file gives
one line.
"""

import glob
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from graph_resnet.errors import UserError, reason

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp")  # of the files taken from a directory
NO_IMAGE = "not an image in PNG, JPEG, BMP, GIF or WebP"
MAX_PIXELS = Image.MAX_IMAGE_PIXELS
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
        return Expansion(_matching(argument), [], [])
    except OSError as error:  # a name that is too long, a directory without permission
        raise UserError(f"{argument}: {reason(error)}") from error
    except ValueError as error:  # its text differs between Python versions
        raise UserError(f"{argument}: a null character in the name") from error
    if stat.S_ISDIR(mode) or os.path.isdir(argument):
        return _below(argument)
    return Expansion([argument], [], [])


def _matching(pattern):
    """The files that match a glob."""
    files = [name for name in sorted(_glob(pattern)) if not os.path.isdir(name)]
    if not files:
        raise UserError(f"{pattern}: no such file" + (", nor any that matches" if glob.has_magic(pattern) else ""))
    return files


def _glob(pattern):
    """The paths that match a glob, as a set.

    `**` does not follow links, unlike that of `glob`: two links to a parent folder give more paths than can be listed.
    """
    match = re.search(r"(?:^|(?<=/))\*\*(/+\*\*)*(/+|$)", pattern)
    if match is None:
        return set(glob.glob(pattern))
    paths, rest = set(), pattern[match.end() :] or "*"
    for root in glob.glob(pattern[: match.start()]) if match.start() else [""]:
        for folder, subfolders, _ in os.walk(root or os.curdir):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            inner = folder if root else os.path.relpath(folder)
            paths |= _glob(os.path.join("" if inner == os.curdir else glob.escape(inner), rest))
    return paths


def _below(directory):
    """All image files in a directory and below, as an `Expansion`."""
    files, errors, skipped = [], [], Counter()

    def complain(error):
        errors.append(UserError(f"{error.filename}: cannot be read ({reason(error)}); its images are skipped"))

    for folder, subfolders, names in os.walk(directory, onerror=complain):
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
    except OSError as error:
        why = error.strerror or f"damaged ({error})"
    except Exception as error:  # a damaged file can make its decoder raise anything
        why = f"damaged ({error})" if str(error) else f"damaged ({type(error).__name__})"
    raise UserError(f"{shown}: {why}")


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
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
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
