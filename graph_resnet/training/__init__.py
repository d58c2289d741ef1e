"""Trains a recipe into a train dir. `python -m graph_resnet.train` from Python:

    from graph_resnet.recipes import RECIPES
    from graph_resnet.training import Data, Show, train

    result = train("notebook", "runs/a", data=Data(hold_out=5000))    # a `Result`; prints nothing
    recipe = dataclasses.replace(RECIPES["strong"], steps=300, dataset="synthetic")
    print(train(recipe, show=Show(print)).accuracy)                   # prints the lines of the command

It raises `graph_resnet.errors.UserError`, a one-line message, for bad input, and does not change the caller's default
graph or eager mode. Names are imported on first use; TensorFlow is imported by the call that needs it.
"""

from graph_resnet import lazy, session

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "train": "start",
        "Result": "start",
        "Data": "options",
        "Start": "options",
        "Output": "options",
        "Machine": "options",
        "Show": "options",
    },
    before=session.use_onednn,
)
