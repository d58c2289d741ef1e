"""Markdown tables, a description of the machine, and replacing the tables on a page."""

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
    """Rows of text under a header; the first column is left-aligned, the others right-aligned."""

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
    """(median, minimum, maximum) as '1.86 (1.80 to 1.95)'."""
    middle, least, greatest = (f"{value:,.{digits}f}" for value in values)
    return f"{middle} ({least} to {greatest})"


def machine():
    """{name: text} about this machine; the load is that of the last minute."""
    text = Path("/proc/cpuinfo").read_text()
    cpu = dict(re.findall(r"^(model name|flags|cpu family|model)\s*:\s*(.+)$", text, re.MULTILINE))
    flags = cpu.get("flags", "").split()
    name = cpu.get("model name", platform.machine())
    return {
        "CPU": f"{name}, family {cpu.get('cpu family', '?')}, model {cpu.get('model', '?')}",
        "flags": " ".join(flag for flag in VECTORS if flag in flags),
        "cores": str(len(os.sched_getaffinity(0))),
        "load": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }


def exchange(path, command, text):
    """Replaces the text between a command's two marks on a page.

    Raises:
      UserError: the page has no such marks.
    """
    begin, end = BEGIN.format(command), END.format(command)
    page = Path(path).read_text()
    if not re.search(f"{begin}.*{end}", page, re.DOTALL):
        raise UserError(f"{path}: has no lines {begin} and {end} to put the tables between")
    Path(path).write_text(page[: page.index(begin)] + f"{begin}\n\n{text}\n\n" + page[page.index(end) :])
