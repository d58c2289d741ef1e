"""The modules inside `tf.contrib` that programs import, such as "tensorflow.contrib.rnn.python.ops.core_rnn_cell"."""

# Whole packages of tf.contrib: deep path -> today's package or module.
HOMES = {
    "contrib.framework.python.ops": "tf_slim.ops",
    "contrib.framework.python.ops.audio_ops": "tensorflow.python.ops.gen_audio_ops",
    "contrib.layers.python.layers": "tf_slim.layers",
    "contrib.learn.python.learn.datasets.mnist": ".contrib.mnist",
    "contrib.losses.python.losses": "tf_slim.losses",
    "contrib.losses.python.metric_learning.metric_loss_ops": "tf_slim.losses.metric_learning",
    "contrib.metrics.python.metrics": "tf_slim.metrics",
    "contrib.metrics.python.ops": "tf_slim.metrics",
    "contrib.slim.python.slim": "tf_slim",
    "contrib.training.python.training": "tf_slim.training",
    "python.estimator": "tensorflow_estimator.python.estimator",
}

# The deep modules of tf.contrib, below `<module>.python`. Each offers the names of its home and its public module.
DEEP_MODULES = {
    "contrib.batching": "ops ops.batch_ops",
    "contrib.checkpoint": "containers python_state split_dependency visualize",
    "contrib.cluster_resolver": "training training.cluster_resolver training.gce_cluster_resolver"
    " training.kubernetes_cluster_resolver training.slurm_cluster_resolver training.tfconfig_cluster_resolver"
    " training.tpu_cluster_resolver",
    "contrib.crf": "ops ops.crf",
    "contrib.cudnn_rnn": "layers layers.cudnn_rnn ops ops.cudnn_rnn_ops",
    "contrib.data": "ops ops.batching ops.counter ops.dataset_ops ops.enumerate_ops ops.error_ops"
    " ops.get_single_element ops.grouping ops.interleave_ops ops.iterator_ops ops.parsing_ops ops.prefetching_ops"
    " ops.random_ops ops.readers ops.resampling ops.scan_ops ops.shuffle_ops ops.sliding ops.threadpool ops.unique"
    " ops.writers",
    "contrib.distribute": "collective_all_reduce_strategy mirrored_strategy monitor one_device_strategy"
    " parameter_server_strategy tpu_strategy",
    "contrib.distributions": "ops ops.autoregressive ops.bijectors ops.binomial ops.cauchy ops.chi2"
    " ops.conditional_distribution ops.deterministic ops.distribution_util ops.geometric ops.gumbel ops.half_normal"
    " ops.independent ops.inverse_gamma ops.kumaraswamy ops.logistic ops.mixture ops.mixture_same_family ops.mvn_diag"
    " ops.mvn_diag_plus_low_rank ops.mvn_full_covariance ops.mvn_linear_operator ops.mvn_tril ops.negative_binomial"
    " ops.onehot_categorical ops.poisson ops.poisson_lognormal ops.quantized_distribution ops.relaxed_bernoulli"
    " ops.relaxed_onehot_categorical ops.sample_stats ops.seed_stream ops.sinh_arcsinh ops.wishart",
    "contrib.eager": "datasets metrics metrics_impl network parameter_server saver tfe",
    "contrib.framework": "framework framework.checkpoint_utils framework.experimental framework.graph_util"
    " framework.tensor_util ops ops.arg_scope ops.audio_ops ops.checkpoint_ops ops.ops ops.prettyprint_ops"
    " ops.script_ops ops.sort_ops ops.variables",
    "contrib.image": "ops ops.dense_image_warp ops.distort_image_ops ops.image_ops ops.interpolate_spline"
    " ops.single_image_random_dot_stereograms ops.sparse_image_warp",
    "contrib.input_pipeline": "ops ops.input_pipeline_ops",
    "contrib.layers": "layers layers.embedding_ops layers.encoders layers.feature_column layers.feature_column_ops"
    " layers.initializers layers.layers layers.normalization layers.optimizers layers.regularizers"
    " layers.rev_block_lib layers.summaries layers.target_column layers.utils ops ops.bucketization_op"
    " ops.sparse_feature_cross_op ops.sparse_ops",
    "contrib.learn": "learn learn.datasets learn.datasets.base learn.datasets.mnist learn.preprocessing"
    " learn.preprocessing.categorical_vocabulary learn.preprocessing.text",
    "contrib.legacy_seq2seq": "ops ops.seq2seq",
    "contrib.losses": "losses losses.loss_ops metric_learning metric_learning.metric_loss_ops",
    "contrib.metrics": "metrics metrics.classification ops ops.confusion_matrix_ops ops.histogram_ops ops.metric_ops"
    " ops.set_ops",
    "contrib.mixed_precision": "loss_scale_manager loss_scale_optimizer",
    "contrib.nn": "ops ops.alpha_dropout ops.cross_entropy ops.fwd_gradients ops.sampling_ops ops.scaled_softplus",
    "contrib.opt": "training training.adam_gs_optimizer training.adamax training.addsign training.agn_optimizer"
    " training.drop_stale_gradient_optimizer training.elastic_average_optimizer training.external_optimizer"
    " training.ggt training.lars_optimizer training.lazy_adam_gs_optimizer training.lazy_adam_optimizer"
    " training.matrix_functions training.model_average_optimizer training.moving_average_optimizer"
    " training.multitask_optimizer_wrapper training.nadam_optimizer training.powersign training.reg_adagrad_optimizer"
    " training.shampoo training.sign_decay training.variable_clipping_optimizer training.weight_decay_optimizers",
    "contrib.quantization": "array_ops math_ops nn_ops",
    "contrib.resampler": "ops ops.resampler_ops",
    "contrib.rnn": "ops ops.core_rnn ops.core_rnn_cell ops.core_rnn_cell_impl ops.fused_rnn_cell ops.gru_ops"
    " ops.lstm_ops ops.rnn ops.rnn_cell ops.rnn_cell_impl tools tools.checkpoint_convert",
    "contrib.seq2seq": "ops ops.attention_wrapper ops.basic_decoder ops.beam_search_decoder ops.beam_search_ops"
    " ops.decoder ops.helper ops.loss ops.sampler",
    "contrib.slim": "slim slim.data slim.data.data_decoder slim.data.data_provider slim.data.dataset"
    " slim.data.dataset_data_provider slim.data.parallel_reader slim.data.prefetch_queue slim.data.tfexample_decoder"
    " slim.evaluation slim.learning slim.model_analyzer slim.nets slim.nets.alexnet slim.nets.inception"
    " slim.nets.inception_v1 slim.nets.inception_v2 slim.nets.inception_v3 slim.nets.overfeat slim.nets.resnet_utils"
    " slim.nets.resnet_v1 slim.nets.resnet_v2 slim.nets.vgg slim.queues slim.summaries",
    "contrib.sparsemax": "ops ops.sparsemax ops.sparsemax_loss",
    "contrib.tensorrt": "trt_convert",
    "contrib.testing": "framework framework.fake_summary_writer",
    "contrib.training": "training training.bucket_ops training.device_setter training.evaluation"
    " training.feeding_queue_runner training.hparam training.hparam_pb2 training.resample training.sampling_ops"
    " training.sequence_queueing_state_saver training.training training.tuner",
}
