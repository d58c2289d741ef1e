"""The nets as table rows for `net.build`. Does not import TensorFlow, so that `--help` is fast."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from graph_resnet.fields import Choice, Maybe, Number, Row, Rows, Several, Switch, Whole, declared

SIZE, DEPTH = Whole(1, 64), Whole(1, 65_536)


@dataclass(frozen=True)
class Scope:
    """A kind of value (see `fields`): the name of a variable scope."""

    def check(self, value: Any) -> str:
        if not (isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}", value)):
            raise ValueError
        return value

    def __str__(self):
        return "a scope: at most 100 letters, digits, _ . - and /, starting with a letter or digit"


@dataclass(frozen=True)
class Stem:
    """The first convolution of a net."""

    scope: str = declared(Scope(), "scope around it")
    conv: str = declared(Scope(), "its own scope")
    depth: int = declared(DEPTH, "channels of its output")
    kernel: int = declared(SIZE, "height and width of its filters")
    stride: int = declared(SIZE, default=1)
    padding: str = declared(Choice(("SAME", "VALID")), default="SAME")
    frozen: bool = declared(Switch(), "filters are not trained; a bias follows instead of batch norm", default=False)


@dataclass(frozen=True)
class Group:
    """`units` residual blocks at one resolution; the first carries the stride."""

    scope: str = declared(Scope(), "scope around them")
    units: int = declared(Whole(1, 1000), "blocks")
    depth: int = declared(DEPTH, "channels of their output")
    bottleneck: int | None = declared(Maybe(DEPTH), "channels inside a bottleneck; None: basic blocks", default=None)
    stride: int = declared(SIZE, "of the first block", default=1)
    pool: tuple[int, int] | None = declared(
        Maybe(Several(SIZE, 2)), "size, stride of a max pool before them", default=None
    )
    pooled: int | None = declared(Maybe(SIZE), "pooled blocks: size of the max pool within each", default=None)
    plain: bool = declared(Switch(), "pooled blocks without a shortcut; filters start as identities", default=False)


@dataclass(frozen=True)
class Architecture:
    """A net as data.

    With `keras_style`, layers are as in Keras tutorials: convolutions have a bias before batch norm, batch norm has a
    gamma, convolutional shortcuts have a bias and no batch norm. Otherwise there is neither bias nor gamma, as in He et
    al., arXiv:1512.03385, and shortcuts are normalized.
    """

    scope: str = declared(Scope(), "of all variables; also the name of a net that is not in the table")
    stem: Stem = declared(Row(Stem))
    groups: tuple[Group, ...] = declared(Rows(Group))
    unit_scope: str = declared(Scope(), "of a block, before its number", default="unit")
    classifier_scope: str | None = declared(
        Maybe(Scope()), "around the last layer; None: the layer is `<scope>/logit`", default=None
    )
    keras_style: bool = declared(Switch(), default=False)
    activation: str = declared(Choice(("relu", "gelu")), "after convolutions", default="relu")
    global_pool: str = declared(Choice(("mean", "max")), "over the pixels of the last group", default="mean")
    logits_scale: float = declared(Number(0, 1e3), "factor of the last layer's output", default=1.0)

    def problem(self) -> str | None:
        """What is wrong with the row as a whole: two parts with one scope, which would share their variables."""
        parts = [self.stem.scope, *(group.scope for group in self.groups), self.classifier_scope or "logit"]
        twice = next((scope for scope in parts if parts.count(scope) > 1), None)
        return None if twice is None else f"two parts of the net have the scope {twice!r}; give each its own"


def _keras(scope, units):
    """A basic-block net for 32x32 images as in Keras tutorials, with `units` blocks in each of its four groups."""
    shape = zip((64, 128, 256, 512), units, (1, 2, 2, 2), ((2, 1), None, None, None))
    groups = (Group(f"block{i}", n, depth, stride=s, pool=p) for i, (depth, n, s, p) in enumerate(shape, 1))
    return Architecture(scope, Stem("stem", "conv1", 64, 3, padding="VALID"), tuple(groups), keras_style=True)


def _pooled(scope, depths):
    """A net of three blocks after K. Jordan: 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498, 2024.

    Its plain blocks, initialized to pass their input on, are 0.3 points better than residual ones (docs/trials.md).
    """
    return Architecture(
        scope=scope,
        stem=Stem("stem", "conv1", 24, 2, padding="VALID", frozen=True),
        groups=tuple(Group(f"block{i}", 1, depth, pooled=2, plain=True) for i, depth in enumerate(depths, 1)),
        activation="gelu",
        global_pool="max",
        logits_scale=1 / 9,
    )


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
    # For 32x32 images: one or two wide blocks each at 32x32, 16x16, 8x8 and 4x4. Basic blocks take less time than
    # bottlenecks and learn more. Max pools reduce the size, because blocks with a stride learn more slowly
    # (docs/trials.md).
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
    "fast": _pooled("fast", (64, 256, 256)),
    "fast-wide": _pooled("fast_wide", (128, 384, 384)),
    "resnet18": _keras("resnet18", (2, 2, 2, 2)),
    "resnet34": _keras("resnet34", (3, 4, 6, 3)),
    # Batch norm instead of biases, and max pools where the usual ResNet-18 has strides.
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
