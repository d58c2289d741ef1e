"""Computes filter gradients of convolutions as forward convolutions where that is faster.

The gradient of a convolution's filter is itself a convolution: with the input's channels as its batch, the images as
its channels, and the output's gradient as its filter (dilated by the stride). In bfloat16, oneDNN's forward kernels run
at up to twice the rate of its filter gradients, which pays for the two transposes in the small, deep layers at the end
of a ResNet. Measured on two cores of an AMD EPYC with avx512_bf16 (TensorFlow 2.21, 128 images, 3x3):

    output, depths         stock    as a convolution
    30x30,  64 ->  64      33 ms    63 ms
    15x15, 128 -> 128      31 ms    38 ms
     8x8,  128 -> 256      35 ms    18 ms    (stride 2)
     8x8,  256 -> 256      40 ms    29 ms
     4x4,  256 -> 512      61 ms    16 ms    (stride 2)
     4x4,  512 -> 512      55 ms    26 ms

`python -m benchmarks.speed.filter_gradients` measures them, and two other ways that were never the fastest.
"""

import contextlib

import tensorflow.compat.v1 as tf

_NAME = "FilterGradientAsConvolution"
_LARGEST_OUTPUT, _SMALLEST_DEPTH = 8, 128  # height and width; channels


def quickest(precision):
    """A context manager for the default graph: Conv2D ops built in it get the fastest gradients for this machine.

    Args:
      precision: of the session that will run the graph. In float32 and on a GPU the stock gradients are used.
    """
    if precision != "bfloat16" or tf.config.list_physical_devices("GPU"):
        return contextlib.nullcontext()
    return as_convolutions()


def as_convolutions():
    """A context manager for the default graph: small, deep Conv2D ops built in it compute their gradient this way."""
    return tf.get_default_graph().gradient_override_map({"Conv2D": _NAME})


@tf.RegisterGradient(_NAME)
def _gradients(op, gradient):
    images, filters = op.inputs
    names = ("strides", "padding", "explicit_paddings", "data_format", "dilations")
    options = {name: op.get_attr(name) for name in names}
    to_images = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(images), filter=filters, out_backprop=gradient, **options
    )
    if _pays(op):
        return to_images, as_convolution(op, gradient)
    to_filters = tf.raw_ops.Conv2DBackpropFilter(
        input=images, filter_sizes=tf.shape(filters), out_backprop=gradient, **options
    )
    return to_images, to_filters


def _pays(op):
    """Whether a convolution is small and deep enough; the others keep the stock gradient."""
    images, filters, output = op.inputs[0].shape, op.inputs[1].shape, op.outputs[0].shape
    return (
        op.get_attr("padding") == b"SAME"
        and op.get_attr("data_format") == b"NHWC"
        and op.get_attr("dilations") == [1, 1, 1, 1]
        and images[1:].is_fully_defined()
        and filters[0] > 1
        and max(output[1], output[2]) <= _LARGEST_OUTPUT
        and min(filters[2], filters[3]) >= _SMALLEST_DEPTH
    )


def as_convolution(op, gradient):
    """The gradient of a Conv2D's filter as a forward convolution.

    dw[i, j, c, k] = sum over b, y, x of padded[b, i + stride * y, j + stride * x, c] * gradient[b, y, x, k]

    Args:
      op: Conv2D, NHWC with SAME padding and no dilation.
      gradient: of its output, [batch, height, width, depth].
    """
    images, filters = op.inputs
    strides = op.get_attr("strides")[1:3]
    spans = [
        _span(int(images.shape[axis + 1]), int(filters.shape[axis]), int(gradient.shape[axis + 1]), strides[axis])
        for axis in (0, 1)
    ]
    (top, bottom), (left, right) = spans
    # SAME padding may leave the last rows unused: a negative padding crops them.
    height, width = (int(images.shape[axis + 1]) + min(spans[axis][1], 0) for axis in (0, 1))
    by_channel = tf.transpose(images[:, :height, :width], [3, 1, 2, 0])  # [C, H, W, B]
    as_filter = tf.transpose(gradient, [1, 2, 0, 3])  # [h, w, B, K]
    padding = [[0, 0], [top, max(bottom, 0)], [left, max(right, 0)], [0, 0]]
    result = tf.nn.conv2d(by_channel, as_filter, strides=1, padding=padding, dilations=strides)  # [C, i, j, K]
    return tf.transpose(result, [1, 2, 0, 3])


def _span(size, kernel, outputs, stride):
    """(before, after): the SAME padding of one axis that lets the last window end with the padded axis."""
    needed = (outputs - 1) * stride + kernel
    before = max(needed - size, 0) // 2
    return before, needed - size - before
