"""Picture files of any kind -> square uint8 arrays of one size. Pillow, and nothing of TensorFlow.

The files may come from anywhere: only the four formats are tried, a decompression bomb is an error, and whatever is
wrong with one file is one line about it.
"""

import glob
import os
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from graph_resnet.errors import UserError

FORMATS = ("PNG", "JPEG", "BMP", "GIF")
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")  # of the files that are taken from a directory
MAX_PIXELS = Image.MAX_IMAGE_PIXELS
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


def expand(argument):
    """The files that a word of the command line means, in order: a file, a directory with all below it, or a glob.

    Raises:
      UserError: there are none.
    """
    path = Path(argument)
    if path.is_dir():
        found = (each for each in path.rglob("*") if each.suffix.lower() in ENDINGS and each.is_file())
        files = sorted(str(each) for each in found if not each.name.startswith("."))
        if not files:
            raise UserError(f"{argument}: no {', '.join(ENDINGS)} file in this directory")
        return files
    if os.path.lexists(argument):
        return [argument]
    files = [name for name in sorted(glob.glob(argument, recursive=True)) if os.path.isfile(name)]
    if not files:
        raise UserError(f"{argument}: no such file" + (", nor any that matches" if glob.has_magic(argument) else ""))
    return files


def load(path, side):
    """The middle of a picture, as a record of the training data would show it.

    The largest centred square, upright (EXIF orientation), the first frame, transparency on white, 16 bits cut to 8,
    as RGB. A larger square is shrunk by averaging ("box"), which no other filter was better than in P. Chrabaszcz,
    I. Loshchilov, F. Hutter: A downsampled variant of ImageNet, arXiv:1707.08819, 2017; a smaller one is enlarged
    bilinearly, and one of just that size is left as it is.

    Args:
      path: of a PNG, JPEG, BMP or GIF file.
      side: int, pixels.

    Returns:
      uint8 [side, side, 3].

    Raises:
      UserError: one line that names the file and says why it cannot be used.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise UserError(f"{path}: not a regular file")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:  # Pillow itself only warns, up to twice as many
                raise Image.DecompressionBombError
            return _square(image, side)
    except UserError:
        raise
    except UnidentifiedImageError:
        why = "empty" if os.path.getsize(path) == 0 else f"not a picture in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        why = f"more than {MAX_PIXELS:,} pixels"
    except OSError as error:
        why = error.strerror or error
    except Exception as error:  # a damaged file raises whatever its decoder stumbles over
        why = f"damaged ({error})" if str(error) else f"damaged ({type(error).__name__})"
    raise UserError(f"{path}: {why}")


def _square(image, side):
    image.draft(None, (4 * side, 4 * side))  # a large JPEG is decoded at a fraction of its size: far quicker
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
    if image.mode in SIXTEEN_BITS:  # Pillow's own conversion would cut off what is above 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _turn(image):
    """What makes a picture upright: a `Image.Transpose`, or None."""
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # damaged EXIF data: the pixels are fine
        return None
