"""Synthetic images in the CIFAR record layout: drawn shapes and textures, for runs without a download.

Ten classes (six shapes, four textures) in CIFAR-10's files, or a hundred (20 shapes as superclasses, times five
fillings) in CIFAR-100's. Position, size, tilt, colours, shading and noise vary within a class. Mirroring an image does
not change its class, and colours do not depend on the class: only the shapes distinguish classes. Typical use:

    synthetic.write(directory)  # data_batch_1.bin ... batches.meta.txt
    synthetic.write(directory, num_classes=100)  # train.bin, test.bin, fine_label_names.txt ...

The bytes are the same on every machine: random numbers are drawn as integers, and the drawing uses only float32 sums,
products, quotients and square roots, which IEEE 754 defines to the last bit (unlike sines and logarithms).
"""

from pathlib import Path

import numpy as np

from graph_resnet.data.archives import new_directory
from graph_resnet.data.layouts import LAYOUTS, SIDE

VERSION = "v1"  # part of the directory's name; increase it when the images change
SEED = 20170  # any number, but it determines the images
CHUNK = 500  # images drawn at once: 2 MB for each float32 [CHUNK, 32, 32]
HALF_ROOT = np.float32(0.707107)  # of two

SHAPES = tuple(
    str.split("""
    disc ring square frame triangle funnel diamond plus saltire star
    bar pillar heart hourglass bow_tie crescent arch cup tee arrow
    """)
)
FILLINGS = ("plain", "rows", "columns", "checks", "dots")
# A class: its name, the shapes it comes in, the filling of the shape.
TEN = tuple((shape, (shape,), "plain") for shape in ("disc", "ring", "square", "triangle", "plus", "star"))
TEN += tuple((filling, ("disc", "square"), filling) for filling in FILLINGS[1:])
HUNDRED = tuple((f"{shape}_{filling}", (shape,), filling) for shape in SHAPES for filling in FILLINGS)
CLASS_NAMES = {  # by the number of classes
    10: tuple(name for name, _, _ in TEN),
    20: SHAPES,
    100: tuple(name for name, _, _ in HUNDRED),
}


def write(directory: Path | str, num_classes: int = 10, num_train: int = 5000, num_test: int = 1000) -> None:
    """Writes the record files and the files of class names, with classes as equal in size as possible.

    Args:
        directory: the directory to create (in one rename, when everything is written).
        num_classes: 10 or 100.
        num_train, num_test: number of images; at least 5 for training, one for each file.

    Raises:
        ValueError: one of the numbers is not allowed.
        UserError: the directory cannot be written, or holds other files under these names.
    """
    if num_classes not in (10, 100):
        raise ValueError(f"num_classes {num_classes}: 10 or 100")
    if num_train < 5 or num_test < 1:
        raise ValueError(f"num_train {num_train}, num_test {num_test}: at least 5 and 1")
    layout = LAYOUTS["synthetic" if num_classes == 10 else "synthetic100"]
    rng = np.random.default_rng(SEED)
    with new_directory(directory) as draft:
        for files, number in ((layout.train, num_train), (layout.test, num_test)):
            labels = rng.permutation(np.arange(number) % num_classes)
            chunks = [labels[start : start + CHUNK] for start in range(0, number, CHUNK)]
            records = np.concatenate([_records(rng, part, num_classes) for part in chunks])
            for name, part in zip(files, np.array_split(records, len(files))):
                part.tofile(draft / name)
        for label in layout.labels:
            names = "\n".join(CLASS_NAMES[len(label.names)]) + "\n"
            (draft / label.names_file).write_bytes(names.encode())  # no \r on any platform


def _records(rng, labels, num_classes):
    """uint8 [n, 3,073 or 3,074]: label bytes, then the images of the class numbers `labels`, int [n]."""
    classes = [(TEN if num_classes == 10 else HUNDRED)[label] for label in labels]
    coin = rng.integers(0, 2, size=len(labels))
    shapes = np.array([choices[side % len(choices)] for (_, choices, _), side in zip(classes, coin)])
    fillings = np.array([filling for _, _, filling in classes])
    pixels = _draw_images(rng, shapes, fillings).reshape(len(labels), -1)
    label_bytes = [labels] if num_classes == 10 else [labels // len(FILLINGS), labels]
    return np.concatenate([np.stack(label_bytes, axis=1).astype(np.uint8), pixels], axis=1)


def _draw(rng, n, low, high, *shape):
    """float32 [n, *shape], uniform in [low, high], in 4,096 steps."""
    steps = rng.integers(0, 4097, size=(n, *shape)).astype(np.float32)
    return np.float32(low) + steps * np.float32((high - low) / 4096)


def _draw_images(rng, shapes, fillings):
    """uint8 [n, 3, 32, 32] from the names of n shapes and n fillings, arrays of str."""
    n = len(shapes)
    grid = np.arange(SIDE, dtype=np.float32) - np.float32(15.5)
    radius = _draw(rng, n, 8, 14, 1, 1)  # pixels
    centre = _draw(rng, n, -1, 1, 2, 1, 1) * (16 - radius[:, None])
    x = grid[None, None, :] - centre[:, 0]  # [n, 1, 32]
    y = grid[None, :, None] - centre[:, 1]  # [n, 32, 1]
    # The tilt without a sine: t is the tangent of half the angle, which is within +-10 degrees.
    t = _draw(rng, n, -0.0875, 0.0875, 1, 1)
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    u, v = cos * x + sin * y, cos * y - sin * x  # [n, 32, 32], pixels
    mask = np.empty_like(u)
    for shape in np.unique(shapes):
        of = shapes == shape
        distance = _EDGES[shape](u[of] / radius[of], v[of] / radius[of]) * radius[of]
        mask[of] = np.clip(0.5 - distance, 0, 1)  # an edge of one pixel
    period = _draw(rng, n, 4, 7, 1, 1)  # pixels
    phase = _draw(rng, n, 0, 1, 2, 1, 1)
    ink = np.empty_like(u)  # 1 for the first colour, 0 for the second
    for filling in np.unique(fillings):
        of = fillings == filling
        across = _from_middle(u[of] / period[of] + phase[of, 0])
        down = _from_middle(v[of] / period[of] + phase[of, 1])
        ink[of] = _FILLINGS[filling](across, down, period[of])
    return _colour(rng, mask[:, None], ink[:, None], x[:, None], y[:, None])


def _colour(rng, mask, ink, x, y):
    """uint8 [n, 3, 32, 32]: the mask's two colours on a shaded background, with noise.

    The arguments are float32 and broadcast to [n, 1, 32, 32]; mask and ink in [0, 1], x and y in pixels.
    """
    n = len(mask)
    order = rng.permuted(np.tile(np.arange(3), (n, 1)), axis=1)  # assigns three brightnesses to three places
    brightness = np.array([45, 125, 205], np.float32)[order] + _draw(rng, n, -20, 20, 3)  # [n, 3]
    tint = _draw(rng, n, -45, 45, 3, 3)  # [n, place, channel]
    colours = (brightness[:, :, None] + tint)[..., None, None]
    slope = _draw(rng, n, -1, 1, 2, 3, 1, 1)  # grey levels a pixel
    inside = colours[:, 1] + ink * (colours[:, 0] - colours[:, 1])
    outside = colours[:, 2] + slope[:, 0] * x + slope[:, 1] * y
    noise = rng.integers(-8, 9, size=(2, n, 3, *ink.shape[2:]), dtype=np.int8).astype(np.float32)
    image = outside + mask * (inside - outside) + noise[0] + noise[1]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _from_middle(position):
    """The distance of `position` from the middle of its unit interval: 0 to 0.5."""
    return np.abs(position - np.floor(position) - np.float32(0.5))


def _stripe(distance, period):
    """1 near the middle of a unit, 0 near its ends, each for half of it, with an edge of one pixel."""
    return np.clip(0.5 + (np.float32(0.25) - distance) * period, 0, 1)


def _checks(across, down, period):
    a, b = _stripe(across, period), _stripe(down, period)
    return a * b + (1 - a) * (1 - b)


def _dots(across, down, period):
    return np.clip(0.5 + (np.float32(0.33) - np.sqrt(across * across + down * down)) * period, 0, 1)


# float32 [n, 32, 32] distances from the middle of a unit, [n, 1, 1] pixels a unit -> ink in [0, 1]
_FILLINGS = {
    "plain": lambda across, down, period: np.ones_like(across),
    "rows": lambda across, down, period: _stripe(down, period),
    "columns": lambda across, down, period: _stripe(across, period),
    "checks": _checks,
    "dots": _dots,
}


def _box(u, v, width, height):
    return np.maximum(np.abs(u) - np.float32(width), np.abs(v) - np.float32(height))


def _disc(u, v, radius):
    return np.sqrt(u * u + v * v) - np.float32(radius)


def _plus(u, v):
    return np.minimum(_box(u, v, 1, 0.3), _box(u, v, 0.3, 1))


def _triangle(u, v):
    """The tip at (0, -1), the base from (-0.95, 0.7) to (0.95, 0.7)."""
    return np.maximum(v - np.float32(0.7), np.float32(0.873) * np.abs(u) - np.float32(0.488) * (v + 1))


def _star(u, v):
    """A pentagram: the points inside at least four of the five lines (the normals are 72 degrees apart)."""
    normals = ((0, 1), (0.951057, 0.309017), (0.587785, -0.809017))
    normals += ((-0.951057, 0.309017), (-0.587785, -0.809017))
    lines = [np.float32(a) * u + np.float32(b) * v - np.float32(0.38) for a, b in normals]
    return np.sort(lines, axis=0)[3]


def _heart(u, v):
    side = np.abs(u)
    lobe = _disc(side - np.float32(0.46), v + np.float32(0.36), 0.52)
    slant = np.float32(0.76) * side + np.float32(0.65) * (v - np.float32(0.95))
    return np.minimum(lobe, np.maximum(slant, -v - np.float32(0.36)))


def _hourglass(u, v):
    waist = (np.abs(u) - np.abs(v)) * HALF_ROOT - np.float32(0.08)
    return np.maximum(np.abs(v) - np.float32(0.95), waist)


def _arch(u, v):
    return np.maximum(_box(u, v, 0.9, 0.9), -np.maximum(np.abs(u) - np.float32(0.4), np.float32(-0.3) - v))


def _tee(u, v):
    return np.minimum(_box(u, v + np.float32(0.6), 0.95, 0.32), _box(u, v, 0.32, 0.92))


def _arrow(u, v):
    head = np.maximum(v, HALF_ROOT * (np.abs(u) - (v + 1)))
    return np.minimum(head, _box(u, v - np.float32(0.4), 0.3, 0.6))


# float32 [n, 32, 32] coordinates in radii, v downwards -> distance from the edge in radii, below 0 inside
_EDGES = {
    "disc": lambda u, v: _disc(u, v, 1),
    "ring": lambda u, v: np.abs(_disc(u, v, 0.74)) - np.float32(0.26),
    "square": lambda u, v: _box(u, v, 0.88, 0.88),
    "frame": lambda u, v: np.abs(_box(u, v, 0.68, 0.68)) - np.float32(0.22),
    "triangle": _triangle,
    "funnel": lambda u, v: _triangle(u, -v),
    "diamond": lambda u, v: (np.abs(u) + np.abs(v) - 1) * HALF_ROOT,
    "plus": _plus,
    "saltire": lambda u, v: _plus((u + v) * HALF_ROOT, (u - v) * HALF_ROOT),
    "star": _star,
    "bar": lambda u, v: _box(u, v, 1, 0.4),
    "pillar": lambda u, v: _box(u, v, 0.4, 1),
    "heart": _heart,
    "hourglass": _hourglass,
    "bow_tie": lambda u, v: _hourglass(v, u),
    "crescent": lambda u, v: np.maximum(_disc(u, v, 1), -_disc(u, v + np.float32(0.55), 0.85)),
    "arch": _arch,
    "cup": lambda u, v: _arch(u, -v),
    "tee": _tee,
    "arrow": _arrow,
}
