"""The session loop for any v1 graph: updates, evaluation, checkpoints, metrics, signals, exact resumption.

    from graph_resnet.loop import Cadence, GraphToTrain, train_graph

Names are imported on first use, so that `--help` does not import TensorFlow.
"""

from graph_resnet import lazy

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "train_graph": "session_loop",
        "GraphToTrain": "graph_to_train",
        "Cadence": "graph_to_train",
        "Shown": "graph_to_train",
        "Validation": "validation",
        "Interrupted": "signals",
    },
)
