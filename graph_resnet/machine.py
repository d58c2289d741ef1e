"""What this machine offers: the systems that the commands run on, and the CPU cores that this process may use."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

from graph_resnet.errors import UserError


def check_system() -> None:
    """Refuses, in one line, a system on which the commands cannot keep their promises.

    Raises:
      UserError: there is no fcntl, with which a train dir is locked: this is Windows, or a Python for the browser.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:
        raise UserError(
            f"{platform.system() or 'this system'}: the commands run on Linux and macOS; on Windows run them in WSL "
            "(`wsl --install`), or import graph_resnet, whose blocks and nets do not need them"
        ) from None


def has_directory() -> bool:
    """Whether the working directory of this process is still there."""
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def affinity() -> list[int] | None:
    """The numbers of the cores that this process may run on; None where the system does not say (macOS)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def cores() -> int:
    """The number of cores that this process can keep busy: at least 1.

    That is the least of the machine's cores, the cores that it may run on (taskset, Slurm) and the share of CPU time
    that its control group has (`docker run --cpus 2`): more threads than that only wait for each other.
    """
    allowed = affinity()
    count = len(allowed) if allowed else os.cpu_count() or 1
    return max(1, math.ceil(min(count, _quota())))


def _quota(processes: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of CPU time that the control groups of this process allow (versions 1 and 2); infinity if all."""
    try:
        lines = processes.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return math.inf
    limits = [math.inf]
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In version 2 there are no controllers here. A limit may be set on any of the groups around this one. A
        # container sees its own group as the root, whatever path stands here.
        root = groups / "cpu" if controllers else groups
        for group in (Path(path.lstrip("/")), *Path(path.lstrip("/")).parents):
            limits.append(_limit(root / group))
    return min(limits)


def _limit(group: Path) -> float:
    """The cores of one control group: `cpu.max` holds 'QUOTA PERIOD' or 'max PERIOD', in microseconds."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except (OSError, ValueError):
            return math.inf
    try:
        return int(quota) / int(period) if int(quota) > 0 else math.inf  # -1: no limit
    except (ValueError, ZeroDivisionError):  # 'max'
        return math.inf
