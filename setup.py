"""Packaging of graph_resnet: `pip install .`, or `pip install -e '.[test]'` to work on it."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "graph_resnet" / "__init__.py").read_text())[1]

NOTEBOOK = ["ipykernel", "nbclient"]
ONNX = ["tf2onnx>=1.17", "onnxruntime>=1.20"]  # tf2onnx 1.16 needs an older protobuf than TensorFlow
ESTIMATOR = ["tensorflow_estimator==2.15.0", "tf_keras"]  # for TensorFlow 1 programs that use tf.estimator
setup(
    name="graph-resnet",
    version=VERSION,
    description="TF1-style graphs and slim-style residual blocks on today's TensorFlow: a CIFAR trainer",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    # `utils` is a namespace package, so that it never hides somebody else's directory of that name.
    packages=[*find_packages(include=["graph_resnet*"]), "utils"],
    python_requires=">=3.10,<3.14",
    install_requires=[
        "tensorflow>=2.16,<2.22",
        "tf-slim==1.1.0",
        "grpcio",
        "numpy",
        "matplotlib>=3.8",
        "pillow>=10.1",
        "tqdm",
    ],
    extras_require={
        "test": ["hypothesis", "pytest", "pytest-xdist", "ruff>=0.9", "tensorboard", *NOTEBOOK, *ONNX, *ESTIMATOR],
        "notebook": ["notebook", "ipywidgets", *NOTEBOOK],  # ipywidgets: the progress bar
        "onnx": ONNX,
        "estimator": ESTIMATOR,
        "tensorboard": ["tensorboard"],
        "benchmarks": ["flax", "jax", "optax", "torch==2.13.0"],
    },
    entry_points={
        "console_scripts": [
            f"graph-resnet-{name}=graph_resnet.{name}:command"
            for name in ("train", "evaluate", "predict", "export", "report")
        ]
    },
)
