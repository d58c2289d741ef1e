"""`graph_resnet.compat.import_hooks`: a function that runs around the import of a module, without importing it."""

import importlib
import itertools
import sys

import pytest

from graph_resnet.compat.import_hooks import when_imported

_numbers = itertools.count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of a name that no other test uses, and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source, name=None):
        name = name or f"hooked_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


def test_nothing_is_imported_until_somebody_does(module):
    name, seen = module("value = 1\n"), []
    when_imported(name, seen.append)
    assert name not in sys.modules and not seen
    imported = importlib.import_module(name)
    assert seen == [imported] and imported.value == 1
    importlib.import_module(name)
    assert len(seen) == 1


def test_before_runs_before_the_modules_own_code_and_after_behind_it(module):
    name, order = module("import sys\nsys.hooks_order.append('module')\n"), []
    sys.hooks_order = order
    try:
        when_imported(name, lambda m: order.append("after"), before=lambda: order.append("before"))
        when_imported(name, lambda m: order.append("second"))
        importlib.import_module(name)
    finally:
        del sys.hooks_order
    assert order == ["before", "module", "after", "second"]


def test_a_module_that_is_there_is_handed_over_at_once(module):
    name, seen = module(""), []
    imported = importlib.import_module(name)
    when_imported(name, lambda m: seen.append(m), before=lambda: seen.append("before"))
    assert seen == ["before", imported]


def test_a_module_that_replaces_itself_is_handed_over_as_what_it_became(module):
    name, seen = module("import sys\nsys.modules[__name__] = 'other'\n"), []
    when_imported(name, seen.append)
    importlib.import_module(name)
    assert seen == ["other"]


def test_a_module_that_fails_or_is_missing_stays_an_error(module):
    name, seen = module("1 / 0\n"), []
    when_imported(name, seen.append)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(name)
    when_imported("no_such_module_at_all", seen.append)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        importlib.import_module("no_such_module_at_all")
    assert not seen
    module("value = 2\n", name)  # corrected, it is imported after all
    assert importlib.import_module(name).value == 2
    assert len(seen) == 1


def test_a_submodule_can_be_waited_for(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hooked_package").mkdir()
    (tmp_path / "hooked_package/__init__.py").write_text("")
    (tmp_path / "hooked_package/child.py").write_text("value = 3\n")
    seen = []
    when_imported("hooked_package.child", lambda m: seen.append(m.value))
    importlib.import_module("hooked_package")
    assert not seen
    importlib.import_module("hooked_package.child")
    assert seen == [3]
