"""The nets as a table of rows, which `net.build` builds. TensorFlow-free, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stem:
    """The first convolution of a net."""

    scope: str
    conv: str
    depth: int
    kernel: int
    stride: int = 1
    padding: str = "SAME"


@dataclass(frozen=True)
class Group:
    """`units` residual blocks at one resolution; the first carries the stride."""

    scope: str
    units: int
    depth: int
    bottleneck: int | None = None  # None: basic blocks
    stride: int = 1
    pool: tuple[int, int] | None = None  # (size, stride) of a max pool before the first block


@dataclass(frozen=True)
class Architecture:
    """A net as data. `biases`: convolutions keep their bias before a batch norm, convolutional shortcuts have a bias
    and no batch norm (Keras tutorials); without, neither has, as in He et al., arXiv:1512.03385."""

    scope: str
    stem: Stem
    groups: tuple[Group, ...]
    unit_scope: str = "unit"
    classifier_scope: str | None = None  # None: the last layer stands at the top, as `<scope>/logit`
    biases: bool = False


def _keras(scope, units):
    """A basic-block net for 32x32 images as Keras tutorials have it, `units` blocks in each of its four groups."""
    shape = zip((64, 128, 256, 512), units, (1, 2, 2, 2), ((2, 1), None, None, None))
    groups = (Group(f"block{i}", n, depth, stride=s, pool=p) for i, (depth, n, s, p) in enumerate(shape, 1))
    return Architecture(scope, Stem("stem", "conv1", 64, 3, padding="VALID"), tuple(groups), biases=True)


ARCHITECTURES = {
    "bottleneck": Architecture(
        scope="resnet",
        stem=Stem("block1", "conv5_5", 32, 5, stride=2),
        groups=(
            Group("block2", 2, 128, bottleneck=32, pool=(3, 2)),
            Group("block3", 2, 512, bottleneck=128, stride=2),
        ),
        unit_scope="residual_block",
        classifier_scope="classification",
    ),
    # Blocks where they pay on 32x32 images: a wide one or two each at 32x32, 16x16, 8x8 and 4x4. Basic ones, which take
    # less time than bottlenecks and learn more; max pools lead from one size to the next, as blocks with a stride learn
    # more slowly (docs/accuracy.md).
    "deep": Architecture(
        scope="deep",
        stem=Stem("stem", "conv1", 32, 3),
        groups=(
            Group("block1", 1, 64),
            Group("block2", 2, 128, pool=(3, 2)),
            Group("block3", 1, 256, pool=(3, 2)),
            Group("block4", 1, 512, pool=(3, 2)),
        ),
    ),
    "resnet18": _keras("resnet18", (2, 2, 2, 2)),
    "resnet34": _keras("resnet34", (3, 4, 6, 3)),
    # Batch norm for biases, and likewise max pools where the usual ResNet-18 has strides.
    "resnet18-pools": Architecture(
        scope="resnet18",
        stem=Stem("stem", "conv1", 64, 3),
        groups=(
            Group("block1", 2, 64),
            Group("block2", 2, 128, pool=(3, 2)),
            Group("block3", 2, 256, pool=(3, 2)),
            Group("block4", 2, 512, pool=(3, 2)),
        ),
    ),
}
