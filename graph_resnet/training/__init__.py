"""A recipe -> a finished train dir. What `python -m graph_resnet.train` does, from Python:

    from graph_resnet.recipes import RECIPES
    from graph_resnet.training import Data, Show, train

    result = train("notebook", "runs/a", data=Data(hold_out=5000))    # a `Result`; prints nothing
    recipe = dataclasses.replace(RECIPES["strong"], steps=300, dataset="synthetic")
    print(train(recipe, show=Show(print)).accuracy)                   # the lines that the command prints

It raises `graph_resnet.errors.UserError`, one line for the reader, for bad input, and leaves the caller's default graph
and eager mode alone. Names are imported on first use; TensorFlow is imported by the call that needs it.
"""

from graph_resnet import lazy

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
)
