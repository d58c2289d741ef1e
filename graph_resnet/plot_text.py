"""Makes any text drawable by matplotlib: escaped, shortened, and in fonts that have its characters.

A class may be named after a folder, so its name can be anything: line breaks, terminal codes, "$5", 300 characters, a
script that matplotlib's default font lacks. Typical use:

    axes.set_yticks(range(classes), class_labels(class_names))
    finish(figure)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from graph_resnet.errors import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = "DejaVu Sans"  # comes with matplotlib
MISSING = "\N{WHITE SQUARE}"  # replaces a character that no font here has
LABEL_LENGTH = 24  # characters of a class name beside an axis
MOST_FONTS = 500  # number of fonts to search for missing characters


def shortened(text: str, length: int) -> str:
    """`text` in at most `length` characters, with an ellipsis in its middle, because names often differ at the end."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 3
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def readable(text: str) -> str:
    """`text` with control characters escaped in each line, and a square for characters that no font here has."""
    text = "\n".join(map(printable, text.split("\n")))
    _, missing = _fonts_for(frozenset(text))
    return "".join(MISSING if character in missing else character for character in text)


def class_labels(class_names: Sequence[str], length: int = LABEL_LENGTH) -> list[str]:
    """Label of each class: its name, shortened; 'class 3' if no font here has all of its characters."""
    labels = []
    for k, name in enumerate(class_names):
        name = printable(name)
        _, missing = _fonts_for(frozenset(name))
        labels.append(f"class {k}" if missing else shortened(name, length))
    return labels


def finish(figure: Figure) -> Figure:
    """Makes all text of a figure plain text ("$" is not math), in fonts that have its characters.

    Returns:
      The figure.
    """
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    fonts, _ = _fonts_for(frozenset("".join(text.get_text() for text in texts)))
    for text in texts:
        text.set_parse_math(False)
        text.set_fontfamily([FONT, *fonts])
        if fonts:
            text.set_fontweight("normal")  # the only weight that was searched
    return figure


def _fonts_for(characters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """(font families for `characters`, in addition to `FONT`; the characters that none of them has)."""
    missing = {character for character in characters if character.isprintable() and ord(character) > 126}
    return _search(frozenset(missing)) if missing else ((), frozenset())


@functools.lru_cache(maxsize=64)
def _search(missing: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    from matplotlib import font_manager

    left = missing - _characters(font_manager.findfont(FONT))
    families: list[str] = []
    for path in _system_fonts() if left else ():
        covered = left & _characters(path)
        if covered:
            font_manager.fontManager.addfont(path)
            families.append(font_manager.FontProperties(fname=path).get_name())
            left -= covered
        if not left:
            break
    return tuple(families), frozenset(left)


@functools.cache
def _system_fonts() -> list[str]:
    """Font files of this machine, regular sans serif ones first."""
    from matplotlib import font_manager

    def order(path: str) -> tuple[bool, bool, str]:
        name = path.rpartition("/")[2].lower()
        return "sans" not in name and "gothic" not in name, "regular" not in name, path

    return sorted(font_manager.findSystemFonts(), key=order)[:MOST_FONTS]


def _characters(path: str) -> frozenset[str]:
    """The characters in a font file; empty if it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
    except Exception:  # a damaged file can make FreeType raise anything
        return frozenset()
