"""TensorFlow 1 on today's TensorFlow: TF-Slim, `tf.contrib`, `tf.layers` and whole programs.

This package imports nothing from the rest of the project. `slim_hook` makes `import tf_slim` work; `facade` switches a
process to TensorFlow 1, using `tables`, `gone` and `removed_names`; `run` runs a program in it, `check` only reads one.
"""
