"""What is read of a train dir's config.json, and what is refused."""

import copy
import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_resnet import config as config_json
from graph_resnet.errors import UserError
from graph_resnet.recipes import RECIPES, Recipe
from tests.helpers import CASES

CONFIG = {
    "recipe": {
        "name": "notebook",
        "source": "a test",
        "net": "bottleneck",
        "dataset": "cifar10",
        "image_size": 96,
        "batch_size": 64,
        "optimizer": "momentum",
        "learning_rate": 0.01,
        "steps": 20,
        "epochs": None,
        "mean": [0.5, 0.5, 0.5],
        "std": [1, 1.0, 1.0],
        "num_classes": 2,
    },
    "precision": "bfloat16",
    "class_names": ["cat", "dog"],
    "data": {"dataset": "cifar10", "files": [{"name": "a.bin"}]},
}


def read(directory, config):
    (directory / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return config_json.read(directory)


def changed(*path, value):
    config = copy.deepcopy(CONFIG)
    *path, last = path
    part = config
    for key in path:
        part = part[key]
    part[last] = value
    return config


def test_a_config_is_read(tmp_path):
    net = read(tmp_path, CONFIG)
    assert net.directory == tmp_path
    assert (net.class_names, net.precision) == (("cat", "dog"), "bfloat16")
    assert isinstance(net.recipe, Recipe)
    assert (net.recipe.net, net.recipe.image_size, net.recipe.epochs) == ("bottleneck", 96, None)
    assert (net.recipe.mean, net.recipe.std) == ((0.5, 0.5, 0.5), (1, 1.0, 1.0))
    assert net.recipe.flip is True  # not in the file: the default


def test_every_recipe_comes_back_as_it_was(tmp_path):
    for recipe in RECIPES.values():
        config = {**CONFIG, "recipe": {**dataclasses.asdict(recipe), "num_classes": 2}}
        assert read(tmp_path, config).recipe == recipe


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed("recipe", "colour", value="red"), "unknown recipe field 'colour'"),
        (changed("recipe", "net", value="vgg"), "net is 'vgg', not one of bottleneck, deep, resnet18"),
        (changed("recipe", "net", value=["a"]), "net is ['a'], not one of"),
        (changed("recipe", "image_size", value="96"), "image_size is '96', not int"),
        (changed("recipe", "image_size", value=0), "image_size is 0, not positive"),
        (changed("recipe", "flip", value=1), "flip is 1, not bool"),
        (changed("recipe", "batch_size", value=True), "batch_size is True, not int"),
        (changed("recipe", "steps", value=2.5), "steps is 2.5, not int | None"),
        (changed("recipe", "learning_rate", value=None), "learning_rate is None, not float"),
        (changed("recipe", "mean", value=[0.5]), "mean is (0.5,), not three numbers"),
        (changed("recipe", "std", value=[1, 0, 1]), "std is (1, 0, 1), not three numbers other than 0"),
        (changed("recipe", "std", value=[1, float("nan"), 1]), "std is [1, nan, 1], not tuple[float, ...]"),
        (changed("recipe", "num_classes", value=3), "num_classes is 3, with 2 class_names"),
        (changed("recipe", value={"name": "a"}), "the recipe lacks source, net, dataset"),
        (changed("class_names", value="cat"), "class_names is 'cat', not a list of names"),
        (changed("class_names", value=[]), "class_names is [], not a list of names"),
        (changed("precision", value="float8"), "precision is 'float8', not one of auto, bfloat16, float32"),
        (changed("held_out", value=-1), "held_out is -1, not a number of records"),
        (changed("held_out", value=-1), "held_out is -1, not a number of records"),
        (changed("data", "files", value=[1]), "data has no list of files"),
        (changed("data", value=None), "not a run's config"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_foreign_config_is_refused_in_one_line(tmp_path, config, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, config)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: {message}")
    assert "\n" not in str(caught.value)


def test_no_train_dir(tmp_path):
    with pytest.raises(UserError, match=r"none: no such directory; pass the --train-dir of a run"):
        config_json.read(tmp_path / "none")
    with pytest.raises(UserError, match=r"it holds no config\.json"):
        config_json.read(tmp_path)


def places(value, path=()):
    """Every path into a nest of dicts and lists."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*path, key))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@settings(max_examples=CASES, deadline=None)
@given(place=st.sampled_from([path for path in places(CONFIG) if path]), value=anything)
def test_whatever_a_config_holds_it_is_read_or_refused(tmp_path_factory, place, value):
    try:
        net = read(tmp_path_factory.getbasetemp(), changed(*place, value=value))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert net.recipe.image_size > 0 and len(net.class_names) == 2
