"""Runs an unmodified TensorFlow 1 program as `python SCRIPT` or `python -m MODULE` would."""

import builtins
import importlib
import importlib.machinery
import importlib.util
import io
import os
import pkgutil
import sys
import types

_OWN_DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


# The end of an error message -> what to do about it.
_HINTS = {
    "only 0-dimensional arrays can be converted to Python scalars": (
        "numpy 2.4 removed float() and int() of arrays with one element; pip install 'numpy<2.4' to run this program"
    ),
}


def _hide_own_frames(traceback):
    """The traceback without the frames of this package, so that it starts and ends in the user's program."""
    frames = []
    while traceback is not None:
        if not os.path.abspath(traceback.tb_frame.f_code.co_filename).startswith(_OWN_DIRECTORY):
            frames.append(traceback)
        traceback = traceback.tb_next
    result = None
    for frame in reversed(frames):
        result = types.TracebackType(result, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return result


def _first_user_frame(traceback):
    """The traceback from the program's first line on, or None if the error came before that."""
    while traceback is not None and traceback.tb_frame.f_globals is not vars(sys.modules["__main__"]):
        traceback = traceback.tb_next
    return traceback


def _hook_tracebacks():
    """Removes this package's frames from the traceback of an uncaught error, and adds a hint."""

    def show(kind, value, traceback):
        seen, hints = set(), {}
        error = value
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            error.__traceback__ = _hide_own_frames(error.__traceback__)
            hints.update({text: hint for text, hint in _HINTS.items() if str(error).endswith(text)})
            error = error.__cause__ or error.__context__
        cut = _hide_own_frames(_first_user_frame(traceback))
        value.__traceback__ = cut
        sys.__excepthook__(kind, value, cut)
        for hint in hints.values():
            print(f"graph_resnet.tf1: {hint}", file=sys.stderr)

    sys.excepthook = show


def _main_module(name, file, spec, loader):
    """A new `__main__` for the program, with the attributes that `python` sets."""
    main = types.ModuleType("__main__")
    vars(main).update(__builtins__=builtins, __spec__=spec, __loader__=loader, __package__=name)
    if file is not None:
        main.__file__ = file
    if spec is not None:
        main.__cached__ = spec.cached
    sys.modules["__main__"] = main
    return main


def _let_our_package_be_found(directory):
    """Appends `directory`, which contains this project, to `sys.path` unless the project can be found already."""
    top = __package__.partition(".")[0]
    importlib.invalidate_caches()
    spec = importlib.machinery.PathFinder.find_spec(top)
    if spec is None:
        sys.path.append(directory)


def _compile(source, file):
    """Compiles the program. A SyntaxError is shown as by `python`, without this package's frames."""
    try:
        return compile(source, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        error.__traceback__ = None
        sys.__excepthook__(type(error), error, None)
        raise SystemExit(1) from None


def run_script(path: str, arguments: list[str]):
    """Runs a file, a directory or archive with a `__main__.py`, or the standard input (`-`), as `__main__`.

    Raises:
        SystemExit: raised by the program; or, if it cannot start, with the status and message of `python`.
    """
    file = os.path.abspath(path)
    if path == "-":
        source, file, name, directory = sys.stdin.read(), None, "<stdin>", ""
    elif pkgutil.get_importer(file) is not None:
        return _run_archive(path, file, arguments)
    else:
        name, directory = file, os.path.dirname(os.path.realpath(path))
        try:
            with io.open_code(file) as stream:
                source = stream.read()
        except OSError as error:
            message = f"can't open file {file!r}: [Errno {error.errno}] {error.strerror}"
            print(f"{sys.executable}: {message}", file=sys.stderr)
            raise SystemExit(2) from None
    _prepare(directory, [path, *arguments])
    code = _compile(source, name)
    loader = importlib.machinery.SourceFileLoader("__main__", file) if file else None
    _execute(code, _main_module(None, file, None, loader))


def _run_archive(path, absolute, arguments):
    spec = pkgutil.get_importer(absolute).find_spec("__main__")
    if spec is None:
        print(f"{sys.executable}: can't find '__main__' module in {absolute!r}", file=sys.stderr)
        raise SystemExit(1)
    _prepare(absolute, [path, *arguments])
    _execute(spec.loader.get_code("__main__"), _main_module("", spec.origin, spec, spec.loader))


def _execute(code, main):
    _hook_tracebacks()
    exec(code, vars(main))


def run_module(module: str, arguments: list[str]):
    """Runs `module`, or the `__main__` of the package `module`, as `python -m MODULE` does."""
    _prepare(None, ["-m", *arguments])
    spec = _find(module)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _find(f"{module}.__main__")
    if spec is None or spec.loader is None or spec.loader.get_code(spec.name) is None:
        print(f"{sys.executable}: No module named {module}", file=sys.stderr)
        raise SystemExit(1)
    code = spec.loader.get_code(spec.name)
    sys.argv[0] = spec.origin
    _execute(code, _main_module(spec.parent, spec.origin, spec, spec.loader))


def _find(name):
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _prepare(directory, argv):
    """Sets `sys.argv` and, for a script, the first entry of `sys.path`, which was ours so far."""
    sys.argv[:] = argv
    home = os.path.dirname(os.path.dirname(_OWN_DIRECTORY.rstrip(os.sep)))
    if directory is not None and not getattr(sys.flags, "safe_path", False):
        sys.path[0] = directory
    _let_our_package_be_found(home)
