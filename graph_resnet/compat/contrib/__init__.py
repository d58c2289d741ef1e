"""The parts of `tf.contrib` that live nowhere else today, written in a few lines each over today's TensorFlow.

`graph_resnet.compat.tables` says which name comes from here. Names, arguments and the names of variables are those of
TensorFlow 1, so that its checkpoints fit.
"""
