"""The arithmetic of a training step, counted from the rows of an architecture, and the threads that it is worth."""

from __future__ import annotations

import math

from graph_resnet.architectures import Architecture, Group
from graph_resnet.recipes import Recipe

# Multiplications and additions of a step below which a second thread costs more than it does: waking it takes some 40
# us, as long as many of the 470 ops of so small a step. docs/speed.md has the measurement.
SMALL_STEP = 3e9


def default_threads(recipe: Recipe) -> int | None:
    """CPU threads of a recipe's training step: 1 where the step is small, else None, which is all cores."""
    return 1 if step_work(recipe) < SMALL_STEP else None


def step_work(recipe: Recipe) -> float:
    """Multiplications and additions of the blocks in one step: three times those of the forward pass."""
    sizes = group_sizes(recipe.architecture, recipe.image_size)
    return 3 * recipe.batch_size * sum(group.units * block_work(side, group) for side, group in sizes)


def costliest_group(architecture: Architecture, image_size: int) -> tuple[int, Group]:
    """(height and width of its images, group) of the group whose blocks cost most."""
    sizes = group_sizes(architecture, image_size)
    return max(sizes, key=lambda pair: pair[1].units * block_work(*pair))


def group_sizes(architecture: Architecture, image_size: int) -> list[tuple[int, Group]]:
    """Each group behind the height and width, in pixels, of its blocks' output (pooled: of the input)."""
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
