"""Runs a function just before or after a module is imported, without causing the import."""

import importlib.abc
import sys
from collections.abc import Callable


class _Finder(importlib.abc.MetaPathFinder):
    """Finds no module itself: adds the callbacks to the loader that another finder returns."""

    def __init__(self):
        self.callbacks = {}

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.callbacks:
            return None
        for finder in sys.meta_path:
            spec = (
                None if finder is self or not hasattr(finder, "find_spec") else finder.find_spec(fullname, path, target)
            )
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    self._add_callbacks(spec.loader, fullname)
                return spec
        return None

    def _add_callbacks(self, loader, fullname):
        execute = loader.exec_module
        before, after = self.callbacks[fullname]

        def exec_module(module):
            for callback in before:
                callback()
            execute(module)
            for callback in after:
                callback(sys.modules.get(fullname, module))  # a module may replace itself

        loader.exec_module = exec_module


_finder = _Finder()


def when_imported(name: str, after: Callable, before: Callable | None = None):
    """Calls `after(module)` once the module `name` is imported; at once if it is already.

    Args:
        name: the full name of a module.
        after: function(module).
        before: function(), called first, also if the module is imported already.
    """
    callbacks = _finder.callbacks.setdefault(name, ([], []))
    if before is not None:
        callbacks[0].append(before)
    callbacks[1].append(after)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    if name in sys.modules:
        if before is not None:
            before()
        after(sys.modules[name])
