"""Filter gradients of 3x3 convolutions in bfloat16, computed in four ways.

    python -m benchmarks.speed.filter_gradients

Measures layers of ResNet-18 (batch 128) and of the bottleneck net (batch 64). All ways of a layer are in one graph and
run in turns: medians in milliseconds. `graph_resnet.training.filter_gradients` uses the second one where it is fastest.
"""

import argparse
import statistics
import time

from graph_resnet import cli

LAYERS = [  # images, height and width of the input, its depth, depth of the output, stride
    (128, 30, 64, 64, 1),
    (128, 15, 128, 128, 1),
    (128, 15, 128, 256, 2),
    (128, 8, 256, 256, 1),
    (128, 8, 256, 512, 2),
    (128, 4, 512, 512, 1),
    (64, 24, 128, 128, 2),
    (64, 12, 128, 128, 1),
]


def ways(tf, images, filters, gradient, stride):
    """{name: gradient of the filters}; the last two ways need stride 1."""
    from graph_resnet.training import filter_gradients

    output = tf.nn.conv2d(images, filters, stride, "SAME")
    gradients = {
        "stock": tf.gradients(output, filters, gradient)[0],
        "as a convolution": filter_gradients.as_convolution(output.op, gradient),
    }
    if stride == 1:
        gradients["nine products"] = _products(tf, images, gradient)
        gradients["one product of patches"] = _patches(tf, images, gradient)
    return gradients


def _products(tf, images, gradient):
    """One matrix product per filter position, of rows of pixels shifted against each other.

    Images and gradient are stored as rows of pixels, with a zero after each row and a row of zeros after each image, so
    shifting everything shifts each image.
    """
    gap = [[0, 0], [0, 1], [0, 1], [0, 0]]
    width, depth, outputs = int(images.shape[2]) + 1, int(images.shape[3]), int(gradient.shape[3])
    rows, other = tf.reshape(tf.pad(images, gap), [-1, depth]), tf.reshape(tf.pad(gradient, gap), [-1, outputs])
    count = int(other.shape[0])
    rows = tf.pad(rows, [[width + 1, width + 1], [0, 0]])
    shifted = [rows[y * width + x :][:count] for y in range(3) for x in range(3)]
    products = [tf.matmul(row, other, transpose_a=True) for row in shifted]
    return tf.reshape(tf.stack(products), [3, 3, depth, outputs])


def _patches(tf, images, gradient):
    """One matrix product of all 3x3 patches, which are copied."""
    depth, outputs = int(images.shape[3]), int(gradient.shape[3])
    ones = [1, 1, 1, 1]
    patches = tf.image.extract_patches(images, [1, 3, 3, 1], ones, ones, "SAME")
    product = tf.matmul(tf.reshape(patches, [-1, 9 * depth]), tf.reshape(gradient, [-1, outputs]), transpose_a=True)
    return tf.reshape(product, [3, 3, depth, outputs])


def measure(tf, layer, rounds):
    """{way: median seconds} of a layer; checks that all ways agree with the stock gradient."""
    import numpy as np

    from graph_resnet.session import session_config

    batch, size, depth, outputs, stride = layer
    reduced = -(-size // stride)
    shapes = ([batch, size, size, depth], [3, 3, depth, outputs], [batch, reduced, reduced, outputs])
    with tf.Graph().as_default(), tf.Session(config=session_config("bfloat16")) as session:
        drawn = [
            tf.Variable(tf.cast(tf.random.normal(shape, seed=1), tf.bfloat16), use_resource=True) for shape in shapes
        ]
        gradients = ways(tf, *(variable.read_value() for variable in drawn), stride)
        session.run(tf.global_variables_initializer())
        values = {name: session.run(gradient).astype(np.float32) for name, gradient in gradients.items()}
        for name, value in values.items():
            error = np.abs(value - values["stock"]).max() / np.abs(values["stock"]).max()
            assert error < 0.02, f"{layer}, {name}: differs from the stock gradient by {error:.1e} of the greatest"
        seconds = {name: [] for name in gradients}
        for _ in range(rounds):
            for name, gradient in gradients.items():
                begin = time.perf_counter()
                session.run(gradient.op)
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=cli.positive, default=30, metavar="N", help="turns of each (default: %(default)s)"
    )
    flags = parser.parse_args(cli.arguments())
    tf = cli.import_tensorflow()
    names = ("stock", "as a convolution", "nine products", "one product of patches")
    print(f"| images | output | depths | stride | {' | '.join(f'{name}, ms' for name in names)} |")
    print("| --- " * (len(names) + 4) + "|")
    for layer in LAYERS:
        milliseconds = measure(tf, layer, flags.rounds)
        batch, size, depth, outputs, stride = layer
        reduced = -(-size // stride)
        cells = [f"{1e3 * milliseconds[name]:.1f}" if name in milliseconds else "" for name in names]
        print(f"| {batch} | {reduced}x{reduced} | {depth} -> {outputs} | {stride} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
