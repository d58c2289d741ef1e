"""`tf.keras` of a TensorFlow 1 program without tf_keras: the Keras 2 code that TensorFlow still contains.

TensorFlow keeps it for `tf.layers` and the RNN cells. Unlike Keras 3 it works in version 1 graphs, with `compile` and
`fit`. TensorFlow has removed some of its layers; for those, the error says to install tf_keras.
"""

import contextlib
import importlib

from .modules import explain_gone, locate

_PACKAGE = "tensorflow.python.keras"
__version__ = "2.6.0-tf"

# Names that the package lacks: (module, name) -> the place that has them.
_ADDED = {
    ("layers", "BatchNormalization"): ".keras_batch_normalization:BatchNormalization",
    ("layers", "GRU"): f"{_PACKAGE}.layers:GRUV1",
    ("layers", "GRUCell"): f"{_PACKAGE}.layers:GRUCellV1",
    ("layers", "LSTM"): f"{_PACKAGE}.layers:LSTMV1",
    ("layers", "LSTMCell"): f"{_PACKAGE}.layers:LSTMCellV1",
    **{
        ("optimizers", name): f"{_PACKAGE}.optimizer_v2.{module}:{name}"
        for name, module in {
            "Adadelta": "adadelta",
            "Adagrad": "adagrad",
            "Adam": "adam",
            "Adamax": "adamax",
            "Ftrl": "ftrl",
            "Nadam": "nadam",
            "RMSprop": "rmsprop",
            "SGD": "gradient_descent",
        }.items()
    },
    ("optimizers", "Optimizer"): f"{_PACKAGE}.optimizer_v2.optimizer_v2:OptimizerV2",
    ("optimizers", "schedules"): f"{_PACKAGE}.optimizer_v2.learning_rate_schedule",
    **{
        ("utils", name): f"{_PACKAGE}.utils.{module}:{name}"
        for module, names in {
            "data_utils": "GeneratorEnqueuer OrderedEnqueuer Sequence SequenceEnqueuer",
            "generic_utils": "CustomObjectScope Progbar custom_object_scope deserialize_keras_object"
            " get_custom_objects serialize_keras_object",
            "layer_utils": "get_source_inputs convert_all_kernels_in_model",
            "vis_utils": "model_to_dot plot_model",
        }.items()
        for name in names.split()
    },
    ("losses", "cosine"): f"{_PACKAGE}.losses:cosine_similarity",
    ("losses", "cosine_proximity"): f"{_PACKAGE}.losses:cosine_similarity",
    ("metrics", "kld"): f"{_PACKAGE}.losses:kl_divergence",
    ("metrics", "KLD"): f"{_PACKAGE}.losses:kl_divergence",
    ("metrics", "cosine"): f"{_PACKAGE}.losses:cosine_similarity",
    ("utils", "get_file"): "keras:utils.get_file",
    ("utils", "to_categorical"): "keras:utils.to_categorical",
    ("utils", "normalize"): "keras:utils.normalize",
}
# Modules that work on arrays only, taken from Keras 3. As `tf.keras` it has more of them than as `keras`.
_FROM_KERAS_3 = {"datasets": "keras:datasets", "preprocessing": "keras._tf_keras.keras:preprocessing"}


def _from_keras_3(name):
    module = locate(_FROM_KERAS_3[name])
    if name == "preprocessing":  # `fit` of the older Keras knows the length of its own kind of sequence only
        sequence = locate(f"{_PACKAGE}.utils.data_utils:Sequence")
        for of_keras_3 in (module.image.Iterator, module.sequence.TimeseriesGenerator):
            if not issubclass(of_keras_3, sequence):
                of_keras_3.__bases__ += (sequence,)
    return module


def _complete():
    for (module, name), place in _ADDED.items():
        holder = importlib.import_module(f"{_PACKAGE}.{module}")
        if not hasattr(holder, name):
            with contextlib.suppress(AttributeError):  # not in every version of TensorFlow
                setattr(holder, name, locate(place))
    package = importlib.import_module(_PACKAGE)
    if not hasattr(package, "__version__"):
        package.__version__ = __version__  # written into the files that it saves
    for module in ("keras", "keras.layers"):
        explain_gone(importlib.import_module(f"tensorflow.python.{module}"), module)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _FROM_KERAS_3:
        return _from_keras_3(name)
    if name not in ("applications", "wrappers"):
        try:
            return importlib.import_module(f"{_PACKAGE}.{name}")
        except ModuleNotFoundError:
            pass
    return getattr(importlib.import_module(_PACKAGE), name)


def __dir__():
    return sorted({*dir(importlib.import_module(_PACKAGE)), *_FROM_KERAS_3})


_complete()
