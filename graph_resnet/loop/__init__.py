"""The session loop for any v1 graph: updates, evaluation, checkpoints, metrics, signals, exact resumption.

    from graph_resnet.loop import Cadence, GraphToTrain, train_graph

Names are imported on first use, so that the commands can answer `--help` without TensorFlow.
"""

import importlib

_HOMES = {
    "train_graph": "session_loop",
    "GraphToTrain": "graph_to_train",
    "Cadence": "graph_to_train",
    "Shown": "graph_to_train",
    "Validation": "validation",
    "Interrupted": "signals",
}

__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
