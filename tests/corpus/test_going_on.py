"""A job that goes on: what may have changed since it was stopped, and what may not."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from embedrt.corpus import Corpus, EncodeOptions, Form, map_corpus
from embedrt.corpus.kinds import KINDS
from embedrt.corpus.state import STATE_FILE, State
from embedrt.errors import InputError

_NOTED_AT_FIRST = {
    *("role", "prompt_name", "prompt", "precision", "normalize_embeddings", "truncate_dim", "variant"),
    *("form", "part_rows", "text_field", "keep", "graph"),
}


def test_a_line_that_is_mended(job: Corpus, corpus: Path, options: EncodeOptions) -> None:
    lines = ['{"text": "a"}\n'] * 5
    broken = corpus / "b/c.jsonl"
    broken.rename(broken.with_name("c.jsonl-1.txt"))  # whose parts' names begin as those of the broken one
    map_corpus(job, options)
    for number in (5, 55):
        broken.write_text("".join([*lines, f'{{"text": {number}}}\n']), encoding="utf-8")
        with pytest.raises(InputError, match=r"c\.jsonl, line 6 has no text"):
            map_corpus(job, options)
    broken.write_text("".join([*lines, '{"text": "mended"}\n']), encoding="utf-8")
    report = map_corpus(job, options)
    assert (report.vectors, report.parts, report.there_already) == (6, 1, 9)
    broken.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.jsonl has changed since vectors of it were made"):
        map_corpus(job, options)


def test_an_empty_file_that_is_filled(job: Corpus, corpus: Path, options: EncodeOptions) -> None:
    (corpus / "a.txt").write_bytes(b"")
    assert map_corpus(job, options).parts == 6
    (corpus / "a.txt").write_bytes(b"a cat\n")
    assert map_corpus(job, options).parts == 1
    assert map_corpus(job, options).there_already == 7


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes there")
@pytest.mark.parametrize("form", KINDS["dense"].forms)
def test_a_name_that_is_not_utf8(job: Corpus, corpus: Path, options: EncodeOptions, form: Form) -> None:
    (corpus / "a.txt").rename(corpus / os.fsdecode(b"caf\xe9.txt"))
    shutil.copy(corpus / "e.parquet", corpus / os.fsdecode(b"caf\xe9.parquet"))
    job = replace(job, form=form)
    assert map_corpus(job, options).parts == 12
    assert (job.output / os.fsdecode(b"caf\xe9.txt-00002." + form.encode())).is_file()
    assert map_corpus(job, options).there_already == 12


def test_a_folder_that_was_begun_before_there_were_kinds(job: Corpus, options: EncodeOptions) -> None:
    map_corpus(job, options)
    state = job.output / STATE_FILE
    head, *events = state.read_text().splitlines()
    noted = json.loads(head)
    for name in ("kinds", "max_active_dims"):
        del noted["settings"][name]
    state.write_text("\n".join([json.dumps(noted), *events, ""]))
    assert map_corpus(job, options).there_already == 9
    with pytest.raises(InputError, match=r'was begun with kinds \["dense"\], now it is \["sparse"\]: pass a new'):
        State(job.output, noted["settings"] | {"kinds": ["sparse"]})


def test_parts_whose_names_begin_with_a_point(job: Corpus, corpus: Path, options: EncodeOptions) -> None:
    (corpus / "a.txt").rename(corpus / ".notes.txt")
    job = replace(job, inputs=[corpus / ".notes.txt"])
    map_corpus(job, options)
    with pytest.raises(InputError, match=r"was begun with prompt null, now it is"):
        map_corpus(job, replace(options, prompt="hello "))
    assert map_corpus(job, options).there_already == 3


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_vectors_below_the_corpus_are_no_corpus(
    job: Corpus, corpus: Path, options: EncodeOptions, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    (corpus.parent / "link").symlink_to(corpus)
    job = replace(job, form=form, output=corpus / "b/vectors")
    assert map_corpus(job, options).parts == 9
    assert map_corpus(job, options).there_already == 9
    assert map_corpus(replace(job, inputs=[corpus.parent / "link"]), options).there_already == 9
    monkeypatch.chdir(corpus)
    assert map_corpus(replace(job, inputs=[Path()]), options).there_already == 9
    for given in (job.output, job.output / f"a.txt-00000.{form}"):
        with pytest.raises(InputError, match=r"lies in .*b/vectors, where vectors are to go: pass another folder for"):
            map_corpus(replace(job, inputs=[given]), options)


def test_to_begin_anew_behind_a_link(job: Corpus, corpus: Path, options: EncodeOptions, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    job.output.symlink_to(tmp_path / "disk")
    assert map_corpus(job, options).parts == 9
    assert map_corpus(replace(job, inputs=[corpus / "a.txt"], overwrite=True), options).parts == 3
    assert job.output.is_symlink()
    assert len(list((tmp_path / "disk").iterdir())) == 4


@pytest.fixture
def hub_folder(
    tmp_path: Path, write_tokenizer: Callable[..., Path], write_graph: Callable[..., Path]
) -> Callable[..., Path]:
    """Writes a folder without a manifest, its weights beside the graph."""

    def write(name: str, *, seed: int = 0, max_length: int = 16, limit: int = 16) -> Path:
        write_tokenizer(tmp_path / name, max_length=max_length)
        (tmp_path / name / "tokenizer_config.json").write_text(f'{{"model_max_length": {limit}}}', encoding="utf-8")
        graph = write_graph(tmp_path / name / "onnx/model.onnx", seed=seed)
        model = onnx.load(graph)
        onnx.external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=64)
        onnx.save(model, graph)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, r"was begun with another weights\.bin than that of this model: pass"),
        ({"max_length": 12}, r"was begun with another tokenizer\.json than that of this model: pass"),
        ({"limit": 8}, "was begun with max_seq_length 16, now it is 8: pass"),
    ],
)
def test_other_files_beside_the_graph(
    job: Corpus, options: EncodeOptions, hub_folder: Callable[..., Path], changes: dict[str, int], message: str
) -> None:
    map_corpus(job, replace(options, model=str(hub_folder("model"))))
    assert map_corpus(job, replace(options, model=str(hub_folder("copy")))).there_already == 9
    with pytest.raises(InputError, match=message):
        map_corpus(job, replace(options, model=str(hub_folder("other", **changes))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": {"max_length": 12}}, r"was begun with another tokenizer\.json than that of this model: pass"),
        ({"serving": {"prompts": {"query": "q: "}}}, r'was begun with prompts {}, now it is {"query": "q: "}: pass'),
    ],
)
def test_another_artifact_of_one_graph(
    job: Corpus,
    options: EncodeOptions,
    tmp_path: Path,
    write_artifact: Callable[..., Path],
    changes: dict[str, Any],
    message: str,
) -> None:
    map_corpus(job, options)
    changed = replace(options, model=str(write_artifact(tmp_path / "other", **changes)))
    with pytest.raises(InputError, match=message):
        map_corpus(job, changed)
    notes = job.output / "_map.jsonl"
    head, *events = notes.read_text(encoding="utf-8").splitlines(keepends=True)
    content = json.loads(head)
    content["settings"] = {name: value for name, value in content["settings"].items() if name in _NOTED_AT_FIRST}
    notes.write_text("".join([json.dumps(content) + "\n", *events]), encoding="utf-8")
    assert map_corpus(job, changed).there_already == 9  # a folder of an earlier version
