"""The machine: whether the commands support this system, its CPU, and the cores that this process may use."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

from graph_resnet.errors import UserError


def check_system() -> None:
    """Refuses a system on which the commands do not work.

    Raises:
      UserError: there is no fcntl to lock a train dir: this is Windows, or a Python in a browser.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:
        raise UserError(
            f"{platform.system() or 'this system'}: the commands run on Linux and macOS; on Windows run them in WSL "
            "(`wsl --install`), or import graph_resnet, whose blocks and nets do not need them"
        ) from None


def has_directory() -> bool:
    """Whether the working directory of this process still exists."""
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def cpu_flags() -> set[str]:
    """What the CPU can do, as Linux names it, such as 'avx2'; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}


def affinity() -> list[int] | None:
    """The numbers of the cores that this process may use; None if the system does not report them (macOS)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def cores() -> int:
    """The number of cores that this process can keep busy: at least 1.

    It is the minimum of the machine's cores, the cores that the process may run on (taskset, Slurm) and the CPU time
    of its control group (`docker run --cpus 2`): more threads would only wait for each other.
    """
    allowed = affinity()
    count = len(allowed) if allowed else os.cpu_count() or 1
    return max(1, math.ceil(min(count, _quota())))


def _quota(processes: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> float:
    """The number of cores that the control groups of this process (versions 1 and 2) allow; infinity for no limit."""
    try:
        lines = processes.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return math.inf
    limits = [math.inf]
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In version 2, `controllers` is empty. Any of the enclosing groups may have a limit. A container sees its own
        # group as the root, whatever this path says.
        root = groups / "cpu" if controllers else groups
        for group in (Path(path.lstrip("/")), *Path(path.lstrip("/")).parents):
            limits.append(_limit(root / group))
    return min(limits)


def _limit(group: Path) -> float:
    """The limit of one control group in cores: `cpu.max` holds 'QUOTA PERIOD' or 'max PERIOD', in microseconds."""
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
