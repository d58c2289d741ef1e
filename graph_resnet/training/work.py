"""Counts the arithmetic of a training step from the rows of an architecture, and chooses its number of threads."""

from __future__ import annotations

import math

from graph_resnet import machine
from graph_resnet.architectures import Architecture, Group
from graph_resnet.recipes import Recipe

# Multiplications and additions of a step below which an op's second thread costs more time than it saves on a CPU with
# AVX-512: waking it takes about 40 us, as long as many of the 470 ops of such a small step. On a slower CPU without it,
# a Zen 3, a second thread saves time even with four images of 32x32. Measured in docs/speed.md.
SMALL_STEP = 5e9


def threads_and_ops(recipe: Recipe, threads: int | None = None) -> tuple[int, int]:
    """(CPU threads, ops that run side by side on their share of them) of a recipe's training step.

    Large ops run one at a time in each tower, because two at once share the cores' caches and were slower. Small ones
    have one thread each and run two at a time, such as the gradients of a layer's input and of its filters.

    Args:
      recipe: `recipes.Recipe`.
      threads: those of the run; default all cores, or as many as small ops can use.
    """
    if "avx512f" not in machine.cpu_flags() or step_work(recipe) >= SMALL_STEP * recipe.towers:
        return threads or machine.cores(), recipe.towers
    threads = threads or min(2 * recipe.towers, machine.cores())
    return threads, threads


def step_work(recipe: Recipe) -> float:
    """Multiplications and additions of the blocks in one step: three times the forward pass."""
    sizes = group_sizes(recipe.architecture, recipe.image_size)
    return 3 * recipe.batch_size * sum(group.units * block_work(side, group) for side, group in sizes)


def costliest_group(architecture: Architecture, image_size: int) -> tuple[int, Group]:
    """(height and width of its images, group) of the group with the most work."""
    sizes = group_sizes(architecture, image_size)
    return max(sizes, key=lambda pair: pair[1].units * block_work(*pair))


def group_sizes(architecture: Architecture, image_size: int) -> list[tuple[int, Group]]:
    """(side, group) for each group; side is the height and width of its blocks' output (pooled: input), in pixels."""
    stem = architecture.stem
    side = math.ceil((image_size - (stem.kernel - 1 if stem.padding == "VALID" else 0)) / stem.stride)
    sizes = []
    for group in architecture.groups:
        side = math.ceil(side / (group.pool[1] if group.pool else 1))
        side = math.ceil(side / group.stride)
        sizes.append((max(1, side), group))
        side //= (group.pooled or 1) ** group.units
    return sizes


def block_work(side: int, group: Group) -> float:
    """Multiplications and additions of one block for one image."""
    depth, inner = group.depth, group.bottleneck
    weights = 2 * depth * inner + 9 * inner**2 if inner else 18 * depth**2
    if group.pooled:
        weights = 9 * depth**2 * (1 + 1 / group.pooled**2)
    return 2.0 * side**2 * weights
