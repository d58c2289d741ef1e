"""Names of TensorFlow 1 that today's TensorFlow lacks, each with the alternative, as the end of a sentence.

The keys are dotted names below `tf`; a key also covers everything below it.
"""

_ESTIMATOR = (
    "it was removed in TensorFlow 2.16; install tensorflow_estimator==2.15.0, which has it, and for ready-made "
    "estimators tf_keras"
)
_LEARN = "use tf.estimator, from the package tensorflow_estimator, or a tf.train.MonitoredTrainingSession"
_TPU = "it drove TPUs; run the graph on the CPU or a GPU. For TPUEstimator, install tensorflow_estimator==2.15.0"
_TF_KERAS = "install tf_keras, which has it"

_COLUMNS = """bucketized_column check_feature_columns create_feature_spec_for_parsing crossed_column
    embedding_column infer_real_valued_columns input_from_feature_columns joint_weighted_sum_from_feature_columns
    make_place_holder_tensors_for_base_features one_hot_column parse_feature_columns_from_examples
    parse_feature_columns_from_sequence_examples real_valued_column scattered_embedding_column
    sequence_input_from_feature_columns shared_embedding_columns sparse_column_with_hash_bucket
    sparse_column_with_integerized_feature sparse_column_with_keys sparse_column_with_vocabulary_file
    transform_features weighted_sparse_column weighted_sum_from_feature_columns sparse_feature_cross
    sparse_feature_cross_op DataFrameColumn feature_column_ops"""
# Names that tf.contrib.layers and tf.contrib.slim shared, what to use instead.
_LEFT_OUT_LAYERS = (
    (_COLUMNS, "use tf.feature_column"),
    (
        "embedding_lookup_sparse_with_distributed_aggregation scattered_embedding_lookup"
        " scattered_embedding_lookup_sparse",
        "use tf.nn.embedding_lookup and tf.nn.embedding_lookup_sparse",
    ),
    (
        "ProblemType binary_svm_target get_default_binary_metrics_for_eval multi_class_target regression_target"
        " target_column",
        _LEARN,
    ),
)
# Module, names in it, what to use instead: the rarely used parts of modules whose common parts are supported.
_LEFT_OUT = (
    (
        "contrib.rnn",
        "BidirectionalGridLSTMCell CompiledWrapper FusedRNNCell GLSTMCell GridLSTMCell IndyGRUCell IndyLSTMCell"
        " IntersectionRNNCell LSTMBlockWrapper PhasedLSTMCell TimeFreqLSTMCell LayerNormLSTMCell WeightNormLSTMCell"
        " NTMCell NTMControllerState MinimalRNNCell CFNCell",
        "use tf.contrib.rnn.LSTMCell, or write the cell as a subclass of tf.nn.rnn_cell.RNNCell",
    ),
    (
        "contrib.opt",
        "AGNCustomGetter AGNOptimizer AdamGSOptimizer DropStaleGradientOptimizer ElasticAverageCustomGetter"
        " ElasticAverageOptimizer GGTOptimizer LazyAdamGSOptimizer ModelAverageCustomGetter ModelAverageOptimizer"
        " MultitaskOptimizerWrapper RegAdagradOptimizer ShampooOptimizer ShampooWOptimizer",
        "use an optimizer of tf.train or another one of tf.contrib.opt",
    ),
    (
        "contrib.eager",
        "Network Saver restore_variables_on_create restore_network_checkpoint save_network_checkpoint",
        "use tf.keras.Model and tf.train.Checkpoint",
    ),
    (
        "contrib.eager",
        "DEVICE_PLACEMENT_EXPLICIT DEVICE_PLACEMENT_SILENT DEVICE_PLACEMENT_WARN ExecutionCallback"
        " add_execution_callback async_clear_error async_wait clear_execution_callbacks connect_to_remote_host"
        " enable_remote_eager_execution errstate execution_mode inf_callback inf_nan_callback nan_callback"
        " set_execution_mode set_server_def seterr EagerVariableStore",
        "use tf.config.experimental and tf.debugging",
    ),
    (
        "contrib.mixed_precision",
        "ExponentialUpdateLossScaleManager FixedLossScaleManager LossScaleManager LossScaleOptimizer",
        "use tf.train.experimental.enable_mixed_precision_graph_rewrite",
    ),
    (
        "contrib.distribute",
        "AllReduceCrossDeviceOps CollectiveAllReduceStrategy DistributeConfig DistributionStrategy Monitor"
        " MultiWorkerAllReduce StandardInputStep StandardSingleLossStep Step UpdateContext TPUStrategy"
        " initialize_tpu_system run_standard_tensorflow_server",
        "use tf.distribute",
    ),
    (
        "contrib.framework",
        "fuse_op load_and_remap_matrix_initializer load_embedding_initializer load_linear_multiclass_bias_initializer"
        " load_variable_slot_initializer prepend_name_scope",
        "use tf.train.init_from_checkpoint and tf.graph_util",
    ),
    (
        "contrib.autograph",
        "AutoGraphError ConversionOptions StackTraceMapper convert converted_call operators set_element_type stack"
        " utils",
        "use tf.autograph or tf.function",
    ),
    (
        "contrib.checkpoint",
        "CheckpointableObjectGraph NumpyState PythonStateWrapper UniqueNameTracker capture_dependencies"
        " dot_graph_from_checkpointable split_dependency",
        "use tf.train.Checkpoint",
    ),
    (
        "contrib.crf",
        "CrfDecodeBackwardRnnCell CrfDecodeForwardRnnCell CrfForwardRnnCell",
        "use tf.contrib.crf.crf_log_norm and crf_decode",
    ),
    ("contrib.distribute", "get_cross_replica_context require_replica_context", "use tf.distribute"),
    ("contrib.image", "interpolate_spline sparse_image_warp", "use tf.contrib.image.dense_image_warp or scipy"),
    (
        "contrib.seq2seq",
        "simple_decoder_fn_train simple_decoder_fn_inference prepare_attention dynamic_rnn_decoder"
        " attention_decoder_fn_train attention_decoder_fn_inference",
        "it was removed in TensorFlow 1.2; use tf.contrib.seq2seq.BasicDecoder and AttentionWrapper",
    ),
    (
        "contrib.seq2seq",
        "BahdanauAttentionV2 BahdanauMonotonicAttentionV2 BaseDecoder BasicDecoderV2 BeamSearchDecoderMixin"
        " BeamSearchDecoderV2 LuongAttentionV2 LuongMonotonicAttentionV2 SequenceLoss",
        "use the class without V2, or tensorflow_addons.seq2seq",
    ),
    ("contrib.legacy_seq2seq", "one2many_rnn_seq2seq", "call embedding_rnn_decoder once for each task"),
    ("contrib.nn", "rank_sampled_softmax_loss", "use tf.nn.sampled_softmax_loss"),
    ("contrib.optimizer_v2", "OptimizerV2", "use tf.train.Optimizer"),
    ("contrib.summary", "create_db_writer", "use tf.contrib.summary.create_file_writer"),
    (
        "contrib.testing",
        "FakeSummaryWriter assert_summary latest_event_file latest_events latest_summaries simple_values_from_events"
        " to_summary_proto",
        "read the files with tf.train.summary_iterator",
    ),
    ("contrib.tfprof", "ProfileContext", "use tf.profiler.Profiler"),
    ("contrib.training", "resample_at_rate weighted_resample", "use tf.contrib.training.rejection_sample"),
    ("contrib.predictor", "from_contrib_estimator from_estimator", "export the model and use from_saved_model"),
    (
        "keras.layers",
        "Bidirectional TimeDistributed GaussianNoise GaussianDropout AlphaDropout CuDNNLSTM CuDNNGRU"
        " DenseFeatures LayerNormalization LocallyConnected1D LocallyConnected2D Wrapper",
        _TF_KERAS,
    ),
    ("keras", "applications estimator experimental wrappers", _TF_KERAS),
)

# Modules that can be imported, so that a program that only mentions them runs; using them raises an error.
GONE_MODULES = {
    "contrib.all_reduce": "use tf.distribute",
    "contrib.bayesflow": "use tensorflow_probability",
    "contrib.bigtable": "use tensorflow_io",
    "contrib.boosted_trees": "use TensorFlow Decision Forests or xgboost",
    "contrib.cloud": "use tensorflow_io",
    "contrib.coder": "use tensorflow_compression",
    "contrib.constrained_optimization": "use tensorflow_constrained_optimization",
    "contrib.copy_graph": "use tf.train.export_meta_graph and tf.import_graph_def",
    "contrib.decision_trees": "use TensorFlow Decision Forests",
    "contrib.estimator": _ESTIMATOR,
    "contrib.factorization": "k-means, GMM and WALS were C++ operations; use scikit-learn",
    "contrib.feature_column": "use tf.feature_column",
    "contrib.ffmpeg": "use tensorflow_io or tf.audio.decode_wav",
    "contrib.fused_conv": "it was a CUDA operation; use tf.nn.conv2d, tf.nn.bias_add and an activation",
    "contrib.gan": "it moved to the package tensorflow_gan",
    "contrib.graph_editor": "rewrite the GraphDef and use tf.import_graph_def with input_map",
    "contrib.grid_rnn": "use tf.contrib.rnn.GridLSTMCell's relatives or a cell of your own",
    "contrib.hadoop": "use tensorflow_io",
    "contrib.hooks": "use the hooks of tf.train",
    "contrib.hvx": "it drove Qualcomm hardware; use TensorFlow Lite",
    "contrib.ignite": "use tensorflow_io",
    "contrib.integrate": "use tfp.math.ode or scipy.integrate.odeint through tf.py_func",
    "contrib.kafka": "use tensorflow_io",
    "contrib.kernel_methods": "use scikit-learn's kernel_approximation",
    "contrib.kfac": "it moved to the package kfac",
    "contrib.kinesis": "use tensorflow_io",
    "contrib.labeled_tensor": "use plain tensors",
    "contrib.libsvm": "use sklearn.datasets.load_svmlight_file",
    "contrib.linalg": "use tf.linalg",
    "contrib.linear_optimizer": "SDCA lives on as tf.raw_ops.SdcaOptimizerV2",
    "contrib.lite": "use tf.lite",
    "contrib.memory_stats": "it was a C++ operation; use tf.config.experimental.get_memory_info",
    "contrib.meta_graph_transform": "use tf.import_graph_def",
    "contrib.metrics.python.kernel_tests": "tests",
    "contrib.model_pruning": "use tensorflow_model_optimization",
    "contrib.mpi": "use tf.distribute",
    "contrib.mpi_collectives": "use horovod",
    "contrib.ndlstm": "use tf.nn.dynamic_rnn over rows and columns",
    "contrib.nearest_neighbor": "it was a C++ operation; use scikit-learn",
    "contrib.nearest_neighbors": "it was a C++ operation; use scikit-learn",
    "contrib.periodic_resample": "it was a C++ operation; use tf.reshape and tf.transpose",
    "contrib.proto": "use tf.io.decode_proto and tf.io.encode_proto",
    "contrib.quantize": "use tensorflow_model_optimization, or tf.quantization.fake_quant_with_min_max_vars",
    "contrib.receptive_field": "it moved to the repository google-research/receptive_field",
    "contrib.recurrent": "use tf.nn.dynamic_rnn",
    "contrib.reduce_slice_ops": "it was a C++ operation; use tf.math.segment_sum",
    "contrib.remote_fused_graph": "it drove Qualcomm hardware; use TensorFlow Lite",
    "contrib.rpc": "it was a C++ operation; use tf.py_func",
    "contrib.saved_model": "use tf.saved_model",
    "contrib.session_bundle": "use tf.saved_model",
    "contrib.solvers": "use tf.linalg or scipy.sparse.linalg",
    "contrib.specs": "write the layers out with tf.contrib.layers",
    "contrib.stat_summarizer": "use tf.profiler",
    "contrib.tensor_forest": "it was made of C++ operations; use TensorFlow Decision Forests or scikit-learn",
    "contrib.text": "skip-gram sampling was a C++ operation; sample the pairs in Python",
    "contrib.timeseries": "use tfp.sts",
    "contrib.tpu": _TPU,
    "contrib.verbs": "use tf.distribute",
    "contrib.xla_tf_graph": "use tf.xla",
    "estimator": _ESTIMATOR,
    "python.estimator": _ESTIMATOR,
    "models": "the models were never part of the package; add the repository's models/tutorials to PYTHONPATH",
}

# Names inside modules that exist.
GONE = {
    **GONE_MODULES,
    **{
        f"contrib.{place}.{name}": reason
        for place in ("layers", "slim")
        for names, reason in _LEFT_OUT_LAYERS
        for name in names.split()
    },
    **{f"{place}.{name}": reason for place, names, reason in _LEFT_OUT for name in names.split()},
    "contrib.cudnn_rnn": "checkpoints need no conversion here; leave it out",
    "contrib.data.LMDBDataset": "read the database with the lmdb package and tf.data.Dataset.from_generator",
    "contrib.distributions": "install tensorflow_probability, which has it",
    "contrib.distributions.bijectors": "install tensorflow_probability, which has it",
    "contrib.image.bipartite_match": "it was a C++ operation; use scipy.optimize.linear_sum_assignment in tf.py_func",
    "contrib.image.connected_components": "it was a C++ operation; use scipy.ndimage.label in tf.py_func",
    "contrib.image.single_image_random_dot_stereograms": "it was a C++ operation",
    "contrib.learn": _LEARN,
    "contrib.tensorrt": "TensorRT needs a TensorFlow built for it; use tensorflow.python.compiler.tensorrt there",
    "contrib.training.batch_sequences_with_states": "use tf.nn.dynamic_rnn and feed the last state",
    "contrib.training.SequenceQueueingStateSaver": "use tf.nn.dynamic_rnn and feed the last state",
    "contrib.training.NextQueuedSequenceBatch": "use tf.nn.dynamic_rnn and feed the last state",
    "data.experimental.CheckpointInputPipelineHook": "leave it out; it saved the place in the data",
    "data.experimental.MapVectorizationOptions": "leave it out; tf.data optimizes by itself",
    "data.experimental.StatsAggregator": "use the TensorFlow profiler",
    "data.experimental.StatsOptions": "use the TensorFlow profiler",
    "data.experimental.bytes_produced_stats": "use the TensorFlow profiler",
    "data.experimental.latency_stats": "use the TensorFlow profiler",
    "lite.experimental.get_potentially_supported_ops": "let tf.lite.TFLiteConverter say what it cannot convert",
    "lite.experimental.nn": "use tf.lite.TFLiteConverter on a Keras RNN",
    "tpu.experimental.AdagradParameters": "use tf.tpu.experimental.embedding.Adagrad",
    "tpu.experimental.AdamParameters": "use tf.tpu.experimental.embedding.Adam",
    "tpu.experimental.StochasticGradientDescentParameters": "use tf.tpu.experimental.embedding.SGD",
    # Removed in TensorFlow 1.0.
    **{
        old: f"it was removed in TensorFlow 1.0; use tf.{new}"
        for old, new in {
            "all_variables": "global_variables",
            "audio_summary": "summary.audio",
            "batch_matmul": "matmul",
            "complex_abs": "abs",
            "concat_v2": "concat",
            "histogram_summary": "summary.histogram",
            "image_summary": "summary.image",
            "image.per_image_whitening": "image.per_image_standardization",
            "inv": "reciprocal",
            "listdiff": "setdiff1d",
            "merge_all_summaries": "summary.merge_all",
            "merge_summary": "summary.merge",
            "mul": "multiply",
            "neg": "negative",
            "nn.bidirectional_rnn": "nn.static_bidirectional_rnn",
            "nn.rnn": "nn.static_rnn",
            "nn.seq2seq": "contrib.legacy_seq2seq",
            "pack": "stack",
            "scalar_summary": "summary.scalar",
            "select": "where",
            "sub": "subtract",
            "train.SummaryWriter": "summary.FileWriter",
            "unpack": "unstack",
        }.items()
    },
}
