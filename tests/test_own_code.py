"""A user's recipes and nets: from a Python file, which is run, and from a config.json, which never runs code."""

import dataclasses
import json

import pytest

from graph_resnet import config, fields, own_code, recipes, train
from graph_resnet.architectures import ARCHITECTURES, Architecture, Group, Stem
from graph_resnet.errors import UserError
from graph_resnet.training import train_dir

HEAD = "from dataclasses import replace\nfrom graph_resnet.recipes import RECIPES\n"
ROW = Architecture("small", Stem("stem", "conv1", 8, 3), (Group("block1", 1, 8),))


def message(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1\n", "--recipe {file}: it should define one Recipe, it defines none"),
        (HEAD + "a = b = RECIPES['strong']\n", "it defines several: a, b; pass --recipe {file}:NAME"),
        (HEAD + "a = replace(RECIPES['strong'], steps=-5)\n", "{file}: steps is -5, not a whole number from 1 to "),
        (HEAD + "a = replace(RECIPES['strong'], stepz=5)\n", "{file}, line 3: TypeError: "),
        ("def f(:\n", "{file}, line 1: SyntaxError: invalid syntax"),
        ("def f():\n    return 1 / 0\n\n\nf()\n", "{file}, line 2: ZeroDivisionError: division by zero"),
        ("import helper_of_mine\n", "{folder}/helper_of_mine.py, line 2: NameError: name 'undefined' is not defined"),
        ("import json\njson.loads('{')\n", "{file}, line 2: JSONDecodeError: "),
        ("raise SystemExit(3)\n", "{file}, line 1: SystemExit: 3"),
    ],
)
def test_an_error_in_a_file_gives_one_line(code, expected, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(code)
    (tmp_path / "helper_of_mine.py").write_text("x = 1\ny = undefined\n")
    line = message(own_code.recipe, str(path))
    assert expected.format(file=path, folder=tmp_path) in line and "\n" not in line


def test_missing_files(tmp_path):
    (tmp_path / "folder.py").mkdir()
    assert message(own_code.recipe, str(tmp_path / "no.py")) == f"{tmp_path / 'no.py'}: no such file"
    assert message(own_code.recipe, str(tmp_path / "folder.py")) == f"{tmp_path / 'folder.py'}: not a file"
    path = str(tmp_path / "no.json")
    assert message(train.parse, ["--recipe", path]) == f"--recipe {path}: no such file"
    assert message(train.parse, ["--recipe", "~nobody-here/c.json"]) == "--recipe ~nobody-here/c.json: no such file"
    assert message(train.parse, ["--net", str(tmp_path / "no.py:NET")]) == f"{tmp_path / 'no.py'}: no such file"


def test_a_train_dir_is_not_a_recipe_but_holds_one(tmp_path, capsys):
    written(tmp_path)
    with pytest.raises(SystemExit, match="^2$"):
        train.parse(["--recipe", str(tmp_path)])
    assert f"nor a .py or .json file; did you mean {tmp_path / 'config.json'}?" in capsys.readouterr().err


def test_a_name_selects_a_recipe(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(HEAD + "a = replace(RECIPES['strong'], name='a')\nb = replace(a, name='b')\n")
    assert train.parse(["--recipe", f"{path}:b"])[0].name == "b"
    assert message(own_code.recipe, f"{path}:c").endswith("mine.py defines no Recipe of that name; it has a, b")
    assert message(own_code.architecture, f"{path}:a").endswith("no Architecture of that name; it has none")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": "a b"}, "scope is 'a b', not a scope: at most 100 letters"),
        ({"scope": "../x"}, "scope is '../x', not a scope"),
        ({"groups": (ROW.groups[0], ROW.groups[0])}, "two parts of the net have the scope 'block1'; give each its own"),
        ({"groups": (Group("stem", 1, 8),)}, "two parts of the net have the scope 'stem'"),
        ({"groups": (Group("logit", 1, 8),)}, "two parts of the net have the scope 'logit'"),
        ({"classifier_scope": "block1"}, "two parts of the net have the scope 'block1'"),
        ({"groups": ()}, "groups is (), not a list of objects with the fields of Group"),
        ({"stem": Stem("stem", "conv1", -8, 3)}, "stem: depth is -8, not a whole number from 1 to 65,536"),
    ],
)
def test_impossible_rows_are_refused(changes, expected):
    row = dataclasses.replace(ROW, **changes)
    with pytest.raises(fields.WrongError) as caught:
        fields.read(recipes.Recipe, {**fields.shallow(recipes.RECIPES["strong"]), "net": row})
    assert expected in str(caught.value)


def test_every_row_of_the_package_is_accepted():
    for row in ARCHITECTURES.values():
        assert fields.Row(Architecture).check(dataclasses.asdict(row)) == row


def written(directory, **changes):
    """The config.json of a `strong` run with a user's net."""
    recipe = dataclasses.replace(recipes.RECIPES["strong"], net=ROW, name="mine")
    values = {
        "recipe": {**config.recipe_values(recipe), "num_classes": 10},
        "architecture": config.row_values(recipe),
        "class_names": list("abcdefghij"),
        "data": {"files": [], "directory": str(directory)},
        "seed": 7,
        "versions": {"graph_resnet": "9.9"},
        "held_out": 500,
    }
    for name, value in changes.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    path = directory / "config.json"
    path.write_text(json.dumps(values))
    return str(path)


def test_a_run_is_repeated_by_its_config(tmp_path):
    path = written(tmp_path)
    recipe, flags = train.parse(["--recipe", path])
    assert (recipe.name, recipe.net) == ("mine", ROW)
    assert (flags.seed, flags.hold_out, flags.data_dir) == (7, 500, str(tmp_path))
    recipe, flags = train.parse(f"--recipe {path} --seed 1 --hold-out 0 --data-dir elsewhere --steps 5".split())
    assert (flags.seed, flags.hold_out, flags.data_dir, recipe.steps) == (1, 0, "elsewhere", 5)
    assert train.parse(["--recipe", path, "--dataset", "synthetic"])[1].data_dir is None
    assert train.parse(["--recipe", path, "--keep-best"])[1].keep_best
    assert (flags.init_checkpoint, flags.exclude_scopes, flags.trainable_scopes) == (None, None, None)
    tuned = {"init_checkpoint": "/runs/a", "exclude_scopes": ["mine/logit"], "trainable_scopes": ["mine/block1"]}
    flags = train.parse(["--recipe", written(tmp_path, **tuned)])[1]
    assert {name: getattr(flags, name) for name in tuned} == tuned
    assert train.parse(["--recipe", path, "--init-checkpoint", "b"])[1].init_checkpoint == "b"
    written(tmp_path, init_checkpoint=[5])
    assert "init_checkpoint is [5], not a path" in message(train.parse, ["--recipe", path])
    own = written(tmp_path, recipe={"dataset": "pictures"})
    assert train.parse(["--recipe", own])[1].dataset_dir == str(tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architecture": {"scope": "a b"}}, "architecture: scope is 'a b', not a scope"),
        ({"architecture": {"stem": "os.system"}}, "architecture: stem is 'os.system', not an object"),
        ({"architecture": {"groups": [vars(ROW.groups[0])] * 2}}, "two parts of the net have the scope 'block1'"),
        (
            {"recipe": {"stepz": 3}, "versions": {"graph_resnet": "9.9"}},
            "unknown recipe field 'stepz'; written by graph_resnet 9.9",
        ),
        ({"recipe": {"net": "mine.py:SMALL"}}, None),  # just a name: no file is read
    ],
)
def test_an_untrusted_config_is_only_data(changes, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(own_code, "_module", None)  # running a file would fail
    path = written(tmp_path, **changes)
    if expected is None:
        assert train.parse(["--recipe", path])[0].net == ROW
    else:
        assert expected in message(train.parse, ["--recipe", path])


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc", "..", "", "a\\b"])
def test_no_recipe_name_leads_to_a_train_dir_elsewhere(name):
    assert message(train_dir.default, name).startswith(
        f"recipe name {name!r}: not the name of a folder; pass --train-dir"
    )
    assert train_dir.default("mine 2") == "runs/mine 2"


def test_a_file_that_changes_the_path_or_misses_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import sys\nsys.path[:] = [p for p in sys.path if p != sys.path[0]]\nraise ValueError('\\n\\nbad')"
    )
    with pytest.raises(UserError, match="mine.py, line 3: ValueError: bad"):
        own_code.recipe(str(path))
    path = tmp_path / "other.py"
    path.write_text("open('/no/such/file')")
    with pytest.raises(UserError, match="other.py, line 1: FileNotFoundError: /no/such/file: No such file"):
        own_code.recipe(str(path))
