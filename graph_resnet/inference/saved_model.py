"""Exports a trained net as a SavedModel that does not need this package: weights frozen, batch norm folded.

Signature `serving_default`: `images` uint8 [batch, height, width, 3] of any size -> `logits` and `probabilities`
float32 [batch, classes], `classes` int64 [batch]. Normalization and the bilinear resize to the net's size are in the
graph. It has no variables and no Python functions, so any tool that reads or converts SavedModels can use it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graph_resnet import config, files
from graph_resnet.config import TrainedNet
from graph_resnet.errors import UserError, printable, reason

OUTPUTS = ("logits", "probabilities", "classes")
CLASS_NAMES = "class_names.txt"
MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Exported:
    """An exported net.

    Attributes:
      train_dir, checkpoint, export_dir: paths.
      step: global step of the checkpoint; None if it does not record one.
      bytes: size of the net's weights and graph.
      class_names: C strings.
      notes: lines about newer checkpoints that could not be read, and retired fields of config.json.
    """

    train_dir: str
    checkpoint: str
    step: int | None
    export_dir: str
    bytes: int
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that `python -m graph_resnet.export --json` prints."""
        names = ("train_dir", "checkpoint", "step", "export_dir", "bytes")
        return {**{name: getattr(self, name) for name in names}, "classes": list(self.class_names)}


def export(
    train_dir: str | Path,
    export_dir: str | Path,
    *,
    checkpoint: str | Path | None = None,
    before_tensorflow: Callable[[], object] | None = None,
) -> Exported:
    """Writes a trained net as a SavedModel, complete or not at all.

    Args:
      train_dir: of a run of `graph_resnet.train`.
      export_dir: must not exist yet, or be an empty directory.
      checkpoint, before_tensorflow: as in `evaluation.evaluate`.

    Raises:
      UserError: no such train dir, a checkpoint that does not fit, or a directory that cannot be written.
    """
    net = config.read(train_dir)
    check_target(export_dir)
    if before_tensorflow is not None:
        before_tensorflow()
    from graph_resnet.inference import restore
    from graph_resnet.loop import checkpoints

    notes = list(net.notes)
    prefix = restore.find_checkpoint(train_dir, checkpoint, say=notes.append)
    step = checkpoints.step_of(prefix)
    model = serialized(frozen(net, prefix))
    try:
        with files.new_directory(export_dir, last=MODEL) as draft:
            (draft / "assets").mkdir()
            names = "".join(f"{printable(name)}\n" for name in net.class_names)
            (draft / "assets" / CLASS_NAMES).write_text(names, encoding="utf-8")
            (draft / MODEL).write_bytes(model)
    except OSError as error:
        raise UserError(f"export dir {export_dir}: cannot be written ({reason(error)}); pass another") from error
    return Exported(str(train_dir), prefix, step, str(export_dir), len(model), net.class_names, tuple(notes))


def check_target(directory: str | Path) -> None:
    """Checks that an export directory does not exist yet, or is empty.

    Raises:
      UserError: it is not empty, not a directory, or cannot be read.
    """
    above = next((path for path in Path(os.path.abspath(directory)).parents if os.path.lexists(path)), None)
    if above is not None and not os.path.isdir(above):
        raise UserError(f"export dir {directory}: {above} is not a directory; pass another")
    try:
        if not os.path.lexists(directory) or (os.path.isdir(directory) and files.is_empty(directory)):
            return
    except OSError as error:
        raise UserError(f"export dir {directory}: {reason(error)}; pass another") from None
    what = "not empty" if os.path.isdir(directory) else "not a directory"
    raise UserError(f"export dir {directory}: {what}; pass a new one")


def serialized(graph_def: Any) -> bytes:
    """The bytes of `saved_model.pb` for a GraphDef of `frozen`."""
    import tensorflow.compat.v1 as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        tf.constant(f"assets/{CLASS_NAMES}", name="class_names_file")  # loaders replace it by the actual path
        meta_graph = tf.train.export_meta_graph(graph=graph, strip_default_attrs=True)
        inputs = {"images": graph.get_tensor_by_name("images:0")}
        outputs = {name: graph.get_tensor_by_name(f"{name}:0") for name in OUTPUTS}
        signature = tf.saved_model.predict_signature_def(inputs, outputs)
    meta_graph.meta_info_def.tags.append(tf.saved_model.tag_constants.SERVING)
    meta_graph.signature_def[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY].CopyFrom(signature)
    meta_graph.asset_file_def.add(filename=CLASS_NAMES).tensor_info.name = "class_names_file:0"
    # Not with tf.saved_model.Builder, which writes the path of its temporary directory into the graph.
    return SavedModel(saved_model_schema_version=1, meta_graphs=[meta_graph]).SerializeToString(deterministic=True)


def frozen(net: TrainedNet, checkpoint: str, *, threads: int | None = None) -> Any:
    """The net with a checkpoint's weights, as a GraphDef from node `images` to the nodes of `OUTPUTS`.

    For `threads` see `restore.session`: its own session may be the first of the process.
    """
    import tensorflow.compat.v1 as tf

    from graph_resnet.inference import folding, restore

    with tf.Graph().as_default() as graph, restore.session(threads=threads) as session:
        images = tf.placeholder(tf.uint8, [None, None, None, 3], name="images")
        logits = tf.identity(restore.net_of_images(net, images), name="logits")
        tf.nn.softmax(logits, name="probabilities")
        tf.argmax(logits, axis=1, name="classes")
        restore.load(session, checkpoint)
        constant = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), list(OUTPUTS))
    plain = tf.graph_util.remove_training_nodes(constant, protected_nodes=list(OUTPUTS))
    return folding.fold_batch_norm(plain, OUTPUTS)
