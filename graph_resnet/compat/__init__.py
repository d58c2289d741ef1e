"""TensorFlow 1 on today's TensorFlow: TF-Slim, `tf.contrib`, `tf.layers` and whole programs.

This package knows nothing of the rest of the project. `slim_hook` makes `import tf_slim` work; `facade` turns a process
to TensorFlow 1, from `tables`, `gone` and `removed_names`; `run` runs a program in it, `check` reads one.
"""
