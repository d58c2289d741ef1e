"""A TF1-style graph pipeline with slim-style residual blocks, on today's TensorFlow.

    from graph_resnet import residual_block      # reuse the block in a v1 graph of your own
    python -m graph_resnet.train --steps 20000   # train the tutorial's net

Names are imported from `graph_resnet.net` on first use, so that the commands can answer `--help` without TensorFlow.
"""

__version__ = "1.0.0"

__all__ = ["ResNet", "basic_block", "residual_block", "resnet18", "resnet34", "resnet_arg_scope", "subsample"]


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from graph_resnet import net

    return getattr(net, name)
