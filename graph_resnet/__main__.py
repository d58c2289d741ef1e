"""`python -m graph_resnet` lists the commands."""

import graph_resnet

COMMANDS = {
    "train": "trains a recipe; run again, it goes on: --steps 20000, --recipe list",
    "evaluate": "measures a trained net over a whole split",
    "predict": "classifies image files",
    "export": "writes a SavedModel that needs nothing of this package",
    "report": "puts one run or several on a page",
    "tf1": "runs a TensorFlow 1 program as it is",
}

if __name__ == "__main__":
    print(f"graph_resnet {graph_resnet.__version__}\n")
    for name, what in COMMANDS.items():
        print(f"  python -m graph_resnet.{name:<9} {what}")
    print("\n--help after any of them lists its flags. From Python: docs/api.md.")
