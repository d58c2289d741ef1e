"""HTML pages in a single file: no script, no font, no image from elsewhere.

They work on a phone and in dark mode: figures are SVGs in the page's own colours, and anything wider than the window
scrolls by itself.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graph_resnet import files
from graph_resnet.errors import UserError, printable, reason
from graph_resnet.plot_text import shortened

IMAGE_SIDE = 128  # pixels, maximum side of an image on a page
NAME_LENGTH = 40  # characters of a class name in a table

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #5c646d; --line: #d5dae0; --card: #f5f7f9; --mark: #fff3d0;
  --bar: #1f77b4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --quiet: #9aa4af; --line: #373e47; --card: #1c2129;
  --mark: #4a3c12; --bar: #4a9bd4; } body { background: #12161b; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1180px; margin: 0 auto;
  padding: 1.2em 1em 4em; overflow-wrap: break-word; }
h1 { font-size: 1.45em; line-height: 1.25; margin: 0 0 .6em; }
h2 { font-size: 1.15em; margin: 2.4em 0 .6em; padding-top: .5em; border-top: 1px solid var(--line); }
p { margin: .5em 0; } .quiet { color: var(--quiet); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(9.5em, 45%), 1fr)); gap: .6em;
  margin: 1em 0; }
.facts div { background: var(--card); border-radius: .5em; padding: .55em .8em; }
.facts b { display: block; font-size: 1.45em; line-height: 1.25; font-weight: 600; }
.facts div:first-child b { font-size: 1.9em; line-height: 1; padding-bottom: .05em; }
.facts span { color: var(--quiet); font-size: .85em; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21em), 1fr)); gap: 1em; }
figure { margin: 0; min-width: 0; } figcaption { font-size: .9em; } svg { width: 100%; height: auto; display: block; }
.scroll { overflow-x: auto; } .scroll > svg { width: auto; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; }
td, th { padding: .22em 1em .22em 0; vertical-align: top; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.marked td { background: var(--mark); } td:first-child, th:first-child { padding-left: .4em; }
td.name { color: var(--quiet); min-width: 8em; } td.name ~ td { overflow-wrap: anywhere; }
.bar { display: inline-block; height: .7em; background: var(--bar); border-radius: 2px; vertical-align: baseline; }
.matrix td, .matrix th { border: 0; padding: 0; text-align: center; font-size: .8em;
  font-variant-numeric: tabular-nums; }
.matrix td { min-width: 2.7em; height: 2.4em; vertical-align: middle; border: 1px solid var(--line); }
.matrix thead th { height: 7em; vertical-align: bottom; padding-bottom: .4em; font-weight: 400; }
.matrix thead th bdi { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9em; overflow: hidden; }
.matrix tbody th { text-align: right; padding: 0 .5em 0 0; vertical-align: middle; font-weight: 400;
  white-space: nowrap; max-width: 10em; overflow: hidden; text-overflow: ellipsis; }
.matrix td.none { color: var(--quiet); opacity: .55; } .matrix td.dark { color: #fff; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.6em, 1fr)); gap: 1em .7em; }
.images img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: .25em; display: block; }
.images img.small { image-rendering: pixelated; } .images figcaption { font-size: .78em; line-height: 1.3; }
pre { background: var(--card); border-radius: .5em; padding: .7em .9em; white-space: pre-wrap; font-size: .88em; }
@media (max-width: 760px) { td, th { padding-right: .7em; } .bar { display: none; } table { font-size: .92em; } }
@media (max-width: 480px) { .matrix td, .matrix th { font-size: .7em; }
  .matrix td { min-width: 2.1em; height: 2.1em; } }
.swatch { display: inline-block; width: .9em; height: .9em; border-radius: 2px; margin-right: .45em;
  vertical-align: -.08em; } .swatched { display: inline-block; }
"""


def text(value: object) -> str:
    """Any value as escaped HTML text, on one line, without control characters."""
    return html.escape(printable(value if isinstance(value, str) else json.dumps(value, default=str)))


def document(title: str, parts: Iterable[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n<h1>{text(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """A heading with its content."""
    return "\n".join([f"<h2>{text(heading)}</h2>", *parts])


def note(words: str) -> str:
    """A paragraph in a muted colour."""
    return f'<p class="quiet">{text(words)}</p>'


def facts(values: Sequence[tuple[str, str]]) -> str:
    """Cards of (value, description), the first one large."""
    cards = "\n".join(f"<div><b>{text(value)}</b><span>{text(what)}</span></div>" for value, what in values)
    return f'<div class="facts">\n{cards}\n</div>'


def figures(svgs: Iterable[str]) -> str:
    """SVG elements, side by side if there is room."""
    return '<div class="figures">\n' + "\n".join(f"<figure>{svg}</figure>" for svg in svgs) + "\n</div>"


def table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], *, marked: Iterable[int] = (), numbers: Iterable[int] = ()
) -> str:
    """A table that scrolls if it is too wide.

    Args:
      header: of the columns; may be empty.
      rows: of cells: values, or `Markup`.
      marked: row numbers to highlight.
      numbers: columns to align as numbers.
    """
    marked, numbers = set(marked), set(numbers)

    def cells(kind: str, row: Sequence[Any]) -> str:
        classes = [
            ' class="number"' if k in numbers else ' class="name"' if k == 0 and not header else ""
            for k in range(len(row))
        ]
        return "".join(f"<{kind}{css}>{_cell(value)}</{kind}>" for css, value in zip(classes, row))

    head = f"<thead><tr>{cells('th', header)}</tr></thead>\n" if header else ""
    body = "\n".join(
        f"<tr{' class=marked' if k in marked else ''}>{cells('td', row)}</tr>" for k, row in enumerate(rows)
    )
    return f'<div class="scroll"><table>\n{head}<tbody>\n{body}\n</tbody>\n</table></div>'


def name(words: str) -> Markup:
    """A class name or path as a cell: shortened, with the full text as its tooltip."""
    return Markup(f'<bdi title="{text(words)}">{text(shortened(printable(words), NAME_LENGTH))}</bdi>')


class Markup(str):
    """HTML that is not escaped again."""


def _cell(value: Any) -> str:
    return value if isinstance(value, Markup) else text(value)


def bar(share: float, most: float = 9) -> Markup:
    """A bar whose width is `share` (0..1) of `most` em."""
    return Markup(f'<span class="bar" style="width:{share * most:.2f}em"></span>')


def swatch(color: str, words: str) -> Markup:
    """Words after a square of a colour."""
    square = f'<span class="swatch" style="background:{color}"></span>'
    return Markup(f'<span class="swatched">{square}{text(words)}</span>')


def matrix(counts: np.ndarray, names: Sequence[str]) -> str:
    """A confusion matrix [C, C] as a table; a cell's colour is its share of its row."""
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    head = "".join(f"<th>{name(predicted)}</th>" for predicted in names)
    rows = []
    for true, row, of_row in zip(names, counts, shares):
        cells = "".join(
            f'<td{_shade(count, share)} title="{text(f"{true}, taken for {other}: {count}")}">{count:,}</td>'
            for other, count, share in zip(names, row, of_row)
        )
        rows.append(f"<tr><th>{name(true)}</th>{cells}</tr>")
    return (
        f'<div class="scroll"><table class="matrix">\n<thead><tr><th></th>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody>\n</table></div>"
    )


def _shade(count: int, share: float) -> str:
    if not count:
        return ' class="none"'
    color = f' style="background:rgb(31 119 180 / {share:.2f})"'
    return color + (' class="dark"' if share > 0.5 else "")


def image(pixels: np.ndarray, caption: str) -> str:
    """An image uint8 [H, W, 3] with a caption, which is HTML."""
    small = max(pixels.shape[:2]) <= IMAGE_SIDE / 2
    picture = Image.fromarray(pixels)
    picture.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    how = ' class="small"' if small else ""
    return f'<figure><img{how} alt="" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def images(items: Iterable[str]) -> str:
    """Results of `image` in a grid."""
    return '<div class="images">\n' + "\n".join(items) + "\n</div>"


def definitions(values: Mapping[str, Any]) -> str:
    """A table of names and values."""
    return table((), [(name, value) for name, value in values.items()])


def write(path: str | Path, page: str) -> None:
    """Writes a page atomically.

    Raises:
      UserError: the page cannot be written.
    """
    try:
        files.write(path, page.encode(errors="backslashreplace"))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason(error)}); fix that and run the same command") from error
