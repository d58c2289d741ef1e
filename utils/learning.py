"""The tutorial's loop: `train_with_bn`."""

from graph_resnet.loop.session_loop import train_with_bn

__all__ = ["train_with_bn"]
