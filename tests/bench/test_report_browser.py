"""The page as a browser lays it out: on a phone, a desk, in the dark, and on paper. Screenshots go to build/report/."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench.report.html import html_report
from embedrt_bench.report.reading import load

SHOTS = Path(__file__).resolve().parents[2] / "build/report"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE = 360
A4_BETWEEN_MARGINS = round((210 - 2 * 12) / 25.4 * 96)
MADE_UP = Path(__file__).with_name("made_up_result.json")

# A frame has the width that it is given, where a window has a least one.
_FRAME = """<!DOCTYPE html><meta charset="utf-8">
<style>body {{ margin: 0 }} iframe {{ border: 0; width: {width}px; height: {height}px }}</style>
<iframe srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const inside = document.querySelector("iframe").contentDocument, root = inside.documentElement;
  const scrolls = element => element.closest(".scroll");
  const beyond = [...inside.querySelectorAll("body *")].filter(element => !scrolls(element) || element.matches(".scroll"))
    .filter(element => element.getBoundingClientRect().right > root.clientWidth + 1)
    .map(element => element.outerHTML.slice(0, 80));
  const letters = [...inside.querySelectorAll("svg text")].map(text => text.getBoundingClientRect().height);
  const texts = [...inside.querySelectorAll("svg")].map(svg => [...svg.querySelectorAll("text")].map(text => {{
    const box = text.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom, text.textContent]; }}));
  document.getElementById("found").textContent = JSON.stringify({{ width: root.clientWidth, scrollWidth: root.scrollWidth,
    height: root.scrollHeight, beyond, smallest: Math.min(...letters), texts,
    wide: [...inside.querySelectorAll(".scroll")].filter(box => box.scrollWidth > box.clientWidth).length,
    ink: getComputedStyle(inside.querySelector("svg text")).fill, page: getComputedStyle(inside.body).backgroundColor }});
}});
</script>"""


@pytest.fixture
def browser() -> list[str]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: the page is not looked at in a browser")
    # no sandbox: in a container there is nothing to build one from; the page has no script
    return [found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_report(load(MADE_UP)), encoding="utf-8")
    return path


def _run(browser: list[str], *arguments: str | Path, profile: Path) -> str:
    command = [*browser, f"--user-data-dir={profile / 'browser'}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout


def _framed(page: str, folder: Path, width: int, height: int) -> str:
    """The address of a page that shows ``page`` in a frame of that size."""
    frame = folder / f"frame-{width}.html"
    escaped = page.replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(_FRAME.format(width=width, height=height, page=escaped), encoding="utf-8")
    return frame.as_uri()


def _laid_out(browser: list[str], page: str, folder: Path, width: int, *more: str) -> dict[str, Any]:
    """What the layout of ``page`` is in a frame of that width, in pixels."""
    dumped = _run(browser, *more, "--dump-dom", _framed(page, folder, width, 800), profile=folder)
    found = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
    assert found is not None
    content: dict[str, Any] = json.loads(unescape(found[1]))
    return content


def _assert_fits(found: dict[str, Any], width: int) -> None:
    """Nothing is wider than the window but what scrolls by itself, and no label lies on another."""
    assert (found["width"], found["scrollWidth"], found["beyond"]) == (width, width, [])
    for texts in found["texts"]:
        for number, (left, top, right, bottom, text) in enumerate(texts):
            for other_left, other_top, other_right, other_bottom, other in texts[:number]:
                across = min(right, other_right) - max(left, other_left)
                down = min(bottom, other_bottom) - max(top, other_top)
                assert across < 2 or down < 0.4 * (bottom - top), (text, other)


@pytest.mark.parametrize("width", [PHONE, 1280])
def test_window(browser: list[str], page: Path, width: int) -> None:
    text = page.read_text(encoding="utf-8")
    found = _laid_out(browser, text, page.parent, width)
    _assert_fits(found, width)
    assert (found["wide"] > 0) == (width == PHONE)  # tables scroll by themselves there
    assert found["smallest"] > 9
    assert (found["page"], found["ink"]) == ("rgb(255, 255, 255)", "rgb(27, 31, 36)")
    height = found["height"]
    _shoot(browser, f"{width}.png", _framed(text, page.parent, width, height), (width, height), folder=page.parent)


def _shoot(browser: list[str], name: str, address: str, size: tuple[int, int], *more: str, folder: Path) -> None:
    shot = SHOTS / name
    shot.unlink(missing_ok=True)
    _run(browser, *more, f"--window-size={size[0]},{size[1]}", f"--screenshot={shot}", address, profile=folder)
    header = shot.read_bytes()[16:24]
    assert (int.from_bytes(header[:4]), int.from_bytes(header[4:])) == size


def test_dark_mode_turns_page_and_plots(browser: list[str], page: Path) -> None:
    dark = "--blink-settings=preferredColorScheme=0"
    text = page.read_text(encoding="utf-8")
    found = _laid_out(browser, text, page.parent, 768, dark)
    assert (found["page"], found["ink"]) == ("rgb(20, 23, 27)", "rgb(232, 234, 237)")
    _assert_fits(found, 768)
    _shoot(browser, "dark.png", page.as_uri(), (1280, 2600), dark, folder=page.parent)


def test_paper(browser: list[str], page: Path) -> None:
    """The rules for print fit between the margins of A4, where nothing scrolls; and the pages that are printed are A4."""
    on_paper = page.read_text(encoding="utf-8").replace("@media print", "@media all")
    found = _laid_out(browser, on_paper, page.parent, A4_BETWEEN_MARGINS)
    _assert_fits(found, A4_BETWEEN_MARGINS)
    assert found["wide"] == 0
    printed = SHOTS / "report.pdf"
    printed.unlink(missing_ok=True)
    _run(browser, "--no-pdf-header-footer", f"--print-to-pdf={printed}", page.as_uri(), profile=page.parent)
    boxes = re.findall(rb"/MediaBox \[0 0 (\S+) (\S+)\]", printed.read_bytes())
    assert 5 <= len(boxes) <= 12
    assert all(abs(float(width) - 595) < 1 and abs(float(height) - 842) < 1 for width, height in boxes)
