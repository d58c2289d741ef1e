"""Tables in Markdown, what the machine is, and a page whose tables are exchanged."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from graph_resnet.errors import UserError

VECTORS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8")
BEGIN, END = "<!-- begin of what benchmarks.{0} printed -->", "<!-- end of what benchmarks.{0} printed -->"


@dataclass
class Table:
    """Rows of text under a header; the first column is to the left, the others to the right."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""

    def __str__(self):
        rows = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [
            "| " + " | ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))) + " |"
            for row in rows
        ]
        lines.insert(1, "| " + " | ".join("-" * (w - 1) + (":" if i else "-") for i, w in enumerate(widths)) + " |")
        return "\n\n".join(filter(None, [f"### {self.title}", self.note, "\n".join(lines)]))


def cell(values, digits=2):
    """(median, least, greatest) as '1.86 (1.80 to 1.95)'."""
    middle, least, greatest = (f"{value:,.{digits}f}" for value in values)
    return f"{middle} ({least} to {greatest})"


def machine():
    """{what: text} of this machine; the load is that of the minute before."""
    text = Path("/proc/cpuinfo").read_text()
    found = dict(re.findall(r"^(model name|flags|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
    flags = found.get("flags", "").split()
    name = found.get("model name", platform.machine())
    return {
        "CPU": f"{name}, family {found.get('cpu family', '?')}, model {found.get('model', '?')}",
        "flags": " ".join(flag for flag in VECTORS if flag in flags),
        "cores": str(len(os.sched_getaffinity(0))),
        "load": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }


def exchange(path, command, text):
    """Puts a text between the two marks of a command on a page.

    Raises:
      UserError: the page has no such marks.
    """
    begin, end = BEGIN.format(command), END.format(command)
    page = Path(path).read_text()
    if not re.search(f"{begin}.*{end}", page, re.DOTALL):
        raise UserError(f"{path}: has no lines {begin} and {end} to put the tables between")
    Path(path).write_text(page[: page.index(begin)] + f"{begin}\n\n{text}\n\n" + page[page.index(end) :])
