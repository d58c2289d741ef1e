"""Lets the processes that `multiprocessing` starts anew ("spawn", "forkserver") run code before the program's own.

Such a process imports the program again. A forked one is a copy of its parent and needs nothing.
"""

from .import_hooks import when_imported


class _Source:
    """Python source that runs when it is unpickled, which a new process does first."""

    def __init__(self, source):
        self.source = source

    def __reduce__(self):
        return exec, (self.source,)


def run_first(source: str) -> None:
    """Runs `source` in every process that `multiprocessing` starts anew from now on."""

    def wrap(spawn):
        prepared = spawn.get_preparation_data

        def get_preparation_data(name):
            return {"run_first": _Source(source), **prepared(name)}

        spawn.get_preparation_data = get_preparation_data

    when_imported("multiprocessing.spawn", wrap)
