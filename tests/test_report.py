"""report.html: one file that needs nothing else, in a real browser where there is one."""

import base64
import html.parser
import json
import re

import pytest

from tests.helpers import browse, needs_browser

# Added to a copy of the page: what the browser made of it.
PROBE = """
<script>
addEventListener("load", () => {
  const found = {
    pictures: [...document.images].map(image => [image.alt, image.complete && image.naturalWidth, image.width]),
    fetched: performance.getEntriesByType("resource").map(entry => entry.name).filter(url => !url.startsWith("data:")),
    overflow: document.documentElement.scrollWidth - innerWidth,
    text: document.body.innerText,
  };
  document.documentElement.innerHTML = "<pre>" + btoa(unescape(encodeURIComponent(JSON.stringify(found)))) + "</pre>";
});
</script>
"""


@pytest.fixture
def page(trained_dir):
    return (trained_dir[0] / "report.html").read_text(encoding="utf-8")


def test_nothing_comes_from_elsewhere(page):
    links = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            links.extend(value for name, value in attributes if name in ("src", "href", "srcset", "action"))
            assert tag not in ("script", "link", "iframe", "object", "embed")

    Links().feed(page)
    assert len(links) == 3 and all(link.startswith("data:image/png;base64,") for link in links)
    assert "@import" not in page and "url(" not in page


@needs_browser
def test_in_a_browser(page, trained_dir, tmp_path):
    copy = tmp_path / "report.html"
    copy.write_text(page.replace("</html>", PROBE + "</html>"), encoding="utf-8")
    found = json.loads(base64.b64decode(re.search(r"<pre>(.+)</pre>", browse(copy.as_uri(), tmp_path))[1]))
    assert found["fetched"] == []
    assert [alt for alt, *_ in found["pictures"]] == [
        "loss and accuracy over steps", "confusion matrix", "the most confident mistakes"
    ]  # fmt: skip
    assert all(natural > 300 and shown > 300 for _, natural, shown in found["pictures"])
    assert found["overflow"] <= 0
    accuracy = float(re.search(r"acc = (\S+)", trained_dir[1])[1])
    assert f"{accuracy:.2%} of 1,000 test images right at step 20" in found["text"]
    assert "synthetic (10 classes)" in found["text"] and "batch_size" in found["text"]
