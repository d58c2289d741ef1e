"""Plots: their content, and text in any script, on any page."""

import logging
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text
from PIL import Image

from graph_resnet import evaluation_plots, plot_text, plots
from tests.helpers import ROOT

HISTORY = [
    *({"step": s, "split": "train", "loss": 2 / (s + 1), "accuracy": s / 9, "learning_rate": 0.1} for s in range(9)),
    {"step": 4, "split": "val", "loss": 0.5, "accuracy": 0.25},
    {"step": 9, "split": "val", "loss": 0.4, "accuracy": 0.75},
]
NAMES = ["\N{CJK UNIFIED IDEOGRAPH-732B}", "$5 and $6", "\x1b[31mred\n", "long " * 60 + "end", "\udc80", "\U00012000"]


@pytest.fixture
def warnings_of_fonts(caplog):
    """Warnings about fonts in matplotlib's log."""
    with caplog.at_level(logging.WARNING):
        yield caplog.records


@pytest.mark.parametrize("fonts", ["those here", "none"])
def test_any_class_name_is_drawn_without_a_warning(monkeypatch, warnings_of_fonts, fonts):
    if fonts == "none":
        monkeypatch.setattr(plot_text, "_system_fonts", list)
    plot_text._search.cache_clear()
    matrix = np.arange(36).reshape(6, 6)
    plots.png(evaluation_plots.confusion_matrix(matrix, NAMES, "\N{CJK UNIFIED IDEOGRAPH-732B} of $5\nsecond line"))
    plots.png(plots.image_grid(np.zeros([6, 4, 4, 3]), NAMES))
    plots.png(plots.comparison({name: HISTORY for name in NAMES}))
    for epochs, last, label in ((None, 9, "step"), ({name: 18.0 for name in NAMES}, 0.5, "epoch")):
        axes = plots.comparison({name: HISTORY for name in NAMES}, steps_an_epoch=epochs).axes[1]
        assert (axes.get_xlabel(), axes.lines[0].get_xdata()[-1]) == (label, last)
    assert not warnings_of_fonts
    plot_text._search.cache_clear()


def test_class_labels_differ_without_a_font_for_them(monkeypatch):
    monkeypatch.setattr(plot_text, "_system_fonts", list)
    plot_text._search.cache_clear()
    assert plot_text.class_labels(NAMES) == [
        "class 0", "$5 and $6", "\\x1b[31mred ", "long long long l…ong end", "\\udc80", "class 5"
    ]  # fmt: skip
    assert plot_text.readable("a \N{CJK UNIFIED IDEOGRAPH-732B}\nb") == f"a {plot_text.MISSING}\nb"
    plot_text._search.cache_clear()


def test_a_font_of_this_machine_is_found(monkeypatch):
    """A font that comes with matplotlib stands in for a system font with characters that the default font lacks."""
    path = next(path for path in font_manager.findSystemFonts(matplotlib.get_data_path()) if "STIXGeneral.ttf" in path)
    only_there = plot_text._characters(path) - plot_text._characters(font_manager.findfont(plot_text.FONT))
    name = next(character for character in sorted(only_there, reverse=True) if character.isprintable())
    monkeypatch.setattr(plot_text, "_system_fonts", lambda: ["/nowhere.ttf", path])
    plot_text._search.cache_clear()
    assert plot_text.class_labels([name, f"{name}\U00012000"]) == [name, "class 1"]
    assert evaluation_plots.confusion_matrix(np.eye(1), [name]).findobj(Text)[0].get_fontfamily() == [
        "DejaVu Sans",
        "STIXGeneral",
    ]
    plot_text._search.cache_clear()


def test_the_settings_of_matplotlib_that_a_user_has_do_not_matter(tmp_path):
    """A backend that does not exist, LaTeX that is not installed, images upside down."""
    draw = "from graph_resnet import plots; import numpy as np; print(plots.run_color(0)); print(hash(plots.png(" \
        "plots.image_grid(np.arange(12.0).reshape(1, 2, 2, 3) / 12, ['a_b']))))"  # fmt: skip
    results = []
    for settings, backend in (("", "agg"), ("text.usetex: True\nimage.origin: lower\nimage.cmap: nosuch", "nosuch")):
        (tmp_path / "matplotlibrc").write_text(settings)
        env = {**os.environ, "MPLBACKEND": backend, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
        process = subprocess.run(
            [sys.executable, "-c", draw], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert (process.returncode, process.stderr) == (0, "")
        results.append(process.stdout)
    assert results[0] == results[1]


def test_a_recorded_learning_rate_gets_a_panel():
    labels = [axes.get_ylabel() for axes in plots.curves(HISTORY, steps_an_epoch=3).axes]
    assert labels == ["cross entropy (nats)", "accuracy", "learning rate"]
    without = [{name: record[name] for name in record if name != "learning_rate"} for record in HISTORY]
    assert plots.panels(without) == ["loss", "accuracy"]
    assert plots.panels([]) == ["loss", "accuracy"]
    plots.png(plots.curves([]))


def test_a_png_has_twice_the_pixels_of_a_screen(tmp_path):
    plots.save(plots.curves(HISTORY), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (3 * 5.5 * plots.DPI, 4.2 * plots.DPI)
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


@pytest.mark.parametrize("name", ["loss", "accuracy", "learning_rate"])
def test_an_svg_takes_the_colour_and_the_fonts_of_its_page(name):
    text = plots.svg(plots.curve(name, HISTORY, steps_an_epoch=3))
    svg = ElementTree.fromstring(text)
    assert svg.tag.endswith("svg") and "viewBox" in svg.attrib and not {"width", "height"} & set(svg.attrib)
    assert svg.attrib["fill"] == "currentColor" and "#000000" not in text
    assert "DejaVu" not in text and "system-ui" in text
    assert "step" in "".join(svg.itertext())
    assert text == plots.svg(plots.curve(name, HISTORY, steps_an_epoch=3))  # the same bytes each time


def test_the_bars_of_a_calibration_plot():
    bins = [{"images": 3, "confidence": 0.2, "accuracy": 1 / 3}, {"images": 0, "confidence": None, "accuracy": None}]
    figure = evaluation_plots.calibration(bins, 0.1333)
    upper, lower = figure.axes
    assert [bar.get_height() for bar in upper.patches] == [pytest.approx(1 / 3), 0]
    assert [bar.get_height() for bar in lower.patches] == [1, 0]
    assert re.search("0.1333", "".join(text.get_text() for text in upper.texts))
