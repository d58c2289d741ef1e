"""`tf.contrib.image` and `tf.contrib.resampler`: projective transforms, colours, warps and sampling."""

import tensorflow as tf

_v1 = tf.compat.v1


def _by_dimension(images, function):
    """`function` on images of [B, H, W, C], [H, W, C] or [H, W]."""
    rank = images.shape.ndims
    if rank not in (2, 3, 4):
        raise TypeError("Images should have rank between 2 and 4.")
    batch = {2: lambda x: x[None, :, :, None], 3: lambda x: x[None], 4: lambda x: x}[rank](images)
    result = function(batch)
    result = {2: lambda x: x[0, :, :, 0], 3: lambda x: x[0], 4: lambda x: x}[rank](result)
    result.set_shape(images.shape if result.shape.rank == rank and function.keeps_shape else result.shape)
    return result


def transform(images, transforms, interpolation="NEAREST", output_shape=None, name=None):
    """Applies projective transforms, rows of 8 numbers that map output points to input points.

    Args:
        images: [B, H, W, C], [H, W, C] or [H, W].
        transforms: [B, 8] or [8].
        interpolation: "NEAREST" or "BILINEAR".
    """
    with _v1.name_scope(name, "transform"):
        images = tf.convert_to_tensor(images)
        transforms = tf.convert_to_tensor(transforms, tf.float32)
        transforms = transforms[None] if transforms.shape.ndims == 1 else transforms

        def function(batch):
            size = tf.shape(batch)[1:3] if output_shape is None else tf.convert_to_tensor(output_shape, tf.int32)
            return tf.raw_ops.ImageProjectiveTransformV3(
                images=batch,
                transforms=transforms,
                output_shape=size,
                interpolation=interpolation.upper(),
                fill_mode="CONSTANT",
                fill_value=0.0,
            )

        function.keeps_shape = output_shape is None
        return _by_dimension(images, function)


def compose_transforms(*transforms):
    """The transform [B, 8] that applies the given ones one after the other."""
    matrices = [flat_transforms_to_matrices(t) for t in transforms]
    product = matrices[0]
    for matrix in matrices[1:]:
        product = tf.matmul(product, matrix)
    return matrices_to_flat_transforms(product)


def flat_transforms_to_matrices(transforms):
    """[B, 8] or [8] -> [B, 3, 3]."""
    flat = tf.reshape(tf.convert_to_tensor(transforms, tf.float32), [-1, 8])
    return tf.reshape(tf.concat([flat, tf.ones([tf.shape(flat)[0], 1])], 1), [-1, 3, 3])


def matrices_to_flat_transforms(transform_matrices):
    """[B, 3, 3] or [3, 3] -> [B, 8]."""
    flat = tf.reshape(tf.convert_to_tensor(transform_matrices, tf.float32), [-1, 9])
    return (flat / flat[:, 8:])[:, :8]


def angles_to_projective_transforms(angles, image_height, image_width, name=None):
    """Rotations by `angles` (radians, counter-clockwise) around the image centre, [B, 8]."""
    angles = tf.reshape(tf.convert_to_tensor(angles, tf.float32), [-1])
    height, width = tf.cast(image_height, tf.float32) - 1, tf.cast(image_width, tf.float32) - 1
    cos, sin, zero = tf.cos(angles), tf.sin(angles), tf.zeros_like(angles)
    x = (width - (cos * width - sin * height)) / 2
    y = (height - (sin * width + cos * height)) / 2
    return tf.stack([cos, -sin, x, sin, cos, y, zero, zero], 1)


def translations_to_projective_transforms(translations, name=None):
    """Shifts by rows (dx, dy), in pixels, [B, 8]."""
    shifts = tf.reshape(tf.convert_to_tensor(translations, tf.float32), [-1, 2])
    one, zero = tf.ones_like(shifts[:, 0]), tf.zeros_like(shifts[:, 0])
    return tf.stack([one, zero, -shifts[:, 0], zero, one, -shifts[:, 1], zero, zero], 1)


def rotate(images, angles, interpolation="NEAREST", name=None):
    """Rotates images counter-clockwise by `angles` radians around their centre; fills with zeros."""
    images = tf.convert_to_tensor(images)
    height, width = (tf.shape(images)[i] for i in {2: (0, 1), 3: (0, 1), 4: (1, 2)}[images.shape.ndims])
    return transform(images, angles_to_projective_transforms(angles, height, width), interpolation, name=name)


def translate(images, translations, interpolation="NEAREST", name=None):
    """Shifts images by (dx, dy) pixels; fills with zeros."""
    return transform(images, translations_to_projective_transforms(translations), interpolation, name=name)


# From RGB to YIQ; the numbers of TensorFlow 1.15's contrib/image/kernels/adjust_hsv_in_yiq_op.h.
_YIQ = [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]


def adjust_hsv_in_yiq(image, delta_hue=0, scale_saturation=1, scale_value=1, name=None):
    """Rotates the hue by `delta_hue` radians and scales saturation and value, in the colour space YIQ.

    Args:
        image: RGB, [..., H, W, 3]; integers are taken as parts of their type's largest value.

    Returns:
        A tensor of the image's shape and dtype; floats are not clipped.
    """
    with _v1.name_scope(name, "adjust_hsv_in_yiq", [image]):
        image = tf.convert_to_tensor(image)
        if image.shape.rank is not None and image.shape.rank < 3:
            raise ValueError(f"Shape must be at least rank 3 but is rank {image.shape.rank}.")
        chroma = tf.cast(scale_value, tf.float32) * tf.cast(scale_saturation, tf.float32)
        cos, sin = chroma * tf.cos(tf.cast(delta_hue, tf.float32)), chroma * tf.sin(tf.cast(delta_hue, tf.float32))
        rotation = tf.reshape(tf.stack([tf.cast(scale_value, tf.float32), 0, 0, 0, cos, -sin, 0, sin, cos]), [3, 3])
        matrix = tf.linalg.inv(_YIQ) @ rotation @ _YIQ
        pixels = tf.image.convert_image_dtype(image, tf.float32)
        return tf.image.convert_image_dtype(tf.tensordot(pixels, matrix, [[-1], [1]]), image.dtype)


def random_hsv_in_yiq(
    image, max_delta_hue=0, lower_saturation=1, upper_saturation=1, lower_value=1, upper_value=1, seed=None
):
    """`adjust_hsv_in_yiq` by a hue of at most `max_delta_hue` radians and factors between the bounds, all random."""
    for name, lower, upper in (("saturation", lower_saturation, upper_saturation), ("value", lower_value, upper_value)):
        if not 0 <= lower <= upper:
            raise ValueError(f"lower_{name} must be non-negative and <= upper_{name}, not {lower} and {upper}.")
    if max_delta_hue < 0:
        raise ValueError(f"max_delta_hue must be non-negative, not {max_delta_hue}.")
    bounds = (-max_delta_hue, max_delta_hue), (lower_saturation, upper_saturation), (lower_value, upper_value)
    numbers = [low if low == high else tf.random.uniform([], low, high, seed=seed) for low, high in bounds]
    return adjust_hsv_in_yiq(image, *numbers)


def resampler(data, warp, name="resampler"):
    """Bilinear samples of data [B, H, W, C] at the points (x, y) of warp [B, ..., 2]: [B, ..., C]; zero outside."""
    with _v1.name_scope(name):
        data, warp = tf.convert_to_tensor(data), tf.convert_to_tensor(warp)
        height, width = tf.shape(data)[1], tf.shape(data)[2]
        x, y = warp[..., 0], warp[..., 1]
        left, top = tf.floor(x), tf.floor(y)

        def corner(column, row):
            inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
            at = tf.stack([tf.clip_by_value(row, 0, height - 1), tf.clip_by_value(column, 0, width - 1)], -1)
            return tf.gather_nd(data, at, batch_dims=1) * tf.cast(inside, data.dtype)[..., None]

        x0, y0 = tf.cast(left, tf.int32), tf.cast(top, tf.int32)
        right, down = (x - left)[..., None], (y - top)[..., None]
        upper = corner(x0, y0) * (1 - right) + corner(x0 + 1, y0) * right
        lower = corner(x0, y0 + 1) * (1 - right) + corner(x0 + 1, y0 + 1) * right
        return upper * (1 - down) + lower * down


def dense_image_warp(image, flow, name="dense_image_warp"):
    """Samples image [B, H, W, C] bilinearly at (y, x) - flow [B, H, W, 2], clamped to the image."""
    with _v1.name_scope(name):
        image, flow = tf.convert_to_tensor(image), tf.convert_to_tensor(flow)
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        columns, rows = tf.meshgrid(tf.range(width), tf.range(height))
        grid = tf.cast(tf.stack([rows, columns], -1), flow.dtype)[None]
        limit = tf.cast(tf.stack([height - 1, width - 1]), flow.dtype)
        points = tf.clip_by_value(grid - flow, tf.zeros_like(limit), limit)
        return resampler(image, points[..., ::-1])


def interpolate_bilinear(grid, query_points, name="interpolate_bilinear", indexing="ij"):
    """Samples grid [B, H, W, C] at query_points [B, N, 2], clamped to the grid: [B, N, C]."""
    points = query_points if indexing == "ij" else query_points[..., ::-1]
    limit = tf.cast(tf.shape(grid)[1:3] - 1, points.dtype)
    return resampler(grid, tf.clip_by_value(points, tf.zeros_like(limit), limit)[..., ::-1], name)
