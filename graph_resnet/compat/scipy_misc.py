"""The image functions that scipy.misc had until scipy 1.2, implemented with Pillow."""

import numpy as np


def _bytescale(data, cmin=None, cmax=None, high=255, low=0):
    """An array scaled to uint8: its minimum (or `cmin`) becomes `low`, its maximum (or `cmax`) becomes `high`.

    An array of uint8 is returned unchanged.
    """
    if data.dtype == np.uint8:
        return data
    cmin = data.min() if cmin is None else cmin
    cmax = data.max() if cmax is None else cmax
    scale = (high - low) / ((cmax - cmin) or 1)
    scaled = (data - cmin) * float(scale) + low
    return (scaled.clip(low, high) + 0.5).astype(np.uint8)


def _toimage(arr, high=255, low=0, cmin=None, cmax=None, pal=None, mode=None, channel_axis=None):
    """A Pillow image from an array [H, W] or [H, W, 3 or 4] (the channels may be on another axis)."""
    from PIL import Image

    data = np.asarray(arr)
    if data.ndim not in (2, 3) or (data.ndim == 3 and not {3, 4} & set(data.shape)):
        raise ValueError("'arr' does not have a suitable array shape for any mode.")
    if data.ndim == 2 and mode == "F":
        return Image.fromarray(data.astype(np.float32))
    if data.ndim == 2 and mode == "I":
        return Image.fromarray(data.astype(np.int32))
    if data.ndim == 3:
        axis = channel_axis if channel_axis is not None else next(i for i in (2, 0, 1) if data.shape[i] in (3, 4))
        data = np.moveaxis(data, axis, -1)
    image = Image.fromarray(np.ascontiguousarray(_bytescale(data, cmin, cmax, high, low)))
    return image.convert(mode) if mode and mode != image.mode else image


def _fromimage(im, flatten=False, mode=None):
    """The pixels of a Pillow image: [H, W] or [H, W, channels], float32 with `flatten`."""
    if mode is not None:
        im = im if im.mode == mode else im.convert(mode)
    elif im.mode == "P":
        im = im.convert("RGBA" if "transparency" in im.info else "RGB")
    if flatten:
        im = im.convert("F")
    elif im.mode == "1":
        im = im.convert("L")
    return np.array(im)


def _imread(name, flatten=False, mode=None):
    """The pixels of an image file; see `_fromimage`."""
    from PIL import Image

    with Image.open(name) as image:
        return _fromimage(image, flatten, mode)


def _imsave(name, arr, format=None):
    """Writes an array as an image file, scaled to the range of its values unless it is uint8."""
    image = _toimage(arr, channel_axis=2 if np.asarray(arr).ndim == 3 else None)
    image.save(name, **({} if format is None else {"format": format}))


_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "cubic": 3}  # Pillow's numbers


def _imresize(arr, size, interp="bilinear", mode=None):
    """Resizes an image: `size` is a percentage (int), a fraction (float) or (height, width). Returns uint8."""
    image = _toimage(arr, mode=mode)
    if np.issubdtype(type(size), np.signedinteger):
        size = tuple(int(side * size / 100.0) for side in image.size)
    elif np.issubdtype(type(size), np.floating):
        size = tuple(int(side * size) for side in image.size)
    else:
        size = (int(size[1]), int(size[0]))
    return _fromimage(image.resize(size, resample=_FILTERS[interp]))


def _imrotate(arr, angle, interp="bilinear"):
    """Rotates an image counter-clockwise by `angle` degrees."""
    return _fromimage(_toimage(arr).rotate(angle, resample=_FILTERS[interp]))
