"""Finds the TensorFlow names that a source file uses: aliases, imports and attribute chains, read with `ast`."""

import ast
import dataclasses
import json
import re

# Python 3's error messages for programs written for Python 2.
_PYTHON_2_ERRORS = re.compile(
    r"Missing parentheses in call|multiple exception types must be parenthesized|leading zeros in decimal"
    r"|inconsistent use of tabs|invalid decimal literal|unindent does not match"
)
_PYTHON_2_LINES = re.compile(
    r"""^\s*print\s+[^(=\s]|^\s*print\s*$|\bexcept\s+[\w.]+\s*,\s*\w+\s*:|\braise\s+[\w.]+\s*,|<>|^\s*exec\s+["'\w]"""
    r"""|`[^`]+`|\bur["']|\b0[0-7]+[lL]?\b|\b\d+[lL]\b|lambda\s*\(|def\s+\w+\(.*\([\w, ]+\)"""
)


class Python2Error(SyntaxError):
    """The source is written for Python 2."""


@dataclasses.dataclass(frozen=True)
class Use:
    """One use of a name: `name` is dotted, below `tf` ("contrib.layers.xavier_initializer"), or "" for tf itself."""

    name: str
    line: int


def source_of(path: str) -> str:
    """The Python source of a .py file, or of the code cells of a notebook without cell magics.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read.
        ValueError: the notebook is not JSON.
    """
    with open(path, "rb") as stream:
        data = stream.read()
    if not path.endswith(".ipynb"):
        return data.decode("utf-8-sig" if b"coding" not in data[:200] else _encoding(data))
    cells = json.loads(data).get("cells", [])
    lines = []
    for cell in cells:
        if cell.get("cell_type") == "code":
            text = "".join(cell.get("source", []))
            if not text.lstrip().startswith("%%"):
                lines += [re.sub(r"^(\s*)[%!?].*", r"\1pass", line) for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def _encoding(data):
    match = re.search(rb"coding[:=]\s*([-\w.]+)", data[:200])
    return match[1].decode() if match else "utf-8"


def parse(source: str, path: str) -> ast.Module:
    """Parses a source.

    Raises:
        Python2Error: it is Python 2.
        SyntaxError: it is not Python at all.
    """
    try:
        return ast.parse(source, path)
    except ValueError as error:  # a null byte
        raise SyntaxError(str(error)) from None
    except SyntaxError as error:
        lines = source.splitlines()
        line = lines[error.lineno - 1] if error.lineno and error.lineno <= len(lines) else ""
        if _PYTHON_2_ERRORS.search(error.msg or "") or _PYTHON_2_LINES.search(line):
            problem = Python2Error(error.msg)
            problem.lineno = error.lineno
            raise problem from None
        raise


def uses(tree: ast.Module) -> list[Use]:
    """Every use of a TensorFlow name in a parsed source, sorted by line."""
    reader = _Reader()
    reader.visit(tree)
    return sorted(reader.found, key=lambda use: (use.line, use.name))


def _without_prefix(name):
    """tensorflow.contrib.x -> contrib.x, tensorflow.compat.v1.x -> x, tensorflow -> "". None: not TensorFlow 1."""
    parts = name.split(".")
    if parts[0] != "tensorflow":
        return None
    parts = parts[1:]
    if parts[:2] == ["compat", "v1"]:
        parts = parts[2:]
    if parts[:2] == ["compat", "v2"]:
        return None
    return ".".join(parts)


def _bound(node):
    """The names that a function or class body binds itself, not in nested functions."""
    names, passes = set(), set()
    pending = list(ast.iter_child_nodes(node))
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        arguments = node.args
        everyone = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        names |= {argument.arg for argument in everyone if argument is not None}
    while pending:
        child = pending.pop()
        if isinstance(child, (ast.Global, ast.Nonlocal)):
            passes |= set(child.names)
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            names.add(child.id)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(child.name)
            continue
        if not isinstance(child, ast.Lambda):
            pending += ast.iter_child_nodes(child)
    return names - passes


class _Reader(ast.NodeVisitor):
    """Collects uses. `scopes`, outermost first, map local names to TensorFlow names, or to None."""

    def __init__(self):
        self.scopes = [{}]
        self.found = set()

    def _lookup(self, name):
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    def _dotted(self, node):
        """The TensorFlow name that an expression refers to, or None."""
        if isinstance(node, ast.Name):
            return self._lookup(node.id)
        if isinstance(node, ast.Attribute):
            start = self._dotted(node.value)
            return None if start is None else f"{start}.{node.attr}".lstrip(".")
        return None

    def _add(self, name, line):
        for prefix in ("compat.v1.", "compat.v1"):
            name = name.removeprefix(prefix)
        if not name.startswith("compat.v2"):
            self.found.add(Use(name, line))

    def visit_Import(self, node):
        for alias in node.names:
            name = _without_prefix(alias.name)
            if name is None:
                continue
            if name:
                self._add(name, node.lineno)
            self.scopes[-1][alias.asname or "tensorflow"] = name if alias.asname else ""

    def visit_ImportFrom(self, node):
        module = _without_prefix(node.module) if node.module and not node.level else None
        if module is None:
            return
        for alias in node.names:
            name = module if alias.name == "*" else f"{module}.{alias.name}".lstrip(".")
            if name in ("compat", "compat.v1"):
                self.scopes[-1][alias.asname or alias.name] = "" if name.endswith("v1") else "compat"
                continue
            if name == "compat.v2":
                continue
            self._add(name, node.lineno)
            if alias.name != "*":
                self.scopes[-1][alias.asname or alias.name] = name

    def visit_Attribute(self, node):
        name = self._dotted(node)
        if name is None:
            self.generic_visit(node)
        elif name not in ("compat", "compat.v1"):
            self._add(name, node.lineno)

    def visit_Assign(self, node):
        self.visit(node.value)
        name = self._dotted(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                if name is not None or target.id in self.scopes[-1]:
                    self.scopes[-1][target.id] = name
            else:
                self.visit(target)

    def _visit_scope(self, node):
        for decorator in getattr(node, "decorator_list", ()):
            self.visit(decorator)
        self.scopes.append(dict.fromkeys(_bound(node)))
        if isinstance(node, ast.ClassDef):
            self.scopes[-1] = {}  # a method does not see names bound in its class
        for child in ast.iter_child_nodes(node):
            if child not in getattr(node, "decorator_list", ()):
                self.visit(child)
        self.scopes.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = _visit_scope  # noqa: N815
