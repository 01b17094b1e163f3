"""The page at / as a browser shows it: pasted into, clicked, switched to Chinese, and read by its roles."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.server import Server

Ask = Callable[..., Any]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TEXTS = ["How do I reset my password?", "忘记密码怎么办？", "<b>a cat</b>"]

# The page itself, with a hand that does what a visitor does and writes down what it sees.
_HAND = """
<script>
const seen = {}, told = [];
const until = async (true_, what) => {
  for (let i = 0; i < 400; i++) { if (true_()) return; await new Promise(r => setTimeout(r, 25)); }
  throw new Error("never: " + what);
};
new MutationObserver(() => told.push(document.getElementById("status").textContent))
  .observe(document.getElementById("status"), { childList: true, characterData: true, subtree: true });
const status = () => document.getElementById("status").textContent;
const table = () => [...document.querySelectorAll("#result tr")].map(row => [...row.cells].map(cell => cell.textContent));
(async () => {
  try {
%s
  } catch (error) { seen.error = String(error); }
  const found = document.createElement("pre"); found.id = "found"; found.textContent = JSON.stringify(seen);
  document.body.append(found);
})();
</script>
"""


@pytest.fixture(scope="module")
def browser() -> list[str]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: the page is not looked at in a browser")
    # no sandbox: in a container there is nothing to build one from; the only page is ours
    return [found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest.fixture
def visit(
    browser: list[str], start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    """Opens the page with a hand that runs these lines of JavaScript; what it saw."""
    from embedrt.server import pages

    original_page = pages._page

    def opened(lines: str, *options: str, **settings: Any) -> Any:
        monkeypatch.setattr(pages, "_page", lambda name: original_page(name) + (_HAND % lines).encode())
        with start(**settings) as server:
            command = [*browser, f"--user-data-dir={tmp_path / 'browser'}", *options, "--virtual-time-budget=20000"]
            dumped = subprocess.run(
                [*command, "--dump-dom", server.address], capture_output=True, text=True, timeout=60, check=True
            ).stdout
        found = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
        assert found is not None, dumped[-2000:]
        seen = json.loads(unescape(found[1]))
        assert "error" not in seen, seen
        return seen

    return opened


def test_compare(visit: Callable[..., Any], original: SentenceEncoder) -> None:
    seen = visit(
        """
    document.getElementById("texts").value = TEXTS.join("\\n") + "\\n\\n";
    await until(() => document.getElementById("model").value, "models");
    document.getElementById("compare").click();
    await until(() => status().includes("compared"), "answer");
    Object.assign(seen, { table: table(), status: status(), timings: document.getElementById("timings").textContent,
      told, model: document.getElementById("model").value,
      region: document.getElementById("result").getAttribute("role"),
      markup: document.querySelector("#result b") !== null,
      scopes: [...document.querySelectorAll("#result th")].map(th => th.scope),
      caption: document.querySelector("caption").textContent });
    """.replace("TEXTS", json.dumps(TEXTS))
    )
    vectors = original.encode(TEXTS)
    scores = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    assert seen["table"][0] == ["Sentence", "1", "2", "3"]
    assert [row[0] for row in seen["table"][1:]] == [f"{index}. {text}" for index, text in enumerate(TEXTS, 1)]
    np.testing.assert_allclose(np.array([row[1:] for row in seen["table"][1:]], dtype=float), scores, atol=5.1e-4)
    assert seen["status"] == "3 sentences compared; vectors have 8 components."
    assert re.fullmatch(r"Answer after [\d.]+ ms; in the server \d+ ms: .* \d+ tokens\.", seen["timings"])
    assert seen["told"][0] == "Working …"  # what a screen reader is told first
    assert (seen["model"], seen["region"], seen["markup"], seen["caption"]) == (
        "tiny",
        "region",
        False,
        "Similarity (cosine)",
    )
    assert seen["scopes"] == ["col"] * 4 + ["row"] * 3


def test_chinese(visit: Callable[..., Any]) -> None:
    seen = visit(
        """
    const label = () => document.getElementById("language").getAttribute("aria-label");
    seen.sample = document.getElementById("texts").value;
    seen.labels = [label()];
    document.getElementById("language").click();
    Object.assign(seen, { lang: document.documentElement.lang, button: document.getElementById("compare").textContent,
      other: document.getElementById("language").textContent, samples: document.getElementById("texts").value });
    document.getElementById("compare").click();
    await until(() => status().includes("已比较"), "answer");
    seen.status = status();
    seen.head = table()[0];
    seen.labels.push(label());
    document.getElementById("language").click();
    seen.again = status();
    """,
        "--lang=en",
    )
    assert seen["sample"].startswith("How do I reset")
    assert seen["labels"] == ["切换到中文", "Switch to English"]  # what a screen reader says of the button
    assert (seen["lang"], seen["button"], seen["other"]) == ("zh-CN", "比较", "English")
    assert seen["samples"] == "忘记密码怎么办？\n如何重置密码？\n猫在屋顶上睡觉。"
    assert (seen["status"], seen["head"][0]) == ("已比较 3 个句子；向量维度为 8。", "句子")
    assert seen["again"] == "3 sentences compared; vectors have 8 components."


def test_by_keyboard_alone(visit: Callable[..., Any]) -> None:
    """Everything can be reached with Tab, in an order that makes sense, and has a name."""
    seen = visit(
        """
    const reachable = [...document.querySelectorAll("a, button, textarea, select, input, [tabindex]")]
      .filter(element => element.tabIndex >= 0 && !element.hidden);
    seen.order = reachable.map(element => element.id);
    seen.names = reachable.map(element =>
      (element.labels?.[0] ?? element).textContent.trim() || element.getAttribute("aria-label"));
    const area = document.getElementById("texts");
    area.value = "a\\nb";
    area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
    await until(() => status().includes("2 sentences"), "answer");
    seen.status = status();
    """
    )
    assert seen["order"] == ["docs", "language", "texts", "model", "key", "compare"]
    assert all(seen["names"])
    assert seen["status"].startswith("2 sentences compared")


def test_what_goes_wrong_is_said(visit: Callable[..., Any]) -> None:
    seen = visit(
        """
    document.getElementById("texts").value = "only one";
    document.getElementById("compare").click();
    seen.few = [status(), document.activeElement.id, document.getElementById("status").className];
    document.getElementById("texts").value = "a\\nb";
    document.getElementById("compare").click();
    await until(() => status().includes("401"), "refusal");
    seen.refused = status();
    document.getElementById("key").value = "secret";
    document.getElementById("key").dispatchEvent(new Event("change"));
    await until(() => document.getElementById("model").value, "models");
    document.getElementById("compare").click();
    await until(() => status().includes("compared"), "answer");
    seen.wrong = document.getElementById("status").className;
    """,
        api_keys=("secret",),
    )
    assert seen["few"] == ["Write at least two sentences, one a line.", "texts", "wrong"]
    assert seen["refused"].startswith("The server answered 401: Incorrect or missing API key")
    assert seen["wrong"] == ""


def test_docs(browser: list[str], server: Server, tmp_path: Path) -> None:
    command = [*browser, f"--user-data-dir={tmp_path / 'docs'}", "--virtual-time-budget=5000", "--dump-dom"]
    shown = subprocess.run(
        [*command, f"{server.address}/docs"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert shown.count("<details>") == 17
    assert "/v1/embeddings" in shown
    assert "CreateEmbeddingRequest" not in shown  # references are written out


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_elsewhere(server: Server, ask: Ask, path: str) -> None:
    answer = ask(server, "GET", path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert re.findall(rb"""(?:src|href)=["'](?!/|data:)""", answer.body) == []
    assert b"http://" not in answer.body
    assert b"https://" not in answer.body
    assert ask(server, "HEAD", path).body == b""
