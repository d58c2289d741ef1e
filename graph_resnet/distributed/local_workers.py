"""Several workers of one cluster on this machine: processes that find each other over loopback by TF_CONFIG."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from graph_resnet.errors import UserError
from graph_resnet.loop.signals import Interrupted

GRACE = 15  # seconds in which workers that were left behind, as one died, end by themselves
STOPPING = 300  # seconds in which all end their step and save, when the user asks them to stop
HOST = "127.0.0.1"


def run(module, arguments, count):
    """Runs `python -m module arguments` as `count` workers, their output behind their names.

    Cores are shared out evenly, and so are the GPUs that CUDA_VISIBLE_DEVICES names. When one dies the others end, too.
    A signal goes to all; a second one ends those that are still at work.

    Args:
      module: name of the command's module.
      arguments: list of its flags; `--workers` is left out.
      count: int, how many.

    Returns:
      The exit status: 0 if all ended well, else that of the first that did not.

    Raises:
      UserError: TF_CONFIG is set, or workers had to be killed after a signal.
      Interrupted: a signal came, and all have ended.
    """
    if os.environ.get("TF_CONFIG"):
        raise UserError("--workers starts a cluster on this machine, and TF_CONFIG names one; leave one of them out")
    command = [sys.executable, "-m", module, *_without("--workers", arguments)]
    addresses, cores = free_addresses(count), _shares(sorted(os.sched_getaffinity(0)), count)
    gpus = _shares([gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu], count)
    workers, lock = [], threading.Lock()
    try:
        for i in range(count):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
            if gpus[i]:
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[i])
            workers.append(_Worker(f"[worker {i}] ", command, environment, cores[i], lock))
        return _status_of_all(workers)
    except Interrupted as stop:
        if not _stop(workers, stop.signum, STOPPING):
            raise UserError(
                f"workers were killed that had not stopped {STOPPING} s after {signal.Signals(stop.signum).name}; what "
                "they did since the last checkpoint is lost"
            ) from stop
        raise
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process, its output passed on line by line."""

    def __init__(self, prefix, command, environment, cores, lock):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # Its own session: Ctrl-C comes to us alone, and once.
        with _held_to(cores):
            self.process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
        ways = ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr))
        self._threads = [threading.Thread(target=_pass_on, args=(*way, prefix, lock), daemon=True) for way in ways]
        for thread in self._threads:
            thread.start()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def _held_to(cores):
    """Processes that are started in it run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _pass_on(source, target, prefix, lock):
    with source:
        for line in source:
            with lock, contextlib.suppress(OSError):  # whoever read it may be gone
                target.write(prefix + line.decode(errors="replace"))
                target.flush()


def _status_of_all(workers):
    """Waits for all; when one fails the others have `GRACE` seconds to notice, then they are asked to stop."""
    running = list(workers)
    while running:
        time.sleep(0.1)
        failed = [worker for worker in running if worker.process.poll()]
        if failed:
            status = failed[0].process.returncode
            if not _all_ended(workers, GRACE):
                _stop(workers, signal.SIGTERM, GRACE)
            return status if status > 0 else 128 - status
        running = [worker for worker in running if worker.process.poll() is None]
    return 0


def _stop(workers, signum, grace):
    """Sends all a signal: whether they then end within `grace` seconds."""
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.send_signal(signum)
    return _all_ended(workers, grace)


def _all_ended(workers, grace):
    """Whether all end within `grace` seconds."""
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        if all(worker.process.poll() is not None for worker in workers):
            return True
        time.sleep(0.1)
    return False


def free_addresses(count):
    """So many addresses on loopback at which nothing listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [f"{HOST}:{each.getsockname()[1]}" for each in sockets]


def _shares(items, count):
    """`items` in `count` parts; where there are fewer items, some get the same."""
    if 0 < len(items) < count:
        return [[items[i % len(items)]] for i in range(count)]
    return [items[len(items) * i // count : len(items) * (i + 1) // count] for i in range(count)]


def _without(flag, arguments):
    """`arguments` without `flag VALUE` and `flag=VALUE`."""
    kept, skip = [], False
    for word in arguments:
        if not skip and word != flag and not word.startswith(flag + "="):
            kept.append(word)
        skip = word == flag
    return kept
