"""A TF1-style graph pipeline with slim-style residual blocks, on today's TensorFlow.

    from graph_resnet import residual_block      # use the block in your own v1 graph
    python -m graph_resnet.train --steps 20000   # train the tutorial's net

Importing it makes a later `import tf_slim` work on today's TensorFlow, without importing TensorFlow itself. Names are
imported from `graph_resnet.net` on first use, so that `--help` does not import TensorFlow.
"""

from graph_resnet import lazy
from graph_resnet.compat import slim_hook

__version__ = "2.0.0"

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    dict.fromkeys(
        ["ResNet", "basic_block", "residual_block", "resnet18", "resnet34", "resnet_arg_scope", "subsample"], "net"
    ),
)

slim_hook.install()
