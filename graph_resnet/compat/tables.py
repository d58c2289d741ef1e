"""The current places of TensorFlow 1's names: one set of tables, for running programs and for `--check`.

`graph_resnet.compat.modules` describes how places are written. All names are dotted names below `tf`, such as
"contrib.layers.xavier_initializer". Names that are gone are in `gone.py`, names that numpy, scipy and Python removed in
`removed_names.py`.
"""

# Module -> the places to look up its names in, in order.
MODULES = {
    "contrib": (),
    "contrib.autograph": ("tf:autograph", "tf:autograph.experimental"),
    "contrib.batching": (),
    "contrib.checkpoint": ("v1:train", "tensorflow.python.trackable.data_structures"),
    "contrib.cluster_resolver": ("tf:distribute.cluster_resolver",),
    "contrib.compiler": (),
    "contrib.compiler.jit": ("v1:xla.experimental", "tensorflow.python.compiler.xla.jit"),
    "contrib.compiler.xla": ("v1:xla.experimental",),
    "contrib.crf": (".contrib.crf",),
    "contrib.cudnn_rnn": (".contrib.cudnn_rnn", ".contrib.rnn_blocks"),
    "contrib.data": (".contrib.data", "v1:data.experimental", "v1:data"),
    "contrib.deprecated": (".contrib.summary",),
    "contrib.distribute": (".contrib.distribute", "v1:distribute", "v1:distribute.experimental", "tf:distribute"),
    "contrib.distributions": (
        "tensorflow_probability:distributions",
        ".contrib.distributions",
        ".contrib.mixtures",
        ".contrib.one_hot_categorical",
        ".contrib.transformed",
        "v1:distributions",
        *(f"tensorflow.python.ops.distributions.{kind}" for kind in "beta exponential gamma laplace normal".split()),
        "tensorflow.python.ops.distributions.student_t",
        "tensorflow.python.ops.distributions.util",
    ),
    "contrib.distributions.bijectors": ("tensorflow_probability:bijectors",),
    "contrib.eager": (".contrib.eager", "v1:", "tf:"),
    "contrib.eager.metrics": (".one_keras:keras.metrics",),
    "contrib.estimator": ("tensorflow_estimator:estimator.experimental", "tensorflow_estimator:estimator"),
    "contrib.framework": (
        "tf_slim.ops.arg_scope",
        "tf_slim.ops.variables",
        "tf_slim.ops.framework_ops",
        ".contrib.framework",
        "tensorflow.python.util.deprecation",
        "tensorflow.python.framework.smart_cond",
        "tensorflow.python.ops.init_ops",
    ),
    "contrib.framework.nest": (".contrib.framework:nest",),
    "contrib.image": (".contrib.image",),
    "contrib.input_pipeline": (),
    "contrib.keras": (".one_keras:keras",),
    "contrib.layers": ("tf_slim.layers", ".contrib.layers"),
    "contrib.layers.summaries": ("tf_slim.layers.summaries",),
    "contrib.learn": (".contrib.learn",),
    "contrib.learn.datasets": (".contrib.learn", ".contrib.mnist"),
    "contrib.learn.datasets.mnist": (".contrib.mnist",),
    "contrib.learn.preprocessing": (".contrib.learn",),
    "contrib.legacy_seq2seq": (".contrib.legacy_seq2seq", ".contrib.legacy_attention"),
    "contrib.lookup": (".contrib.lookup", "tensorflow.python.ops.lookup_ops"),
    "contrib.losses": ("tf_slim.losses",),
    "contrib.losses.metric_learning": ("tf_slim.losses.metric_learning",),
    "contrib.metrics": ("tf_slim.metrics", "v1:sets", ".contrib.metrics"),
    "contrib.mixed_precision": ("v1:mixed_precision", "v1:mixed_precision.experimental"),
    "contrib.nccl": ("tensorflow.python.ops.nccl_ops",),
    "contrib.nn": (".contrib.nn",),
    "contrib.opt": (".contrib.optimizers", ".contrib.optimizer_wrappers", ".contrib.scipy_optimizer"),
    "contrib.optimizer_v2": ("v1:train",),
    "contrib.predictor": (".contrib.predictor",),
    "contrib.quantization": ("v1:quantization", "v1:raw_ops"),
    "contrib.resampler": (".contrib.image",),
    "contrib.rnn": (
        ".contrib.rnn",
        ".contrib.rnn_cells",
        ".contrib.rnn_wrappers",
        ".contrib.rnn_blocks",
        ".one_keras:rnn_cell",
        "tensorflow.python.ops.rnn",
    ),
    "contrib.seq2seq": (
        ".contrib.seq2seq",
        ".contrib.seq2seq_helpers",
        ".contrib.attention_scores",
        ".contrib.attention",
        ".contrib.attention_wrapper",
        ".contrib.beam_search",
    ),
    "contrib.signal": ("tf:signal",),
    "contrib.slim": (
        "tf_slim",
        "tf_slim.layers",
        ".contrib.layers",
        ".contrib.framework",
        "tensorflow.python.util.deprecation",
    ),
    "contrib.slim.losses": ("tf_slim.losses",),
    "contrib.slim.metrics": ("tf_slim.metrics",),
    "contrib.slim.nets": ("tf_slim.nets",),
    "contrib.sparsemax": (".contrib.nn",),
    "contrib.staging": ("tensorflow.python.ops.data_flow_ops",),
    "contrib.stateless": (".contrib.nn:stateless",),
    "contrib.summary": (".contrib.summary:contrib_summary", "tensorflow.python.ops.summary_ops_v2"),
    "contrib.tensorboard": (),
    "contrib.tensorboard.plugins": (),
    "contrib.tensorboard.plugins.projector": ("tensorboard.plugins.projector",),
    "contrib.tensorrt": ("tensorflow.python.compiler.tensorrt.trt_convert",),
    "contrib.testing": (),
    "contrib.tfprof": ("v1:profiler", "tensorflow.python.profiler"),
    "contrib.tfprof.model_analyzer": (".contrib.tfprof", "v1:profiler", "tensorflow.python.profiler.model_analyzer"),
    "contrib.tpu": ("tensorflow_estimator:estimator.tpu", "v1:tpu", "v1:tpu.experimental"),
    "contrib.training": (
        "tf_slim.training.training",
        "tf_slim.training.evaluation",
        ".contrib.training",
        ".contrib.hparams",
    ),
    "contrib.util": (
        "v1:",
        "tensorflow.python.framework.tensor_util",
        "tensorflow.python.framework.meta_graph",
    ),
    "contrib.util.loader": ("tensorflow.python.framework.load_library",),
    "estimator": ("tensorflow_estimator:estimator",),
    "estimator.experimental": ("tensorflow_estimator:estimator.experimental",),
    "estimator.export": ("tensorflow_estimator:estimator.export",),
    "estimator.inputs": ("tensorflow_estimator:estimator.inputs",),
    "estimator.tpu": ("tensorflow_estimator:estimator.tpu",),
    "examples": (),
    "examples.tutorials": (),
    "examples.tutorials.mnist": (),
    "examples.tutorials.mnist.input_data": (".contrib.mnist",),
    "layers": (".one_keras:layers",),
    "layers.experimental": (".one_keras:layers.experimental",),
    "nn.rnn_cell": (".one_keras:rnn_cell",),
    "python.keras.applications": ("keras.applications",),
    "python.keras.applications.imagenet_utils": ("keras.applications.imagenet_utils",),
    "python.summary.event_accumulator": ("tensorboard.backend.event_processing.event_accumulator",),
    "python.training.gen_training_ops": ("tensorflow.python.ops.gen_training_ops",),
    "python.training.training_ops": ("tensorflow.python.ops.gen_training_ops",),
    "pywrap_tensorflow": (".contrib.framework:pywrap",),
}

# Name -> its place, if it differs from its module's.
NAMES = {
    "compat": "tf:compat",
    "python": "tensorflow.python",
    "core": "tensorflow.core",
    "config.experimental_list_devices": ".contrib.framework:list_devices",
    "contrib.checkpoint.Checkpointable": "tensorflow.python.trackable.autotrackable:AutoTrackable",
    "contrib.checkpoint.CheckpointableBase": "tensorflow.python.trackable.base:Trackable",
    "contrib.checkpoint.list_objects": "tensorflow.python.checkpoint.util:list_objects",
    "contrib.checkpoint.object_metadata": "tensorflow.python.checkpoint.checkpoint:object_metadata",
    "contrib.cluster_resolver.UnionClusterResolver": (
        "tensorflow.python.distribute.cluster_resolver.cluster_resolver:UnionClusterResolver"
    ),
    "contrib.distribute.get_distribution_strategy": "v1:distribute.get_strategy",
    "contrib.distribute.has_distribution_strategy": "v1:distribute.has_strategy",
    "contrib.batching.batch_function": "v1:nondifferentiable_batch_function",
    "contrib.distributions.kl": "v1:distributions.kl_divergence",
    "contrib.distributions.percentile": "tensorflow_probability:stats.percentile",
    "contrib.eager.Checkpoint": "v1:train.Checkpoint",
    "contrib.eager.Sequential": ".one_keras:keras.Sequential",
    "contrib.eager.run_all_tests_in_graph_and_eager_modes": (
        "tensorflow.python.framework.test_util:run_all_in_graph_and_eager_modes"
    ),
    "contrib.eager.run_test_in_graph_and_eager_modes": (
        "tensorflow.python.framework.test_util:run_in_graph_and_eager_modes"
    ),
    "contrib.framework.argsort": "tf:argsort",
    "contrib.framework.assert_same_float_dtype": "v1:debugging.assert_same_float_dtype",
    "contrib.framework.assert_scalar": "v1:debugging.assert_scalar",
    "contrib.framework.convert_to_tensor_or_sparse_tensor": "v1:convert_to_tensor_or_sparse_tensor",
    "contrib.framework.is_tensor": "v1:is_tensor",
    "contrib.framework.RecordInput": "tensorflow.python.ops.data_flow_ops:RecordInput",
    "contrib.framework.sort": "tf:sort",
    "contrib.framework.python.ops.arg_scope": "tf_slim.ops.arg_scope:arg_scope",
    "contrib.framework.TensorSpec": "tf:TensorSpec",
    "contrib.framework.BoundedTensorSpec": "tensorflow.python.framework.tensor:BoundedTensorSpec",
    "contrib.input_pipeline.obtain_next": ".contrib.data:obtain_next",
    "contrib.layers.feature_column": "v1:feature_column",
    "contrib.metrics.confusion_matrix": "v1:confusion_matrix",
    "contrib.metrics.set_difference": "v1:sets.difference",
    "contrib.metrics.set_intersection": "v1:sets.intersection",
    "contrib.metrics.set_size": "v1:sets.size",
    "contrib.metrics.set_union": "v1:sets.union",
    "contrib.rnn.LayerRNNCell": ".one_keras:LayerRNNCell",
    "contrib.slim.variables": "tf_slim.ops.variables",
    "contrib.testing.mock": "unittest.mock",
    "contrib.tfprof.tfprof_logger": "tensorflow.python.profiler.tfprof_logger",
    "contrib.variables": "tf_slim.ops.variables",
    "keras": ".one_keras:lazy_keras",
    "estimator.ModeKeys": ".contrib.learn:EstimatorModeKeys",
    "saved_model.main_op": "tensorflow.python.saved_model.main_op",
    "test.mock": "unittest.mock",
}

# Modules of TensorFlow that were visible in `tf.contrib.slim` because it imported them.
for _package, _modules in {
    "framework": "dtypes ops sparse_tensor tensor_shape",
    "ops": "array_ops check_ops clip_ops control_flow_ops embedding_ops init_ops lookup_ops math_ops nn nn_ops"
    " random_ops resource_variable_ops sparse_ops string_ops variable_scope",
    "training": "moving_averages",
}.items():
    NAMES.update({f"contrib.slim.{_module}": f"tensorflow.python.{_package}.{_module}" for _module in _modules.split()})

# Hooks and their classes, which `tf.estimator` had from `tf.train`.
_HOOKS = """CheckpointSaverHook CheckpointSaverListener FeedFnHook FinalOpsHook GlobalStepWaiterHook LoggingTensorHook
    NanLossDuringTrainingError NanTensorHook ProfilerHook SecondOrStepTimer SessionRunArgs SessionRunContext
    SessionRunHook SessionRunValues StepCounterHook StopAtStepHook SummarySaverHook"""
NAMES.update({f"estimator.{_name}": f"v1:train.{_name}" for _name in _HOOKS.split()})

# Names that TensorFlow's internal modules have lost: (module, name) -> the place.
ADDED_INSIDE = {
    ("tensorflow.python.keras.utils", "get_file"): "keras:utils.get_file",
    ("tensorflow.python.keras.utils.data_utils", "get_file"): "keras:utils.get_file",
    ("tensorflow.python.framework.graph_util", "convert_variables_to_constants"): (
        "v1:graph_util.convert_variables_to_constants"
    ),
    ("tensorflow.python.ops.rnn_cell", "_linear"): ".contrib.rnn:_linear",
    ("tensorflow.python.ops.rnn_cell_impl", "_linear"): ".contrib.rnn:_linear",
    ("tensorflow.python.ops.rnn_cell_impl", "_Linear"): ".contrib.rnn:Linear",
    ("tensorflow.python.ops.rnn_cell_impl", "_LayerRNNCell"): ".one_keras:LayerRNNCell",
    ("tensorflow.python.ops.functional_ops", "map_fn"): "v1:map_fn",
    ("tensorflow.python.ops.gen_nn_ops", "_avg_pool_grad"): "tensorflow.python.ops.gen_nn_ops:avg_pool_grad",
    ("tensorflow.python.ops.gen_nn_ops", "_max_pool_grad"): "tensorflow.python.ops.gen_nn_ops:max_pool_grad",
    ("tensorflow.python.ops.gen_nn_ops", "_relu_grad"): "tensorflow.python.ops.gen_nn_ops:relu_grad",
    ("tensorflow.python.ops.variables", "RefVariable"): "tensorflow.python.ops.ref_variable:RefVariable",
    **{
        ("tensorflow.python.framework.tensor_shape", name): f".contrib.framework:tensor_shape.{name}"
        for name in ("scalar", "vector", "matrix")
    },
    ("tensorflow.python.pywrap_tensorflow", "EventsWriter"): ".contrib.framework:pywrap.EventsWriter",
    ("tensorflow.python.pywrap_tensorflow", "NewCheckpointReader"): ".contrib.framework:pywrap.NewCheckpointReader",
    ("tensorflow.python.layers.normalization", "BatchNormalization"): ".batch_normalization:BatchNormalization",
    ("tensorflow.python.layers.normalization", "batch_normalization"): ".batch_normalization:batch_normalization",
    ("tensorflow.python.layers.layers", "BatchNormalization"): ".batch_normalization:BatchNormalization",
    ("tensorflow.python.layers.layers", "batch_normalization"): ".batch_normalization:batch_normalization",
}

# Names that `tensorflow.compat.v1` has lost and gets back: name -> an attribute that the module has if it is really
# there, and not just a stub that says that Keras 3 is installed.
ADDED_TO_V1 = {
    "config.experimental_list_devices": None,
    "estimator": None,
    "keras": "backend",
    "layers": "dense",
    "nn.rnn_cell": "LSTMCell",
    "pywrap_tensorflow": None,
    "saved_model.main_op": None,
    "test.mock": None,
}

# Names that work differently from TensorFlow 1: name (or prefix) -> how.
DIFFERENT = {
    "keras": "TensorFlow's own Keras of version 2, or tf_keras if it is installed",
    "contrib.keras": "see tf.keras",
    "contrib.layers.batch_norm": "renorm and adjustment are refused",
    "contrib.slim.batch_norm": "renorm and adjustment are refused",
    "contrib.cudnn_rnn": "plain operations instead of cuDNN's, on any device; the variables are those of the cells",
    "contrib.distributions": "tensorflow_probability's if it is installed, else tf.distributions and small code",
    "contrib.eager.defun": "is tf.function",
    "contrib.rnn.GRUBlockCell": "plain operations instead of one fused kernel",
    "contrib.rnn.GRUBlockCellV2": "plain operations instead of one fused kernel",
    "contrib.rnn.LSTMBlockCell": "plain operations instead of one fused kernel",
    "contrib.rnn.LSTMBlockFusedCell": "plain operations instead of one fused kernel",
    "contrib.seq2seq.gather_tree": "plain operations instead of one kernel",
    "examples.tutorials.mnist.input_data": "reads MNIST's files from the given directory and downloads nothing",
    "contrib.learn.datasets": "only MNIST; reads the files from the given directory and downloads nothing",
    "layers.batch_normalization": "renorm, virtual_batch_size and adjustment are refused",
    "layers.BatchNormalization": "renorm, virtual_batch_size and adjustment are refused",
}

# Packages written for TensorFlow 2 (or both): in these, `import tensorflow` gives the real module.
TENSORFLOW_2_PACKAGES = frozenset(
    """tensorflow keras tf_keras tensorboard tensorflow_probability tensorflow_datasets tensorflow_hub tensorflow_text
    tensorflow_io tensorflow_addons tensorflow_model_optimization tensorflow_estimator tf2onnx tf_slim tfp jax flax
    tensorflow_gan transformers keras_cv keras_nlp keras_hub keras_core wandb mlflow tensorflowjs tf_agents""".split()
)
