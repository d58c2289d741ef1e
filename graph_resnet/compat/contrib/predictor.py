"""`tf.contrib.predictor`: calls a SavedModel with a dict."""

import tensorflow as tf

_v1 = tf.compat.v1


class SavedModelPredictor:
    """Calls a signature of a SavedModel: `predictor({"x": array})` returns a dict of arrays.

    Attributes:
        feed_tensors, fetch_tensors: the signature's tensors by their keys.
        graph, session: where the model is loaded.
    """

    def __init__(
        self,
        export_dir,
        signature_def_key=None,
        signature_def=None,
        input_names=None,
        output_names=None,
        tags=None,
        graph=None,
        config=None,
    ):
        self.graph = graph or tf.Graph()
        tags = tags.split(",") if isinstance(tags, str) else list(tags or ["serve"])
        with self.graph.as_default():
            self.session = _v1.Session(config=config)
            model = _v1.saved_model.load(self.session, tags, export_dir)
        key = signature_def_key or "serving_default"
        if signature_def is None and input_names is None:
            if key not in model.signature_def:
                known = ", ".join(sorted(model.signature_def))
                raise ValueError(f"{export_dir} has no signature {key!r}, but {known}.")
            signature_def = model.signature_def[key]
        inputs = input_names or {k: info.name for k, info in signature_def.inputs.items()}
        outputs = output_names or {k: info.name for k, info in signature_def.outputs.items()}
        self.feed_tensors = {k: self.graph.get_tensor_by_name(name) for k, name in inputs.items()}
        self.fetch_tensors = {k: self.graph.get_tensor_by_name(name) for k, name in outputs.items()}

    def __call__(self, input_dict):
        unknown = set(input_dict) - set(self.feed_tensors)
        if unknown:
            raise ValueError(f"The model takes {sorted(self.feed_tensors)}, not {sorted(unknown)}.")
        feed = {self.feed_tensors[key]: value for key, value in input_dict.items()}
        return self.session.run(self.fetch_tensors, feed)


from_saved_model = SavedModelPredictor
