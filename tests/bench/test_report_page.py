"""The HTML page of a made-up result, against the rules of HTML: whole, alone, for everyone, and whatever a result says."""

import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench.report.html import html_report
from embedrt_bench.report.method import commands
from embedrt_bench.report.plots import plots
from embedrt_bench.report.reading import require_result
from embedrt_bench.report.tables import tables

Result = dict[str, Any]
SECTIONS = (
    "quality",
    "offline",
    "single_stream",
    "server",
    "cold_start",
    "soak",
    "sizes",
    "roofline",
    "profile",
    "bert_zh",
)
VOID = {"meta", "br", "hr", "img", "link", "input"}


@pytest.mark.parametrize("section", SECTIONS)
def test_one_section_alone_makes_a_report(result: Result, bare: Result, section: str) -> None:
    alone = {**bare, section: result[section]}
    require_result(alone)
    page, made = html_report(alone), tables(alone)
    assert made
    assert page.count("<caption") == len(made) + 1
    assert ("<svg" in page) == (section in ("offline", "single_stream", "cold_start", "soak", "roofline"))


def test_nothing_measured_is_a_report_too(bare: Result) -> None:
    assert tables(bare) == {}
    assert plots(bare) == {}
    assert "make bench-peers" in html_report(bare)


def test_whole_commands_are_on_the_page(result: Result) -> None:
    result["jobs"] = {"embedrt int8": {"pairs_seconds": 4.1, "pairs_peak_megabytes": 292.0, "pairs_of": 10000}}
    page = html_report(result)
    assert '<section id="section-jobs"' in page
    assert "Most similar pairs of 10000 sentences" in page


_PAGE = """
import sys
from pathlib import Path
import matplotlib
matplotlib.rcParams["font.size"] = 30  # a reader's own style
from embedrt_bench.report.html import html_report
from embedrt_bench.report.reading import load
sys.stdout.buffer.write(html_report(load(Path(sys.argv[1]))).encode())
"""


def test_same_result_same_page(result: Result, made_up: Path) -> None:
    other = subprocess.run([sys.executable, "-c", _PAGE, str(made_up)], capture_output=True, check=True).stdout
    assert html_report(result).encode() == other


class Page(HTMLParser):
    """What a page holds; a tag that is closed out of turn fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: Counter[tuple[str, str]] = Counter()
        self._open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside[self._open[-1] if self._open else "", tag] += 1
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)


def test_page_is_whole_and_alone(result: Result) -> None:
    text = html_report(result)
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(names)
    addresses = set(re.findall(r"(?:https?:)?//[\w./-]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"@import|url\((?!#)", text)
    assert all(attrs[key].startswith("#") for _, attrs in page.tags for key in ("href", "xlink:href") if attrs.get(key))  # type: ignore[union-attr]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    pointed = [attrs[key] for _, attrs in page.tags for key in ("aria-labelledby", "aria-describedby") if key in attrs]
    pointed += [str(attrs[key])[1:] for _, attrs in page.tags for key in ("href", "xlink:href") if key in attrs]
    pointed += re.findall(r"url\(#([^)]+)\)", text)
    assert set(pointed) <= set(ids)


def test_tables_are_for_everyone(result: Result) -> None:
    page = Page(html_report(result))
    count = sum(tag == "table" for tag, _ in page.tags)
    assert count == page.inside["table", "caption"] == page.inside["table", "thead"] == len(tables(result)) + 1
    assert {attrs.get("scope") for tag, attrs in page.tags if tag == "th"} == {"col", "row"}
    assert sum(tag == "figure" for tag, _ in page.tags) == sum(tag == "svg" for tag, _ in page.tags) == 5
    assert page.inside["main", "section"] == page.inside["section", "h2"]
    assert {tag for tag, _ in page.tags} >= {"h1", "nav", "main", "header"}
    assert ("html", {"lang": "en"}) in page.tags
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_page_tells_how_it_was_measured(result: Result) -> None:
    words = " ".join(Page(html_report(result)).words)
    machine, settings = result["machine"], result["settings"]
    facts = [
        result["date"],
        machine["cpu"],
        machine["governor"],
        machine["system"],
        settings["texts"],
        "A, B, C, A, B, C",
    ]
    facts += [f"{name} {version}" for name, version in machine["packages"].items()] + machine["instructions"]
    facts += [
        result["engines"]["light-embed"]["reason"],
        "float32 171 GFLOP/s, int8 658 GOP/s",
        result["roofline"]["theoretical"]["why"],
    ]
    facts += [f"{key} {value}" for key, value in result["engines"]["fastembed fp32"]["settings"].items()]
    for fact in [*facts, *commands(result).splitlines()]:
        assert fact in words
    assert "passages: 625 texts, 112500 tokens" in words
    assert "--texts 5000 --rounds 3 --seed 0 --threads 2" in words


def test_what_to_type_is_what_was_measured(result: Result, bare: Result) -> None:
    """Of the made-up result everything but jobs; then a few engines, a few scenarios, another model."""
    everything = commands(result).splitlines()[1]
    assert (
        "embedrt bench --against all --scenario quality --scenario sts --scenario offline --scenario single-stream "
        in everything
    )
    assert "--scenario jobs" not in everything
    few = {**bare, "soak": result["soak"], "sizes": result["sizes"]}
    few["engines"] = {name: result["engines"][name] for name in ("embedrt fp32", "fastembed fp32, batch 32")}
    few["settings"] = {**result["settings"], "model": "my model"}
    assert commands(few).splitlines() == [
        'pip install "embedrt[bench,export,demo]"',
        (
            "embedrt bench ARTIFACT --checkpoint 'my model' --against 'fastembed fp32, batch 32' --scenario soak "
            "--scenario sizes --texts 5000 --rounds 3 --seed 0 --threads 2 --soak-texts 10000 "
            "--output result.json --report report.html"
        ),
        "embedrt bench --compare earlier.json result.json",
    ]


def test_no_text_of_a_result_is_markup(result: Result) -> None:
    evil = "<b>&amp;\"' </style><script>alert(1)</script>"
    text = json.dumps(result)
    for number, name in enumerate(("light-embed", "static vectors")):
        text = text.replace(name, json.dumps(f"{evil}{number}")[1:-1])
    swapped = json.loads(text)
    for section in ("machine", "settings"):
        swapped[section].update({key: evil for key, value in swapped[section].items() if isinstance(value, str)})
    swapped["engines"][f"{evil}0"]["reason"] = swapped["roofline"]["theoretical"]["why"] = swapped["date"] = evil
    swapped["machine"]["packages"][evil] = evil
    swapped["single_stream"] = {"8": swapped["single_stream"]["8"]}
    swapped["offline"][evil] = swapped["offline"].pop("mixed")
    page = Page(html_report(swapped))
    assert not {"b", "script"} & {tag for tag, _ in page.tags}
    assert sum(evil in word for word in page.words) > 20
