"""Several workers of one cluster on this machine: processes that TF_CONFIG connects over loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO, TypeVar

from graph_resnet import machine
from graph_resnet.distributed import tf_config
from graph_resnet.errors import UserError
from graph_resnet.loop.signals import Interrupted

GRACE = 15  # seconds for the other workers to exit after one has died
STOPPING = 300  # seconds for all workers to finish their step and save after a stop signal
HOST = "127.0.0.1"
COMMAND = "GRAPH_RESNET_COMMAND"  # environment variable of a worker: the command that the user typed
AT_LEAST = 16  # workers allowed on any machine, however few its cores
PER_CORE = 4  # workers allowed per core beyond that: each is a process of about 0.5 GB

Item = TypeVar("Item")


def run(module: str, arguments: Sequence[str], count: int, batch_size: int) -> int:
    """Runs `python -m module arguments` as `count` workers and prints their output with each worker's name in front.

    The workers share the cores evenly, and the GPUs in CUDA_VISIBLE_DEVICES. When one dies the others are stopped too.
    A signal is sent to all of them; a second one kills those that still run.

    Args:
      module: name of the command's module.
      arguments: its flags; `--workers` is dropped.
      count: number of workers.
      batch_size: images in the whole batch, over all workers.

    Returns:
      The exit status: 0 if all succeeded, else that of the first that failed.

    Raises:
      UserError: TF_CONFIG is set, there are too many workers for a batch or for this machine, or workers had to be
        killed after a signal.
      Interrupted: a signal came, and all workers have exited.
    """
    if os.environ.get("TF_CONFIG"):
        raise UserError("--workers starts a cluster on this machine, but TF_CONFIG names one; use only one of them")
    tf_config.rows(batch_size, count)
    most = max(AT_LEAST, PER_CORE * machine.cores())
    if count > most:
        raise UserError(f"--workers {count}: this machine has {machine.cores()} cores; use at most {most} workers")
    command = [sys.executable, "-m", module, *_without("--workers", arguments)]
    allowed = machine.affinity()
    if allowed is None and not any(word.partition("=")[0] == "--threads" for word in arguments):
        # This system cannot pin a process to some of the cores.
        command += ["--threads", str(max(1, machine.cores() // count))]
    started_by = shlex.join([sys.orig_argv[0], "-m", module, *arguments])
    addresses, cores = free_addresses(count), _shares(allowed or [], count)
    gpus = _shares([gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu], count)
    workers: list[_Worker] = []
    lock = threading.Lock()
    try:
        for i in range(count):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(task), COMMAND: started_by}
            if gpus[i]:
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[i])
            workers.append(_Worker(f"[worker {i}] ", command, environment, cores[i], lock))
        return _status_of_all(workers)
    except Interrupted as stop:
        if not _stop(workers, stop.signum, STOPPING):
            raise UserError(
                f"workers that had not stopped {STOPPING} s after {signal.Signals(stop.signum).name} were killed; "
                "their work since the last checkpoint is lost"
            ) from stop
        raise
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A worker process. Two threads print what it writes to stdout and stderr, line by line."""

    def __init__(
        self, prefix: str, command: list[str], environment: dict[str, str], cores: list[int], lock: threading.Lock
    ):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A separate session, so that Ctrl-C reaches only this process, which then signals the workers.
        with _pinned_to(cores):
            self.process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
        streams = ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr))
        self._threads = [
            threading.Thread(target=_copy_lines, args=(*pair, prefix, lock), daemon=True) for pair in streams
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Kills the process if it still runs, and waits until all of its output is printed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def _pinned_to(cores: list[int]) -> Iterator[None]:
    """Pins processes that are started inside the block to these cores; an empty list pins nothing."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _copy_lines(source: IO[bytes], target: IO[str], prefix: str, lock: threading.Lock) -> None:
    """Copies each line with `prefix` in front, until `source` ends."""
    with source:
        for line in source:
            with lock, contextlib.suppress(OSError):  # the reader of our output may be gone
                target.write(prefix + line.decode(errors="replace"))
                target.flush()


def _status_of_all(workers: list[_Worker]) -> int:
    """Waits for all: see `run`. When one fails the others get `GRACE` seconds to exit, then SIGTERM."""
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


def _stop(workers: list[_Worker], signum: int, grace: float) -> bool:
    """Sends a signal to all; returns whether they exit within `grace` seconds."""
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.send_signal(signum)
    return _all_ended(workers, grace)


def _all_ended(workers: list[_Worker], grace: float) -> bool:
    """Whether all exit within `grace` seconds."""
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        if all(worker.process.poll() is not None for worker in workers):
            return True
        time.sleep(0.1)
    return False


def free_addresses(count: int) -> list[str]:
    """`count` free loopback addresses, such as '127.0.0.1:40001'."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [f"{HOST}:{listener.getsockname()[1]}" for listener in sockets]


def _shares(items: list[Item], count: int) -> list[list[Item]]:
    """Divides `items` into `count` parts; with fewer items than parts, several parts get the same item."""
    if 0 < len(items) < count:
        return [[items[i % len(items)]] for i in range(count)]
    return [items[len(items) * i // count : len(items) * (i + 1) // count] for i in range(count)]


def _without(flag: str, arguments: Sequence[str]) -> list[str]:
    """`arguments` without `flag VALUE` and `flag=VALUE`."""
    kept, skip = [], False
    for word in arguments:
        if not skip and word != flag and not word.startswith(flag + "="):
            kept.append(word)
        skip = word == flag
    return kept
