"""Parses TF_CONFIG: the tasks of a cluster, their addresses, and which task this process is.

TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'

TensorFlow's `TFConfigClusterResolver` is not used: it accepts an index of 0.5 or true, any port and any kind of job,
and needs TensorFlow. Like it, this ignores other keys than `cluster` and `task`, which cluster managers add.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from graph_resnet.errors import UserError, reason

if TYPE_CHECKING:
    from graph_resnet.distributed.cluster import Cluster

JOBS = ("chief", "worker", "evaluator")
ALIASES = {"master": "chief"}  # TensorFlow 1's name
EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
# A name, an IPv4 address, or an IPv6 address in brackets; a port without a leading zero.
ADDRESS = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+(?:%\w+)?\]):([1-9][0-9]{0,4})", re.ASCII)


class Member(NamedTuple):
    """A task that trains."""

    job: str
    index: int
    address: str

    @property
    def name(self) -> str:
        """Such as 'chief' or 'worker 1'."""
        return self.job if self.job == "chief" else f"{self.job} {self.index}"


@dataclass(frozen=True)
class Place:
    """The tasks of a cluster, and this process's task.

    Attributes:
      jobs: {'chief' or 'worker': list of 'host:port'}.
      job, index: this process's task, such as 'worker', 1.
    """

    jobs: dict[str, list[str]]
    job: str
    index: int

    @property
    def members(self) -> list[Member]:
        """All tasks that train, the chief first."""
        return [Member(job, i, address) for job in JOBS for i, address in enumerate(self.jobs.get(job, ()))]

    @property
    def rank(self) -> int:
        """This process's position in `members`."""
        return [member[:2] for member in self.members].index((self.job, self.index))

    @property
    def is_evaluator(self) -> bool:
        """Whether this process evaluates instead of training."""
        return self.job == "evaluator"

    @property
    def is_chief(self) -> bool:
        """Whether this process reads and writes the train dir."""
        return not self.is_evaluator and self.rank == 0

    def join(self, batch_size: int, config: Any) -> Cluster:
        """Starts this process's server: see `cluster.Cluster`, which needs TensorFlow."""
        from graph_resnet.distributed.cluster import Cluster

        return Cluster(self, batch_size, config)


def place() -> Place | None:
    """The `Place` of this process according to TF_CONFIG; None if it is not set or names a single worker.

    Raises:
      UserError: TF_CONFIG is not a cluster that this program can train in; says what to change.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return None
    try:
        config = _section("the whole", json.loads(text, object_pairs_hook=_without_duplicates))
        cluster = _section("cluster", config.get("cluster", {}))
        task = _section("task", config.get("task", {}))
    except (ValueError, RecursionError) as error:
        raise UserError(f"TF_CONFIG: cannot be read ({reason(error)}); it looks like {EXAMPLE}") from None
    jobs: dict[str, list[str]] = {}
    for name, tasks in cluster.items():
        job = _job(name, tasks)
        if job in jobs:
            raise UserError("TF_CONFIG: has both a chief and a master, which is TensorFlow 1's word for it; keep one")
        jobs[job] = [] if job == "evaluator" else _addresses(name, tasks)  # not needed: only some tools list it
    jobs = {job: addresses for job, addresses in jobs.items() if addresses}
    _check_addresses(jobs)
    here = _place(jobs, task)
    return here if here and (len(here.members) > 1 or here.is_evaluator) else None


def rows(batch_size: int, count: int, rank: int = 0) -> slice:
    """The part of a batch for the worker of this rank, of `count` workers.

    Raises:
      UserError: there are more workers than images in a batch.
    """
    if batch_size < count:
        raise UserError(f"batch size {batch_size}: {count} workers share a batch; use fewer, or a larger --batch-size")
    return slice(batch_size * rank // count, batch_size * (rank + 1) // count)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; refuses duplicate names, of which json would silently keep the last."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"{_shown(name)} is in it twice")
        seen.add(name)
    return dict(pairs)


def _section(name: str, value: Any) -> dict[str, Any]:
    """`value` if it is a JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {_shown(value)}, not an object in braces")
    return value


def _job(name: str, tasks: Any) -> str:
    """The job of this name; 'master' is 'chief'."""
    if name == "ps":
        raise UserError(
            f"TF_CONFIG: ps: {_shown(tasks)}: there is no parameter server here, the workers average their gradients "
            "among themselves; leave ps out and list its machines under worker"
        )
    job = ALIASES.get(name, name)
    if job not in JOBS:
        raise UserError(f"TF_CONFIG: unknown job {_shown(name)}; there are {', '.join(JOBS)}, in lower case")
    return job


def _addresses(job: str, tasks: Any) -> list[str]:
    """The addresses of a job: a list, or an object from '0', '1', ... to addresses, as TensorFlow accepts."""
    if isinstance(tasks, dict):
        numbers = [str(i) for i in range(len(tasks))]
        if sorted(tasks) != sorted(numbers):
            raise UserError(f"TF_CONFIG: {job}: {_shown(tasks)} leaves tasks out; list all of them in order")
        tasks = [tasks[number] for number in numbers]
    if not isinstance(tasks, list):
        raise UserError(f'TF_CONFIG: {job}: {_shown(tasks)}: expected a list such as ["10.0.0.1:2222"]')
    for address in tasks:
        match = ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if match is None or int(match[2]) > 65535:
            raise UserError(
                f"TF_CONFIG: address {_shown(address)}: expected host:port with a port from 1 to 65535, an IPv6 "
                "address in brackets"
            )
    return tasks


def _check_addresses(jobs: dict[str, list[str]]) -> None:
    """Refuses two tasks with one address, and two chiefs."""
    addresses = [address.lower() for tasks in jobs.values() for address in tasks]
    seen: set[str] = set()
    for address in addresses:
        if address in seen:
            raise UserError(f"TF_CONFIG: address {_shown(address)} is given to two tasks; give each its own port")
        seen.add(address)
    if len(jobs.get("chief", ())) > 1:
        raise UserError(f"TF_CONFIG: {len(jobs['chief'])} chiefs; one of them leads, list the others under worker")


def _place(jobs: dict[str, list[str]], task: dict[str, Any]) -> Place | None:
    """The task of this process among `jobs`; None if there are no jobs."""
    name, index = task.get("type"), task.get("index")
    job = ALIASES.get(name, name) if isinstance(name, str) else name
    if job == "evaluator":
        if not jobs:
            raise UserError(
                "TF_CONFIG: task evaluator: the cluster has no task that trains; list the chief and the workers that "
                "it evaluates"
            )
        return Place(jobs, job, 0)
    if not jobs:
        return None
    if isinstance(index, str) and re.fullmatch("[0-9]{1,9}", index, re.ASCII):  # from a shell; TensorFlow accepts it
        index = int(index)
    tasks = jobs.get(job, ()) if isinstance(job, str) else ()
    if type(index) is not int or not 0 <= index < len(tasks):
        choices = ", ".join(f"{job} 0..{len(addresses) - 1}" for job, addresses in jobs.items())
        raise UserError(
            f"TF_CONFIG: task type {_shown(name)}, index {_shown(index)} is not in the cluster; it has {choices}"
        )
    return Place(jobs, job, index)


def _shown(value: Any) -> str:
    """`value` as in TF_CONFIG, cut to 80 characters."""
    return json.dumps(value, ensure_ascii=True)[:80]
