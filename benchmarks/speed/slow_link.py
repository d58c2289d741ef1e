"""A link between two network namespaces that delays and loses packets, for kernels without netem.

    python -m benchmarks.speed.slow_link host1=10.8.0.1/24 host2=10.8.0.2/24 --delay 5 --loss 0.01

Each namespace gets a device `slow`; this program copies packets between them until it is interrupted. Needs root.
Without delay and loss it is the baseline, which includes the cost of copying.
"""

import argparse
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import time

from graph_resnet import cli

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h


def device(namespace, address):
    """File of a new device `slow` in a namespace; each read or write is one packet."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    made_here = f"slow{file}"
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", made_here.encode(), IFF_TUN | IFF_NO_PI))
    for command in (
        f"link set {made_here} netns {namespace} name slow",
        f"-n {namespace} address add {address} dev slow",
        f"-n {namespace} link set slow up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    return file


def carry(files, delay, loss, seed=0):
    """Passes packets between two devices, `delay` seconds late, and drops some at random; never returns."""
    other = dict(zip(files, reversed(files)))
    lost, waiting = random.Random(seed), []  # (due time, sequence number, target, packet)
    count = 0
    while True:
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for file in select.select(files, [], [], patience)[0]:
            packet = os.read(file, 65536)
            count += 1
            if lost.random() >= loss:
                heapq.heappush(waiting, (time.monotonic() + delay, count, other[file], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, file, packet = heapq.heappop(waiting)
            os.write(file, packet)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ends", nargs=2, metavar="NAMESPACE=ADDRESS/BITS")
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="one way")
    parser.add_argument("--loss", type=float, default=0.0, metavar="PART", help="fraction of lost packets, 0 to 1")
    flags = parser.parse_args(cli.arguments())
    files = [device(*end.split("=")) for end in flags.ends]
    print("ready", flush=True)
    carry(files, flags.delay / 1000, flags.loss)


if __name__ == "__main__":
    cli.run(main)
