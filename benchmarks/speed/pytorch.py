"""PyTorch as a peer: the same nets, in channels_last, eager and compiled, float32 and bfloat16 autocast.

If SAME padding is odd, TensorFlow adds the odd row and column at the end, PyTorch's `padding` at the beginning: its net
is a mirrored version of ours. Images and filters are therefore rotated by 180 degrees when they are loaded, which costs
no time in a step; separate padding would copy each layer. `fast` does not need this: its padding is even, and its pools
drop the last row of an odd image in both.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.speed import ready
from benchmarks.speed.worker import Peer, timed

VERSIONS = {"PyTorch": torch.__version__}


def quick_gelu(x):
    """x * sigmoid(1.702 * x), as `net.gelu`."""
    return x * torch.sigmoid(1.702 * x)


class Convolution(nn.Module):
    """SAME or unpadded convolution, max pool, batch norm, activation."""

    def __init__(
        self, depths, size, stride=1, *, padded=True, bias=False, pool=1, norm=True, scale=False, act=torch.relu
    ):
        super().__init__()
        # A 1x1 filter has no padding, so the mirroring shows: with an even number of rows TensorFlow reads the first,
        # third, ..., which here are the last, the last but two, ...
        self.skip = stride if size == 1 else 1
        stride = 1 if size == 1 else stride
        self.conv = nn.Conv2d(*depths, size, stride, size // 2 if padded else 0, bias=bias)
        self.norm = nn.BatchNorm2d(depths[1], eps=1e-3, momentum=0.01) if norm else None
        if norm and not scale:
            self.norm.weight.requires_grad_(False).fill_(1)
        self.pool, self.act = pool, act

    def forward(self, x):
        if self.skip > 1:
            x = x[:, :, (x.shape[2] + 1) % 2 :: self.skip, (x.shape[3] + 1) % 2 :: self.skip]
        x = self.conv(x)
        if self.pool > 1:
            x = nn.functional.max_pool2d(x, self.pool)
        if self.norm is not None:
            x = self.norm(x)
        return self.act(x) if self.act else x


class Block(nn.Module):
    """A residual block: convolutions in sequence, plus the shortcut, ReLU."""

    def __init__(self, shortcut, *convolutions):
        super().__init__()
        self.shortcut = shortcut
        for i, convolution in enumerate(convolutions, 1):
            self.add_module(f"conv{i}", convolution)
        self.chain = [f"conv{i}" for i, _ in enumerate(convolutions, 1)]

    def forward(self, x):
        y = x
        for name in self.chain:
            y = getattr(self, name)(y)
        return (y + (x if self.shortcut is None else self.shortcut(x))).relu()


class GlobalMean(nn.Module):
    """[B, C, H, W] -> [B, C]."""

    def forward(self, x):
        return x.mean((2, 3))


def sequence(**modules):
    """`nn.Sequential` of named modules."""
    return nn.Sequential(OrderedDict(modules))


def bottleneck():
    """The tutorial's net; modules are named like our scopes."""

    def block(depth, narrow, out, stride=1):
        shortcut = None if depth == out else Convolution((depth, out), 1, stride, act=None)
        return Block(
            shortcut,
            Convolution((depth, narrow), 1),
            Convolution((narrow, narrow), 3, stride),
            Convolution((narrow, out), 1, act=None),
        )

    return sequence(
        block1=sequence(conv5_5=Convolution((3, 32), 5, 2)),
        block2=sequence(
            max_pool=nn.MaxPool2d(3, 2, 1), residual_block1=block(32, 32, 128), residual_block2=block(128, 32, 128)
        ),
        block3=sequence(residual_block1=block(128, 128, 512, 2), residual_block2=block(512, 128, 512)),
        mean=GlobalMean(),
        classification=sequence(logit=nn.Linear(512, ready.CLASSES)),
    )


def resnet18():
    """The Keras tutorials' ResNet-18, in the same way."""
    kept = {"bias": True, "scale": True}

    def block(depth, out, stride=1):
        shortcut = None if stride == 1 else Convolution((depth, out), 1, stride, bias=True, norm=False, act=None)
        return Block(
            shortcut,
            Convolution((depth, out), 3, stride, **kept),
            Convolution((out, out), 3, act=None, **kept),
        )

    depths = (64, 64, 128, 256, 512)
    blocks = {
        f"block{i}": sequence(unit1=block(depths[i - 1], depths[i], 1 if i == 1 else 2), unit2=block(*[depths[i]] * 2))
        for i in range(1, 5)
    }
    stem = sequence(conv1=Convolution((3, 64), 3, padded=False, **kept))
    # Pads one row and column before the image; the pool's own padding would also add them after it.
    pool = sequence(pad=nn.ZeroPad2d((1, 0, 1, 0)), pool=nn.MaxPool2d(2, 1))
    return sequence(stem=stem, pool=pool, **blocks, mean=GlobalMean(), logit=nn.Linear(512, ready.CLASSES))


class PooledBlock(nn.Module):
    """3x3, max pool, 3x3: `net.pooled_block` without its shortcut."""

    def __init__(self, depth, out):
        super().__init__()
        self.conv1 = Convolution((depth, out), 3, pool=2, act=quick_gelu)
        self.conv2 = Convolution((out, out), 3, act=quick_gelu)

    def forward(self, x):
        return self.conv2(self.conv1(x))


class Scaled(nn.Module):
    """Global max pool, linear layer, output times 1/9."""

    def __init__(self, depth):
        super().__init__()
        self.logit = nn.Linear(depth, ready.CLASSES)

    def forward(self, x):
        return self.logit(x.amax((2, 3))) / 9


def fast():
    """The net of the recipe `fast`, in the same way."""
    stem = Convolution((3, 24), 2, padded=False, bias=True, norm=False, act=quick_gelu)
    stem.conv.weight.requires_grad_(False)
    blocks = {
        f"block{i}": sequence(unit1=PooledBlock(*depths))
        for i, depths in enumerate(((24, 64), (64, 256), (256, 256)), 1)
    }
    return sequence(stem=sequence(conv1=stem), **blocks, head=Scaled(256))


NETS = {"bottleneck": (bottleneck, "resnet"), "resnet18": (resnet18, "resnet18"), "fast": (fast, "fast")}
NAMES = {
    "norm.weight": "BatchNorm/gamma",
    "norm.bias": "BatchNorm/beta",
    "norm.running_mean": "BatchNorm/moving_mean",
    "norm.running_var": "BatchNorm/moving_variance",
    "conv.weight": "weights",
    "conv.bias": "biases",
    "logit.weight": "logit/weights",
    "logit.bias": "logit/biases",
}


def model(recipe):
    """(the recipe's net with `ready.weight`s in channels_last, its facts)."""
    make, scope = NETS[recipe.net]
    net = make().to(memory_format=torch.channels_last)
    frozen = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    for name, tensor in net.state_dict().items():
        if (name in frozen and name.endswith("norm.weight")) or name.endswith("num_batches_tracked"):
            continue
        *path, module, kind = name.split(".")
        shape = list(tensor.shape)
        path = [part for part in path if part != "head"]
        value = ready.weight("/".join([scope, *path, NAMES[f"{module}.{kind}"]]), [*shape[2:], *shape[1::-1]])
        if len(shape) == 4:
            value = _turned(value, recipe, (0, 1)).transpose(3, 2, 0, 1)
        elif len(shape) == 2:
            value = value.T
        tensor.copy_(torch.from_numpy(value.copy()))
    parameters = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    return net.eval(), {"parameters": parameters, "logits": _logits(net, recipe)}


def _logits(net, recipe):
    """Logits, in float32, of the images that all peers are compared on."""
    with torch.no_grad():
        return net(_images(ready.batches(recipe, count=1)[0][0, :4], recipe)).tolist()


def _images(batch, recipe):
    """float32 [B, H, W, 3] -> [B, 3, H, W] in channels_last, rotated like the filters."""
    return torch.from_numpy(np.ascontiguousarray(_turned(batch, recipe, (1, 2)))).permute(0, 3, 1, 2)


def _turned(array, recipe, axes):
    """The array rotated by 180 degrees, for the nets with odd padding."""
    return array if recipe.net == "fast" else np.flip(array, axes)


def training(net, precision, compiled):
    """Training steps."""
    recipe = ready.recipe(net)
    network, facts = model(recipe)
    network.train()
    images, labels = ready.batches(recipe)
    batches = [(_images(x, recipe), torch.from_numpy(y).long()) for x, y in zip(images, labels)]
    # fused is the fastest of PyTorch's implementations.
    if recipe.optimizer != "adam":  # Nesterov momentum also for muon, as in the published recipe
        nesterov = {"nesterov": recipe.optimizer != "momentum", "weight_decay": recipe.weight_decay}
        optimizer = torch.optim.SGD(
            [p for p in network.parameters() if p.requires_grad],
            recipe.learning_rate, recipe.momentum, **nesterov, fused=True,
        )  # fmt: skip
    else:
        optimizer = torch.optim.Adam(network.parameters(), recipe.learning_rate, eps=1e-7, fused=True)

    def loss_of(x, y):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return nn.functional.cross_entropy(network(x), y, label_smoothing=recipe.label_smoothing)

    loss_of = torch.compile(loss_of) if compiled else loss_of
    steps = 0

    def step():
        nonlocal steps
        steps += 1
        optimizer.zero_grad()
        loss = loss_of(*batches[steps % len(batches)])
        loss.backward()
        optimizer.step()
        return loss.item()

    step()
    step()
    return Peer({"step": timed(step)}, VERSIONS, facts)


def inference(net, precision, how):
    """Predictions, batch norm folded: tasks 'batch 1' and 'batch 64'.

    Args:
      net: 'bottleneck' or 'resnet18'.
      precision: 'float32' or 'bfloat16'.
      how: 'eager', 'frozen' (torch.jit) or 'compiled'.
    """
    recipe = ready.recipe(net, batch_size=64)
    network, facts = model(recipe)
    for module in network.modules():
        if isinstance(module, Convolution) and module.norm is not None:
            module.conv, module.norm = fuse_conv_bn_eval(module.conv, module.norm), None
    network.requires_grad_(False)
    facts["logits"] = _logits(network, recipe)
    images = _images(ready.batches(recipe, count=1)[0][0], recipe)
    if precision == "bfloat16":
        network, images = network.to(torch.bfloat16), images.to(torch.bfloat16)
    network = network.to(memory_format=torch.channels_last)
    if how == "frozen":
        network = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(network, images)))
    elif how == "compiled":
        network = torch.compile(network, dynamic=False, options={"freezing": True})

    def predict(few):
        with torch.inference_mode() if how != "compiled" else torch.no_grad():
            return network(few).float().numpy()

    tasks = {f"batch {size}": timed(lambda few=images[:size]: predict(few)) for size in (1, 64)}
    for task in tasks.values():
        task(3)
    return Peer(tasks, VERSIONS, facts)
