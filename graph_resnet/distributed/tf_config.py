"""What TF_CONFIG says: which tasks a cluster has, where they are, and which of them this process is.

TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError, reason

JOBS = ("chief", "worker", "evaluator")
EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'


class Member(NamedTuple):
    """A task that trains."""

    job: str
    index: int
    address: str

    @property
    def name(self):
        """'chief', or such as 'worker 1'."""
        return self.job if self.job == "chief" else f"{self.job} {self.index}"


@dataclass(frozen=True)
class Place:
    """What TF_CONFIG says: who is in the cluster, and who this process is.

    Attributes:
      jobs: dict from 'chief' and 'worker' to lists of 'host:port'.
      job, index: this process's, such as 'worker', 1.
    """

    jobs: dict[str, list[str]]
    job: str
    index: int

    @property
    def members(self):
        """All that train, the chief first."""
        return [Member(job, i, address) for job in JOBS for i, address in enumerate(self.jobs.get(job, ()))]

    @property
    def rank(self):
        """This process's number among them."""
        return [member[:2] for member in self.members].index((self.job, self.index))

    @property
    def is_evaluator(self):
        return self.job == "evaluator"

    @property
    def is_chief(self):
        return not self.is_evaluator and self.rank == 0


def place():
    """The `Place` that TF_CONFIG gives to this process; None where it is not set or names a single worker.

    Raises:
      UserError: TF_CONFIG is no cluster that this program can train in; says what to change.
    """
    if not os.environ.get("TF_CONFIG"):
        return None
    try:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        jobs = resolver.cluster_spec().as_dict()
        job, index = resolver.task_type, resolver.task_id
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"TF_CONFIG: cannot be read ({reason(error)}); it looks like {EXAMPLE}") from None
    if "ps" in jobs:
        raise UserError(
            f"TF_CONFIG: ps: {_shown(jobs['ps'])}: there is no parameter server here, the workers average their "
            "gradients among themselves; leave ps out and list its machines under worker"
        )
    for name, addresses in jobs.items():
        if name not in JOBS:
            raise UserError(f"TF_CONFIG: unknown job {name}; there are {', '.join(JOBS)}")
        if not isinstance(addresses, list):
            raise UserError(f"TF_CONFIG: {name}: {_shown(addresses)} leaves tasks out; list all of them in order")
    jobs.pop("evaluator", None)  # some operators list it, others do not
    if not jobs:
        return None
    _check(jobs, job, index)
    found = Place(jobs, job, index)
    return None if len(found.members) == 1 and not found.is_evaluator else found


def _check(jobs, job, index):
    addresses = [address for each in jobs.values() for address in each]
    for address in addresses:
        if not address.rpartition(":")[2].isdigit() or address.startswith(":"):
            raise UserError(f"TF_CONFIG: address {address!r}: expected host:port")
        if addresses.count(address) > 1:
            raise UserError(f"TF_CONFIG: address {address} is given to two tasks; give each its own port")
    if len(jobs.get("chief", ())) > 1:
        raise UserError(f"TF_CONFIG: {len(jobs['chief'])} chiefs; one of them leads, list the others under worker")
    if job == "evaluator":
        return
    if not isinstance(index, int) or not 0 <= index < len(jobs.get(job, ())):
        there = ", ".join(f"{name} 0..{len(each) - 1}" for name, each in jobs.items())
        raise UserError(f"TF_CONFIG: task {job} {index} is not in the cluster; there are {there}")


def _shown(value):
    return json.dumps(value)[:80]
