"""``embedrt map``: what is passed on, what it says, and how it is stopped."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.cli import map as command
from embedrt.corpus import Corpus, EncodeOptions, Report

Run = Callable[..., Any]
Refused = Callable[[Any, int, str], None]
TEXTS = ["How do I reset my password?", "", "忘记密码怎么办？", "a cat sat on the mat"]  # as in conftest.py


def test_a_corpus(run: Run, tiny: Path, encoder: SentenceEncoder, text_file: Path, tmp_path: Path) -> None:
    arguments = ("map", tiny, text_file, "-o", tmp_path / "out", "--format", "npy", "--part-rows", "3")
    ended = run(*arguments)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith(f"{tmp_path / 'out'}: 4 vectors (")
    assert ended.err.endswith(" a second) in 2 parts\n")
    found = [np.load(tmp_path / f"out/texts.txt-0000{part}.npy") for part in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(found), encoder.encode(TEXTS), strict=True)
    assert run(*arguments).err == f"{tmp_path / 'out'}: 0 vectors in 0 parts, 2 were there\n"
    answer = json.loads(run(*arguments, "--json", "--overwrite").out)
    assert {**answer, "seconds": 0} == {"vectors": 4, "parts": 2, "there_already": 0, "skipped": 0, "seconds": 0}
    assert run(*arguments, "--quiet") == (0, "", "")


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the job is called with; nothing is encoded."""
    kept: dict[str, Any] = {}

    def map_corpus(corpus: Corpus, options: EncodeOptions, **rest: Any) -> Report:
        kept.update(corpus=corpus, options=options, **rest)
        return Report(vectors=1, parts=1, skipped=2, seconds=1.0)

    monkeypatch.setattr(command, "map_corpus", map_corpus)
    return kept


def test_everything_is_passed_on(run: Run, given: dict[str, Any]) -> None:
    assert run("map", "MODEL", "a", "-o", "out").err.endswith("; 2 rows without a text were left out\n")
    corpus = Corpus(inputs=[Path("a")], output=Path("out"))
    assert given == {"corpus": corpus, "options": EncodeOptions(model="MODEL"), "devices": ("cpu",), "shown": False}
    files = ("--format", "jsonl", "--part-rows", "5", "--text-field", "body", "--keep", "id", "--keep", "n")
    switches = ("--skip-invalid", "--overwrite", "--normalize")
    encoding = ("--as", "query", "--precision", "ubinary", "--truncate-dim", "4", "--batch-size", "3", "--prompt", "p")
    kinds = ("--kind", "sparse", "--kind", "dense", "--max-active-dims", "9")
    model = ("--prompt-name", "q", "--variant", "int8", "--threads", "1", "--revision", "v1")
    devices = ("--device", "cuda:0", "--device", "cuda:1")
    assert run("map", "MODEL", "a", "b", "-o", "out", *files, *switches, *encoding, *kinds, *model, *devices).code == 0
    assert given["devices"] == ("cuda:0", "cuda:1")
    assert given["corpus"] == Corpus(
        inputs=[Path("a"), Path("b")],
        output=Path("out"),
        form="jsonl",
        part_rows=5,
        text_field="body",
        keep=("id", "n"),
        skip_invalid=True,
        overwrite=True,
    )
    assert given["options"] == EncodeOptions(
        model="MODEL",
        kinds=("sparse", "dense"),
        variant="int8",
        revision="v1",
        threads=1,
        batch_size=3,
        role="query",
        prompt_name="q",
        prompt="p",
        precision="ubinary",
        normalize_embeddings=True,
        truncate_dim=4,
        max_active_dims=9,
    )


def test_stopped_by_the_user(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_arguments: Any, **_options: Any) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "map_corpus", stopped)
    ended = run("map", "MODEL", "a", "-o", "out")
    assert ended.code == 130
    assert ended.err == "stopped; the parts in out stay, and the same command goes on where it was\n"


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_is_answered_at_once(run: Run, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    told: list[tuple[int, bytes]] = []
    ended: list[int] = []

    def interrupted(*_arguments: Any, **_options: Any) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            for _ in range(times - 1):  # while parts are being finished
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command, "map_corpus", interrupted)
    monkeypatch.setattr("os.write", lambda *arguments: told.append(arguments))
    monkeypatch.setattr("os._exit", ended.append)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run("map", "MODEL", "a", "-o", "out").code == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == [(2, "stopping …\n".encode())]
    assert ended == [130] * (times - 1)


def test_ctrl_c_that_is_ignored_stays_so(run: Run, given: dict[str, Any]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run("map", "MODEL", "a", "-o", "out").code == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert given["devices"] == ("cpu",)


def test_nothing_to_read(run: Run, tiny: Path, tmp_path: Path, assert_refused: Refused) -> None:
    assert_refused(run("map", tiny, tmp_path / "nowhere", "-o", tmp_path / "out"), 2, "there is no file or folder at ")
    assert not (tmp_path / "out").exists()
