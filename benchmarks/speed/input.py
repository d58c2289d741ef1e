"""Images/s of the training input on one core: `python -m benchmarks.speed.input [--data-dir DIR]`.

The whole process is pinned to one CPU, which the input's threads share with the session that reads its batches. Prints
the median of several rounds.
"""

import argparse
import os
import statistics

from benchmarks.speed.worker import Peer, timed
from graph_resnet import cli


def one_core(image_size=96, batch_size=64, data_dir=None):
    """Peer whose task 'batch' reads one batch of images; pins this process to one CPU."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tf = cli.import_tensorflow()
    from graph_resnet.data import batches, find
    from graph_resnet.session import session_config

    records = find.cifar("cifar10" if data_dir else "synthetic", data_dir)
    images, *_ = batches.train_and_validation(records, image_size, batch_size)
    session = tf.Session(config=session_config(threads=1))
    session.run(tf.local_variables_initializer())
    session.run(tf.tables_initializer())
    task = timed(lambda: session.run(images.op))
    task(100)
    return Peer({"batch": task}, {"TensorFlow": tf.__version__}, {"data": records.title})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", metavar="DIR", help="CIFAR-10 (default: drawn images)")
    parser.add_argument("--image-size", type=int, default=96, metavar="N")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N")
    flags = parser.parse_args(cli.arguments())
    peer = one_core(flags.image_size, flags.batch_size, flags.data_dir)
    rates = [100 * flags.batch_size / peer.tasks["batch"](100) for _ in range(7)]
    print(
        f"{statistics.median(rates):,.0f} images/s at {flags.image_size}x{flags.image_size}, batch {flags.batch_size}, "
        f"one core, {peer.facts['data']} (from {min(rates):,.0f} to {max(rates):,.0f} in {len(rates)} rounds)"
    )


if __name__ == "__main__":
    cli.run(main)
