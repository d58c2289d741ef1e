"""Recipes: all that decides what is trained, one row each. TensorFlow-free, so that `--help` is quick.

A recipe is a frozen dataclass; every field is also a flag of `python -m graph_resnet.train`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from graph_resnet.architectures import ARCHITECTURES

# Mean and standard deviation of the training pixels, a channel each, in units of x / 255.
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF, ONE = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)

DATASETS = ("cifar10", "cifar100", "synthetic", "synthetic100", "pictures")
OPTIMIZERS = ("momentum", "nesterov", "adam")
SCHEDULES = ("constant", "piecewise", "cosine", "linear")


def _flag(help, *, choices=None, bounds=None, default=dataclasses.MISSING):
    return field(default=default, metadata={"help": help, "choices": choices, "bounds": bounds})


@dataclass(frozen=True)
class Recipe:
    """One training run as data. `source` says whose it is; its length there is `epochs` or `steps`."""

    name: str
    source: str
    net: str = _flag("architecture, a row of graph_resnet.architectures", choices=ARCHITECTURES)
    dataset: str = _flag("which images; 'pictures' are those of --dataset-dir", choices=DATASETS)
    image_size: int = _flag("side of the images that the net sees, in pixels")
    batch_size: int = _flag("images in a training batch")
    optimizer: str = _flag("update rule", choices=OPTIMIZERS)
    learning_rate: float = _flag("learning rate, the highest of the schedule", bounds=(0, 1e3))
    steps: int | None = None
    epochs: int | None = None
    schedule: str = _flag(
        "of the learning rate over the run: to a tenth after half and again after three quarters of it (piecewise), or "
        "down to zero at its end (cosine, linear)",
        choices=SCHEDULES,
        default="constant",
    )
    warmup_steps: int = _flag("steps in which the learning rate first rises from zero", default=0)
    momentum: float = _flag("of the optimizers momentum and nesterov", bounds=(0, 1), default=0.9)
    weight_decay: float = _flag(
        "L2 penalty of the weights, not of biases, beta and gamma", bounds=(0, 1e3), default=0.0
    )
    label_smoothing: float = _flag("share of the label that is spread over all classes", bounds=(0, 1), default=0.0)
    label: str = _flag("which labels of CIFAR-100", choices=("fine", "coarse"), default="fine")
    flip: bool = _flag("mirror each training image with probability 1/2", default=True)
    crop: int = _flag("shift each training image by up to N pixels, filled up by reflection", default=0)
    mean: tuple[float, ...] = _flag("subtracted from x / 255: one number a channel, or one for all", default=HALF)
    std: tuple[float, ...] = _flag("what is left is divided by it, likewise", bounds=(1e-3, 1e3), default=ONE)
    batch_norm_decay: float = _flag("decay of batch norm's moving averages", bounds=(0, 1), default=0.99)
    sync_batch_norm: bool = _flag(
        "batch norm's statistics are those of the whole batch, not of each worker's rows of it", default=False
    )
    whitening: bool = _flag(
        "the first convolution begins with filters that whiten the training images, not with drawn ones", default=False
    )
    eval_every: int | None = _flag("steps between evaluations; an epoch where the recipe does not say", default=None)

    def total_steps(self, num_train):
        """Updates in the recipe's length, for `num_train` training images."""
        return self.steps or max(1, round(self.epochs * num_train / self.batch_size))

    def eval_steps(self, num_train):
        """Updates from one evaluation to the next."""
        return self.eval_every or max(1, round(num_train / self.batch_size))

    @property
    def length(self):
        """As the source gives it: '20,000 steps'."""
        return f"{self.steps:,} steps" if self.steps else f"{self.epochs:,} epochs"


def _rows():
    # Batch norm's decay does not touch the training, only what is evaluated: at a constant learning rate of 0.01 the
    # weights run ahead of slow moving averages. 500 steps from step 4,000 on, evaluated every 25 steps on 1,000
    # training images of CIFAR-10 (JPEG-75) with averages of several decays kept side by side, accuracy in %:
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
    )
    yield notebook
    # That tutorial's net ends in a softmax and its loss expects logits, so the softmax is applied twice. Ours takes
    # logits: it learns faster than the original.
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
    # An output of the net's last convolution sees 49 pixels: half of a side of 96, all of 48 (docs/accuracy.md).
    strong = dataclasses.replace(
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
        whitening=True,
    )
    yield strong
    yield dataclasses.replace(
        strong,
        name="strong-deep",
        source="ours: likewise, with wide basic blocks and max pools on 32x32 images",
        net="deep",
        image_size=32,
        learning_rate=0.1,
    )
    yield dataclasses.replace(
        strong,
        name="resnet18-strong",
        source="ours: likewise, with ResNet-18: batch norm for biases, max pools for strides",
        net="resnet18-pools",
        image_size=32,
        learning_rate=0.1,
    )


RECIPES = {recipe.name: recipe for recipe in _rows()}


def table():
    """The recipes as text, a paragraph each."""
    return "\n".join(
        f"{r.name:<18} {r.net}, {r.dataset}, {r.image_size}x{r.image_size}, batch {r.batch_size}, {r.optimizer} "
        f"{r.learning_rate:g}{'' if r.schedule == 'constant' else ' ' + r.schedule}, {r.length}\n{'':<18} {r.source}"
        for r in RECIPES.values()
    )
