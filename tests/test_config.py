"""Reading a train dir's config.json, and refusing invalid ones."""

import copy
import dataclasses
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_resnet import config as config_json
from graph_resnet.architectures import ARCHITECTURES, Architecture, Group, Stem
from graph_resnet.errors import UserError
from graph_resnet.recipes import RECIPES, Recipe
from tests.helpers import CASES, ROOT

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
PUBLISHED = sorted((ROOT / "docs" / "results").glob("*/config.json"))
ROW = json.loads(json.dumps(dataclasses.asdict(ARCHITECTURES["bottleneck"])))


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
    assert net.recipe.flip is True  # the default, because it is not in the file


def test_every_recipe_survives_a_round_trip(tmp_path):
    for recipe in RECIPES.values():
        config = {**CONFIG, "recipe": {**dataclasses.asdict(recipe), "num_classes": 2}}
        assert read(tmp_path, config).recipe == recipe


def test_a_row_is_data(tmp_path):
    """A net from another train dir: its row is in the file, and no name makes code run."""
    tiny = Architecture("tiny", Stem("stem", "conv1", 8, 3), (Group("block1", 1, 16, pool=(3, 2)),), keras_style=True)
    recipe = dataclasses.replace(RECIPES["notebook"], net=tiny)
    values = {**config_json.recipe_values(recipe), "num_classes": 2}
    found = read(tmp_path, {**CONFIG, "recipe": values, "architecture": config_json.row_values(recipe)}).recipe
    assert found == recipe and found.architecture == tiny and found.net_name == values["net"] == "tiny"
    # A row of that name has changed since: the one in the file is used.
    old = dataclasses.replace(ARCHITECTURES["bottleneck"], unit_scope="old")
    assert read(tmp_path, {**CONFIG, "architecture": dataclasses.asdict(old)}).recipe.architecture == old
    assert read(tmp_path, {**CONFIG, "architecture": ROW}).recipe.net == "bottleneck"


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_every_published_config_is_read(path):
    net = config_json.read(path.parent)
    assert net.recipe.architecture == ARCHITECTURES[net.recipe.net]


def test_retired_fields(tmp_path):
    """A field that changed nothing is dropped with a line; otherwise the version that had it is named."""
    net = read(tmp_path, changed("recipe", "alternating_flip", value=False))
    what = "recipe field alternating_flip of graph_resnet 1.0.0 before 2026-11-23 is dropped; False changed nothing"
    assert net.notes == (f"{tmp_path / 'config.json'}: {what}",)
    with pytest.raises(UserError, match="gamma is 'zeros', which graph_resnet 1.0.0 before 2026-11-23 supported but "):
        read(tmp_path, changed("recipe", "gamma", value="zeros"))


def test_a_name_with_terminal_codes_is_escaped(tmp_path):
    name = read(tmp_path, changed("recipe", "name", value="\x1b]0;hi\x07\udc80")).recipe.name
    assert name == "\\x1b]0;hi\\x07\\udc80"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            changed("recipe", "colour", value="red"),
            "unknown recipe field 'colour'; written by another version, this is ",
        ),
        (
            {**changed("recipe", "colour", value="red"), "versions": {"graph_resnet": "9.9.9"}},
            "unknown recipe field 'colour'; written by graph_resnet 9.9.9, this is ",
        ),
        (changed("recipe", "net", value="vgg"), "net is 'vgg', not one of bottleneck, deep, fast, fast-wide, resnet18"),
        (changed("recipe", "net", value=["a"]), "net is ['a'], not one of"),
        (changed("recipe", "image_size", value="96"), "image_size is '96', not a whole number from 1 to 4,096"),
        (changed("recipe", "image_size", value=0), "image_size is 0, not a whole number from 1 to 4,096"),
        (changed("recipe", "image_size", value=1e30), "image_size is 1e+30, not a whole number"),
        (changed("recipe", "batch_size", value=10**30), "batch_size is 1000000000000000000000000000000, not a whole"),
        (changed("recipe", "flip", value=1), "flip is 1, not true or false"),
        (changed("recipe", "batch_size", value=True), "batch_size is True, not a whole number"),
        (changed("recipe", "steps", value=2.5), "steps is 2.5, not a whole number from 1 to 1,000,000,000 or null"),
        (changed("recipe", "learning_rate", value=None), "learning_rate is None, not a number from 0 to 1000"),
        (changed("recipe", "weight_decay", value=-1), "weight_decay is -1, not a number from 0 to 1000"),
        (changed("recipe", "mean", value=[0.5]), "mean is [0.5], not 3 values, each a number from -1000 to 1000"),
        (changed("recipe", "mean", value=[10**400] * 3), "mean is ["),
        (changed("recipe", "std", value=[1, 0, 1]), "std is [1, 0, 1], not 3 values, each a number from 0.001 to 1000"),
        (changed("recipe", "std", value=[1, 1e-320, 1]), "std is [1, 1e-320, 1], not 3 values"),
        (changed("recipe", "std", value=[1, float("nan"), 1]), "std is [1, nan, 1], not 3 values"),
        (changed("recipe", "num_classes", value=3), "num_classes is 3, with 2 class_names"),
        (changed("recipe", value={"name": "a"}), "no source, net, dataset"),
        (changed("recipe", "name", value="x" * 300), "name is 'xxx"),
        (changed("class_names", value="cat"), "class_names is 'cat', not a list of names"),
        (changed("class_names", value=[]), "class_names is [], not a list of names"),
        (changed("precision", value="float8"), "precision is 'float8', not one of auto, bfloat16, float32"),
        (changed("held_out", value=-1), "held_out is -1, not a whole number from 0 to"),
        (changed("held_out", value=True), "held_out is True, not a whole number from 0 to"),
        (changed("data", "files", value=[1]), "data has no list of files"),
        (changed("data", "files", value=[{"name": "a", "records": "7"}]), "records is '7', not a whole number"),
        (changed("data", "files", value=[{"name": "a", "bytes": 1e400}]), "bytes is inf, not a whole number"),
        ({**CONFIG, "finished": [1]}, "finished is [1], not an object"),
        ({**CONFIG, "finished": {"seconds": float("nan")}}, "seconds is nan, not a number from 0 to"),
        ({**CONFIG, "finished": {"images": 10**400}}, "images is 1"),
        ({**CONFIG, "versions": json.loads("[" * 60 + "]" * 60)}, "cannot be read (nested too deeply)"),
        (changed("data", value=None), "not a run's config"),
        ({**CONFIG, "architecture": 1}, "architecture is 1, not a net's row"),
        ({**CONFIG, "architecture": {**ROW, "depth": 3}}, "architecture: unknown field 'depth'"),
        ({**CONFIG, "architecture": {**ROW, "stem": {}}}, "architecture: stem: no scope, conv, depth, kernel"),
        ({**CONFIG, "architecture": {**ROW, "groups": []}}, "architecture: groups is [], not a list of objects"),
        ({**CONFIG, "architecture": {**ROW, "scope": "a" * 101}}, "architecture: scope is 'aaa"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_an_invalid_config_is_refused_in_one_line(tmp_path, config, message):
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
    """Every path into nested dicts and lists."""
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
def test_any_config_is_read_or_refused_by_the_reader(tmp_path_factory, place, value):
    try:
        net = read(tmp_path_factory.getbasetemp(), changed(*place, value=value))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert net.recipe.image_size > 0 and len(net.class_names) == 2


def test_a_train_dir_whose_name_is_not_utf8():
    with pytest.raises(UserError, match="not UTF-8 where file names are"):
        config_json.read(os.fsdecode(b"r\xff"))
