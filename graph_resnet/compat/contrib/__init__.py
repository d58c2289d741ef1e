"""The parts of `tf.contrib` that exist nowhere else today, each written in a few lines on today's TensorFlow.

`graph_resnet.compat.tables` says which names come from here. Names, arguments and variable names are those of
TensorFlow 1, so that its checkpoints fit.
"""
