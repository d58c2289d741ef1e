"""Recipes: everything that decides a training run, one row each. Does not import TensorFlow, so that `--help` is fast.

A recipe is a frozen dataclass. Its fields with a help text are flags of `python -m graph_resnet.train`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graph_resnet.architectures import ARCHITECTURES, Architecture
from graph_resnet.fields import Choice, Maybe, Number, Row, Several, Switch, Text, Whole, declared

# Mean and standard deviation of the training pixels, per channel, in units of x / 255.
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF, ONE = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)

DATASETS = ("cifar10", "cifar100", "synthetic", "synthetic100", "pictures")
OPTIMIZERS = ("momentum", "nesterov", "adam", "muon")
SCHEDULES = ("constant", "piecewise", "cosine", "linear", "triangular")


STEPS, EPOCHS = Whole(1, 10**9), Whole(1, 10**6)
MINUTES = Number(0.1, 1e6)
SEED = Whole(-(2**31) + 1, 2**31 - 1)  # the range that TensorFlow accepts


@dataclass(frozen=True)
class Net:
    """A kind of value: the name of a row of ARCHITECTURES, or a user's row; as a flag also FILE.py:NAME."""

    metavar = "NET"
    names = tuple(ARCHITECTURES)
    word = f"{Choice(ARCHITECTURES)}, nor FILE.py:NAME"

    def parse(self, text: str) -> str | Architecture:
        if ".py:" in text:
            from graph_resnet import own_code

            return own_code.architecture(text)
        return Choice(ARCHITECTURES).parse(text)

    def check(self, value: Any) -> str | Architecture:
        return Row(Architecture).check(value) if isinstance(value, Architecture) else Choice(ARCHITECTURES).check(value)

    def __str__(self):
        return str(Choice(ARCHITECTURES))


@dataclass(frozen=True)
class Recipe:
    """One training run as data. `source` says where it is from; `epochs` or `steps` is its length there.

    `result` is the measured result of the row as it stands, for people only; runs do not record it.
    """

    name: str = declared(Text(200), flag=False)
    source: str = declared(Text(2000), flag=False)
    net: str | Architecture = declared(Net(), f"{', '.join(ARCHITECTURES)}, or a row of your own as FILE.py:NAME")
    dataset: str = declared(Choice(DATASETS), "which images; 'pictures' means those of --dataset-dir")
    image_size: int = declared(Whole(1, 4096), "side of the images that the net sees, in pixels")
    batch_size: int = declared(Whole(1, 2**20), "images in a training batch")
    optimizer: str = declared(Choice(OPTIMIZERS), "update rule")
    learning_rate: float = declared(Number(0, 1e3), "maximum learning rate of the schedule")
    steps: int | None = declared(Maybe(STEPS), flag=False, default=None)
    epochs: int | None = declared(Maybe(EPOCHS), flag=False, default=None)
    schedule: str = declared(
        Choice(SCHEDULES),
        "of the learning rate over the run: a tenth after half, a hundredth after three quarters (piecewise), down to "
        "zero at the end (cosine, linear), or from 0.2 of it up to all of it at 0.23 of the run, then down "
        "to 0.07 of it (triangular)",
        default="constant",
    )
    warmup_steps: int = declared(
        Whole(0, 10**9),
        "steps in which the rate rises from zero; if the run has no more steps than that, a tenth of the run",
        default=0,
    )
    momentum: float = declared(
        Number(0, 1), "of the optimizers momentum and nesterov; with muon, of all but filters", default=0.9
    )
    beta_rate: float = declared(
        Number(0, 1e3),
        "learning rate of batch norm's beta, as a multiple of that of the weights; adam ignores it",
        default=1.0,
    )
    lookahead: int = declared(Whole(0), "set the weights to their moving average every N steps; 0: never", default=0)
    weight_decay: float = declared(Number(0, 1e3), "L2 penalty of weights, not of biases, beta, gamma", default=0.0)
    label_smoothing: float = declared(Number(0, 1), "share of the label spread over all classes", default=0.0)
    label: str = declared(Choice(("fine", "coarse")), "which labels of CIFAR-100", default="fine")
    flip: bool = declared(Switch(), "mirror each training image with probability 1/2", default=True)
    alternating_flips: bool = declared(
        Switch(), "mirror one half of the images in one epoch, the other half in the next, instead of at random",
        default=False,
    )  # fmt: skip
    crop: int = declared(
        Whole(0, 4096), "shift each training image by up to N pixels; reflection fills the border", default=0
    )
    cutout: int = declared(
        Whole(0, 4096), "set a square of N x N pixels of each training image, at a random place, to --mean", default=0
    )
    mean: tuple[float, ...] = declared(
        Several(Number(-1e3, 1e3), 3), "subtracted from x / 255: one number per channel, or one for all", default=HALF
    )
    std: tuple[float, ...] = declared(
        Several(Number(1e-3, 1e3), 3), "divides the result: one number per channel, or one for all", default=ONE
    )
    batch_norm_decay: float = declared(Number(0, 1), "decay of batch norm's moving averages", default=0.99)
    precise_batch_norm: int = declared(
        Whole(0, 10**6), "before an evaluation, recompute the moving averages from N training batches", default=0
    )
    sync_batch_norm: bool = declared(
        Switch(), "batch norm uses the statistics of the whole batch, not of each worker's part", default=False
    )
    towers: int = declared(
        Whole(1, 1024), "split each step into N towers side by side, each with its part of the batch and of the "
        "threads, and batch norm over its part: as N workers, in one process (docs/speed.md)", default=1,
    )  # fmt: skip
    whitening: bool = declared(
        Switch(), "the first convolution starts with filters that whiten the training images", default=False
    )
    eval_every: int | None = declared(
        Maybe(STEPS), "steps between evaluations; default: the recipe's, else an epoch", default=None
    )
    result: str | None = declared(Maybe(Text(500)), flag=False, default=None, compare=False)

    @property
    def architecture(self) -> Architecture:
        """The row of `net`."""
        return ARCHITECTURES[self.net] if isinstance(self.net, str) else self.net

    @property
    def net_name(self) -> str:
        """The name of the net's row; for a user's row its scope."""
        return self.net if isinstance(self.net, str) else self.net.scope

    def total_steps(self, num_train: int) -> int:
        """The run's length in updates, for `num_train` training images."""
        return self.steps or max(1, round(self.epochs * num_train / self.batch_size))

    def eval_steps(self, num_train: int) -> int:
        """Updates between evaluations. A run shorter than that is evaluated five times."""
        every, total = self.eval_every or max(1, round(num_train / self.batch_size)), self.total_steps(num_train)
        return every if every <= total else -(-total // 5)

    def warmup(self, total_steps: int) -> int:
        """Updates in which the learning rate rises: `warmup_steps`, or a tenth of the run if that would fill it."""
        return self.warmup_steps if self.warmup_steps < total_steps else total_steps // 10

    @property
    def length(self) -> str:
        """The length as in the source, such as '20,000 steps'."""
        return f"{self.steps:,} steps" if self.steps else f"{self.epochs:,} epochs"


def _rows() -> Iterator[Recipe]:
    # Batch norm's decay does not affect training, only evaluation: at a constant learning rate of 0.01 the weights
    # change too fast for slow moving averages. 500 steps from step 4,000 on, evaluated every 25 steps on 1,000 training
    # images of CIFAR-10 (JPEG-75), with moving averages of several decays in parallel, accuracy in %:
    #   decay                      0.8   0.9   0.95  0.97  0.99  0.995    a batch's own statistics
    #   mean of 20 evaluations     73.9  72.6  71.2  70.5  68.7  67.2     76.2
    #   standard deviation          1.9   2.7   3.0   2.8   4.2   4.5
    notebook = Recipe(
        name="notebook",
        source="the bottleneck ResNet tutorial: momentum, constant learning rate, flips; images resized to 96x96",
        net="bottleneck",
        dataset="cifar10",
        image_size=96,
        batch_size=64,
        optimizer="momentum",
        learning_rate=0.01,
        steps=20_000,
        mean=CIFAR10_MEAN,
        std=CIFAR10_STD,
        batch_norm_decay=0.9,
        eval_every=1_000,
        result="78.94% on CIFAR-10 (JPEG-75), 0.88 PFLOP",
    )
    yield notebook
    # That tutorial's net ends in a softmax and its loss expects logits, so the softmax is applied twice. Ours returns
    # logits and learns faster than the original. Its loop, and that of the tutorial with local files, call the Keras
    # model without `training=True`: batch norm then stays in inference mode during training, always with mean 0 and
    # variance 1. Ours normalizes by the batch.
    cifar100 = Recipe(
        name="resnet18-cifar100",
        source="a Keras tutorial of ResNet-18 on CIFAR-100: Adam, x/255 - 0.5, no augmentation",
        net="resnet18",
        dataset="cifar100",
        image_size=32,
        batch_size=512,
        optimizer="adam",
        learning_rate=1e-3,
        epochs=500,
        flip=False,
        mean=HALF,
        std=ONE,
    )
    yield cifar100
    yield Recipe(
        name="resnet18-flip",
        source="a Keras tutorial of ResNet-18 on CIFAR-10: Adam, flips, ImageNet's mean and std; reports about 90%",
        net="resnet18",
        dataset="cifar10",
        image_size=32,
        batch_size=256,
        optimizer="adam",
        learning_rate=1e-3,
        epochs=500,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        result="81.27% on CIFAR-10 (JPEG-75) after 20 epochs, 3.1 PFLOP",
    )
    yield Recipe(
        name="resnet18-adam",
        source="a Keras tutorial of ResNet-18 on CIFAR-10 from local files: Adam, x/127.5 - 1; expects about 80%",
        net="resnet18",
        dataset="cifar10",
        image_size=32,
        batch_size=512,
        optimizer="adam",
        learning_rate=1e-4,
        epochs=100,
        flip=False,
        mean=HALF,
        std=HALF,
    )
    yield dataclasses.replace(
        cifar100, name="resnet34-cifar100", net="resnet34", source="as resnet18-cifar100, with ResNet-34"
    )
    # An output of the net's last convolution sees 49 pixels: half the side of a 96x96 image, all of a 48x48 one
    # (docs/trials.md).
    yield dataclasses.replace(
        notebook,
        name="strong",
        source="ours: the tutorial's net with a schedule, weight decay, more augmentation; on images of 48x48",
        image_size=48,
        optimizer="nesterov",
        learning_rate=0.05,
        schedule="cosine",
        warmup_steps=500,
        weight_decay=5e-4,
        label_smoothing=0.1,
        crop=4,
        batch_norm_decay=0.99,
        towers=2,
        whitening=True,
        result="86.67%, 86.44% and 86.93% on CIFAR-10 (JPEG-75), 0.22 PFLOP",
    )
    fast = Recipe(
        name="fast",
        source="ours, after K. Jordan (arXiv:2404.00498): eleven epochs in large batches, with Muon",
        net="fast",
        dataset="cifar10",
        image_size=32,
        batch_size=2000,
        optimizer="muon",
        momentum=0.85,
        learning_rate=1.5,
        schedule="triangular",
        steps=281,
        weight_decay=1.33e-3,
        label_smoothing=0.2,
        lookahead=5,
        alternating_flips=True,
        crop=2,
        mean=CIFAR10_MEAN,
        std=CIFAR10_STD,
        batch_norm_decay=0.6,
        towers=8,
        whitening=True,
        eval_every=25,
        result="90.20%, 90.45% and 90.07% on CIFAR-10 (JPEG-75), 0.40 PFLOP",
    )
    yield fast
    yield dataclasses.replace(
        fast,
        name="fast-wide",
        source="ours: like fast, with more channels, larger shifts, cutout, and 27 epochs",
        net="fast-wide",
        steps=663,
        crop=4,
        cutout=12,
        eval_every=50,
        result="91.55% on CIFAR-10 (JPEG-75), 2.4 PFLOP",
    )


RECIPES = {recipe.name: recipe for recipe in _rows()}

# Rows of version 1.0.0 that `fast` and `fast-wide` replace, as flags; docs/trials.md keeps their results.
RETIRED = {
    "strong-deep": "--recipe strong --net deep --image-size 32 --learning-rate 0.1 --towers 1",
    "resnet18-strong": "--recipe strong --net resnet18-pools --image-size 32 --learning-rate 0.1 --towers 1",
}


def table() -> str:
    """The recipes as text, one paragraph each."""
    return "\n".join(
        f"{r.name:<18} {r.net_name}, {r.dataset}, {r.image_size}x{r.image_size}, batch {r.batch_size}, {r.optimizer} "
        f"{r.learning_rate:g}{'' if r.schedule == 'constant' else ' ' + r.schedule}, {r.length}\n{'':<18} {r.source}"
        + (f"\n{'':<18} measured: {r.result}" if r.result else "")
        for r in RECIPES.values()
    )
