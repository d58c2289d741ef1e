"""A trained net as a SavedModel that needs nothing of this package: weights frozen, batch norm folded.

Signature `serving_default`: `images` uint8 [batch, height, width, 3] of any size -> `logits` and `probabilities`
float32 [batch, classes], `classes` int64 [batch]. Normalization and the bilinear resize to the net's size are in the
graph. It holds no variable and no Python function, so that whatever reads or converts SavedModels can read it.
"""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from graph_resnet.errors import UserError
from graph_resnet.inference import folding, restore

OUTPUTS = ("logits", "probabilities", "classes")
CLASS_NAMES = "class_names.txt"


def export(trained, checkpoint, directory):
    """Writes a SavedModel in one go.

    Args:
      trained: a `config.TrainedNet`.
      checkpoint: prefix of the checkpoint.
      directory: must not exist yet, or be empty.

    Returns:
      The size of the net's weights and graph, bytes.

    Raises:
      UserError: the checkpoint does not fit, or the directory cannot be written.
    """
    graph_def = frozen(trained, checkpoint)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        tf.constant(f"assets/{CLASS_NAMES}", name="class_names_file")  # loaders feed the path where they found it
        meta_graph = tf.train.export_meta_graph(graph=graph, strip_default_attrs=True)
        inputs = {"images": graph.get_tensor_by_name("images:0")}
        outputs = {name: graph.get_tensor_by_name(f"{name}:0") for name in OUTPUTS}
        signature = tf.saved_model.predict_signature_def(inputs, outputs)
    meta_graph.meta_info_def.tags.append(tf.saved_model.tag_constants.SERVING)
    meta_graph.signature_def[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY].CopyFrom(signature)
    meta_graph.asset_file_def.add(filename=CLASS_NAMES).tensor_info.name = "class_names_file:0"
    # By hand rather than by tf.saved_model.Builder, which writes the path of its own draft into the graph.
    model = SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph]).SerializeToString(deterministic=True)
    with _new_directory(directory) as draft:
        (draft / "assets").mkdir()
        names = "".join(f"{_one_line(name)}\n" for name in trained.class_names)
        (draft / "assets" / CLASS_NAMES).write_bytes(names.encode(errors="replace"))
        (draft / "saved_model.pb").write_bytes(model)
    return len(model)


def frozen(trained, checkpoint):
    """The net as a GraphDef from node `images` to the nodes of `OUTPUTS`."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(tf.uint8, [None, None, None, 3], name="images")
        logits = tf.identity(restore.logits_of_pictures(trained, images), name="logits")
        tf.nn.softmax(logits, name="probabilities")
        tf.argmax(logits, axis=1, name="classes")
        restore.load(session, checkpoint)
        constant = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), list(OUTPUTS))
    plain = tf.graph_util.remove_training_nodes(constant, protected_nodes=list(OUTPUTS))
    return folding.fold_batch_norm(plain, OUTPUTS)


def _one_line(name):
    """The name of a class may be that of a folder: anything."""
    return "".join(each if each.isprintable() else "?" for each in name)


@contextlib.contextmanager
def _new_directory(directory):
    """A directory to write in, beside `directory`, which becomes it at the end: there is never half a model."""
    directory = Path(directory).absolute()
    draft = directory.parent / f".{directory.name}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        draft.mkdir(parents=True)
        yield draft
        draft.rename(directory)  # fails if it is there and not empty
    except OSError as error:
        raise UserError(f"export dir {directory}: cannot be written ({error.strerror}); pass another") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
