"""Describes a run, for config.json and in printed lines."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy
import tensorflow.compat.v1 as tf

import graph_resnet
from graph_resnet import fields
from graph_resnet.machine import cores
from graph_resnet.recipes import RECIPES, Recipe
from graph_resnet.training import finished
from graph_resnet.training.start import Job


def for_config(job: Job, data: dict, before: dict | None) -> dict[str, Any]:
    """The dict for config.json at the start of a run.

    Args:
      job: the run.
      data: `find.describe` of its records.
      before: the previous content of config.json, None for a new run.
    """
    before, source = before or {}, job.start.init_checkpoint
    return {
        **finished.identity(job.recipe, job.records, job.seed, job.start),
        "precision": job.machine.precision,
        "threads": job.machine.threads,
        "workers": 1,
        "data": {**data, "directory": str(_place(job.records))},
        "class_names": list(job.records.class_names),
        "init_checkpoint": before.get("init_checkpoint") if before else source and os.path.abspath(source),
        "exclude_scopes": before.get("exclude_scopes", []) if before else list(job.start.exclude_scopes),
        "command": job.show.command,
        "started": before.get("started") if before else now(),
        "machine": machine(),
        "commit": commit(),
        "versions": {
            "graph_resnet": graph_resnet.__version__,
            "tensorflow": tf.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    }


def _place(records):
    """The directory to pass as --data-dir or --dataset-dir to find these records again."""
    if records.directory:
        return Path(records.directory).absolute()
    folder = records.train[0].parent.absolute()
    return folder.parent if records.dataset.startswith("synthetic") else folder


def now() -> str:
    """The date and time, such as '2026-11-26T02:15:00Z'."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def machine() -> dict[str, Any]:
    """The CPU, the cores available to this process, and the memory in GiB; None for what the system does not report."""
    return {"cpu": _cpu(), "cores": cores(), "memory_gib": _memory(), "system": platform.platform(terse=True)}


def _cpu():
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory():
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def commit() -> str | None:
    """The commit that this package runs from, with '-dirty' if files were changed; None for an installed package."""
    root = Path(graph_resnet.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def lines(job: Job, config: dict, why: str) -> list[str]:
    """The lines printed at the start of a run.

    Args:
      job: the run.
      config: `for_config`, with the chosen precision.
      why: the reason for the precision.
    """
    recipe, count, host = job.recipe, job.records.num_train, config["machine"]
    total, epochs = recipe.total_steps(count), recipe.total_steps(count) * recipe.batch_size / count
    weights = sum(v.shape.num_elements() for v in tf.trainable_variables())
    size, threads = (
        recipe.image_size,
        f", {job.machine.threads} thread{'s' * (job.machine.threads != 1)}" if job.machine.threads else "",
    )
    return [
        f"[recipe]: {recipe.name}{_overrides(recipe)}; seed {job.seed}",
        f"[net]: {recipe.net_name}, {weights:,} parameters to train, images of {size}x{size}",
        f"[length]: {total:,} steps of {recipe.batch_size} images, {epochs:.3g} epochs; evaluated every "
        f"{recipe.eval_steps(count):,} steps, saved every {job.output.save_every:,}",
        f"[learning rate]: {_schedule(recipe, total)}",
        f"[data dir]: {config['data']['directory']}",
        f"[precision]: {config['precision']}, {why}",
        f"[machine]: {host['cpu']}, {host['cores']} cores{threads}",
    ]


def _overrides(recipe: Recipe) -> str:
    """Such as ', but batch_size 8 for 64': the fields that differ from the recipe of that name."""
    base = RECIPES.get(recipe.name)
    if base is None:
        return ", your own"
    names = [name for name in fields.shallow(base) if name not in ("steps", "epochs")]
    changes = [(name, getattr(recipe, name), getattr(base, name)) for name in names]
    texts = [f"{name} {_text(new)} for {_text(old)}" for name, new, old in changes if new != old]
    if recipe.length != base.length:
        texts.append(f"{recipe.length} for {base.length}")
    return f", but {', '.join(texts)}" if texts else ""


def _text(value):
    if isinstance(value, tuple):
        return "/".join(f"{number:g}" for number in value)
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "scope", value))


def _schedule(recipe: Recipe, total: int) -> str:
    """Such as '0.05 by nesterov, cosine, after a warm-up of 500 steps'."""
    text = f"{recipe.learning_rate:g} by {recipe.optimizer}, {recipe.schedule}"
    warmup = recipe.warmup(total)
    if not recipe.warmup_steps:
        return text
    text += f", after a warm-up of {warmup:,} steps"
    if warmup != recipe.warmup_steps:
        return f"{text}, a tenth of the run: the recipe's {recipe.warmup_steps:,} would be all of it"
    if 2 * warmup > total:
        return f"{text}, more than half of the run; a smaller --warmup-steps leaves more time at the full rate"
    return text
