"""Images/s that the training input feeds from one core: `python -m benchmarks.input [--data-dir DIR]`.

The whole process is held to one CPU, on which the input's own threads and the session that takes its batches share the
time. Medians of several rounds.
"""

import argparse
import os
import statistics
import time

from graph_resnet import cli


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", metavar="DIR", help="CIFAR-10; drawn images where it is not given")
    parser.add_argument("--image-size", type=int, default=96, metavar="N")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N")
    flags = parser.parse_args(cli.arguments())
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tf = cli.import_tensorflow()
    from utils import cifar10_input, cifar_files
    from utils.session import session_config

    records = cifar_files.find("cifar10" if flags.data_dir else "synthetic", flags.data_dir)
    images, *_ = cifar10_input.batches(records, flags.image_size, flags.batch_size)
    rates = []
    with tf.Session(config=session_config(threads=1)) as session:
        session.run(tf.local_variables_initializer())
        session.run(tf.tables_initializer())
        for _ in range(8):
            since = time.perf_counter()
            for _ in range(100):
                session.run(images.op)
            rates.append(100 * flags.batch_size / (time.perf_counter() - since))
    rates = rates[1:]
    print(
        f"{statistics.median(rates):,.0f} images/s at {flags.image_size}x{flags.image_size}, batch {flags.batch_size}, "
        f"one core, {records.title} (from {min(rates):,.0f} to {max(rates):,.0f} in {len(rates)} rounds)"
    )


if __name__ == "__main__":
    cli.run(main)
