"""Large jobs: every text once, whole parts or none, and on from where it was stopped."""

import datetime as dt
import errno
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import dataset, parquet

from embedrt import SentenceEncoder
from embedrt.corpus import Corpus, EncodeOptions, map_corpus, stations
from embedrt.corpus.writing import write_columns
from embedrt.errors import InputError, JobError, ProviderError

Texts = Callable[..., list[str]]
PARTS = [
    *("a.txt-00000", "a.txt-00001", "a.txt-00002"),
    *("b/c.jsonl-00000", "b/c.jsonl-00001", "b/d.jsonl.gz-00000"),
    *("e.parquet-00000", "e.parquet-00001", "e.parquet-00002"),
]


def parts_of(folder: Path) -> dict[str, bytes]:
    """Every file but the notes of the job, hidden ones too."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "_map.jsonl"}


def names_of(suffix: str) -> list[str]:
    return [f"{name}.{suffix}" for name in PARTS]


def test_vectors_stand_beside_what_the_files_held(
    job: Corpus, options: EncodeOptions, encoder: SentenceEncoder, texts: Texts
) -> None:
    report = map_corpus(job, options)
    assert (report.vectors, report.parts, report.there_already, report.skipped) == (67, 9, 0, 0)
    assert sorted(parts_of(job.output)) == names_of("parquet")
    table = dataset.dataset(job.output / "b").to_table()
    assert table.column_names == ["id", "text", "embedding"]
    written = parquet.read_table(job.output / "e.parquet-00001.parquet")
    assert written.schema.field("number").type == pa.int16()
    assert written["text"].to_pylist() == texts(10, 310)
    assert str(written.schema.field("embedding").type).startswith("fixed_size_list<element: float>[8]")
    found = np.array(written["embedding"].to_pylist(), dtype=np.float32)
    np.testing.assert_array_equal(found, encoder.encode(texts(10, 310)))
    everything = dataset.dataset(job.output, schema=pa.schema({"text": pa.string()})).to_table()["text"].to_pylist()
    assert sorted(everything) == sorted([*texts(25), *texts(12, 100), *texts(7, 200), *texts(23, 300)])


def test_vectors_alone(job: Corpus, options: EncodeOptions, encoder: SentenceEncoder, texts: Texts) -> None:
    map_corpus(replace(job, form="npy"), replace(options, truncate_dim=4))
    found = np.load(job.output / "e.parquet-00002.npy")
    np.testing.assert_array_equal(found, encoder.encode(texts(3, 320), truncate_dim=4), strict=True)


def test_json_lines(job: Corpus, options: EncodeOptions, encoder: SentenceEncoder, texts: Texts) -> None:
    map_corpus(replace(job, form="jsonl"), options)
    lines = (job.output / "e.parquet-00002.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [(record["number"], record["text"]) for record in records] == list(
        zip(range(20, 23), texts(3, 320), strict=True)
    )
    found = np.array([record["embedding"] for record in records], dtype=np.float32)
    np.testing.assert_array_equal(found, encoder.encode(texts(3, 320)))


def test_dates_of_a_table_are_text_in_json(job: Corpus, options: EncodeOptions, corpus: Path) -> None:
    parquet.write_table(pa.table({"text": ["a"], "day": [dt.date(2026, 1, 2)]}), corpus / "e.parquet")
    map_corpus(replace(job, form="jsonl", inputs=[corpus / "e.parquet"]), options)
    assert json.loads((job.output / "e.parquet-00000.jsonl").read_bytes())["day"] == "2026-01-02"


def test_only_what_is_missing_is_made(job: Corpus, options: EncodeOptions) -> None:
    map_corpus(job, options)
    before = parts_of(job.output)
    assert map_corpus(job, options).there_already == 9
    (job.output / "e.parquet-00001.parquet").unlink()
    report = map_corpus(job, options)
    assert (report.parts, report.there_already) == (1, 8)
    assert parts_of(job.output) == before
    assert map_corpus(replace(job, overwrite=True), options).parts == 9
    assert parts_of(job.output) == before


def test_it_goes_on_where_it_failed(job: Corpus, options: EncodeOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, *rest: Any) -> None:
        if path.name.startswith("d.jsonl"):
            raise OSError(28, "No space left on device")
        write_columns(path, *rest)

    monkeypatch.setattr(stations, "write_columns", full_disk)
    with pytest.raises(
        JobError, match=r"d\.jsonl\.gz-00000\.parquet cannot be written: No space left on device: once it can"
    ):
        map_corpus(job, options)
    done = len(parts_of(job.output))
    assert 5 <= done < 9
    monkeypatch.undo()
    report = map_corpus(job, options)
    assert (report.parts, report.there_already) == (9 - done, done)
    again = map_corpus(replace(job, output=job.output.parent / "at once"), options)
    assert (again.parts, again.there_already) == (9, 0)
    assert parts_of(job.output) == parts_of(job.output.parent / "at once")


def test_several_processes_give_the_same_files(job: Corpus, options: EncodeOptions) -> None:
    map_corpus(job, options)
    other = replace(job, output=job.output.parent / "others")
    assert map_corpus(other, options, devices=("cpu", "cpu")).parts == 9
    assert parts_of(other.output) == parts_of(job.output)


def test_what_a_process_raises_is_told(job: Corpus, options: EncodeOptions) -> None:
    with pytest.raises(InputError, match="truncate_dim is 99, expected 1 to 8"):
        map_corpus(job, replace(options, truncate_dim=99), devices=("cpu", "cpu"))
    assert parts_of(job.output) == {}
    map_corpus(job, options)  # nothing was made, so other settings may be tried


@pytest.mark.parametrize(
    ("changes", "wished", "message"),
    [
        (
            {"part_rows": 5},
            {},
            "was begun with part_rows 10, now it is 5: pass a new folder, or begin anew with --overwr",
        ),
        ({"text_field": "id"}, {}, 'was begun with text_field "text", now it is "id": pass'),
        ({}, {"role": "query"}, 'was begun with role null, now it is "query": pass'),
        ({}, {"prompt": "hello "}, 'was begun with prompt null, now it is "hello ": pass'),
    ],
)
def test_other_settings_are_refused(
    job: Corpus, options: EncodeOptions, changes: dict[str, Any], wished: dict[str, Any], message: str
) -> None:
    map_corpus(job, options)
    before = parts_of(job.output)
    with pytest.raises(InputError, match=message):
        map_corpus(replace(job, **changes), replace(options, **wished))
    assert parts_of(job.output) == before
    map_corpus(job, replace(options, threads=1, batch_size=2))  # what changes no bit may change


def test_another_model_is_refused(
    job: Corpus, options: EncodeOptions, tmp_path: Path, write_artifact: Callable[..., Path]
) -> None:
    map_corpus(job, options)
    other = write_artifact(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match="was begun with another graph than that of this model: pass a new folder"):
        map_corpus(job, replace(options, model=str(other)))


def test_a_file_that_has_changed_is_refused(job: Corpus, corpus: Path, options: EncodeOptions) -> None:
    map_corpus(job, options)
    (corpus / "new.txt").write_text("a cat\n", encoding="utf-8")
    assert map_corpus(job, options).parts == 1  # files may be added
    with (corpus / "a.txt").open("a", encoding="utf-8") as file:
        file.write("another line\n")
    with pytest.raises(InputError, match=r"a\.txt has changed since vectors of it were made: pass a new folder, or"):
        map_corpus(job, options)


def test_a_folder_of_others_is_left_alone(job: Corpus, options: EncodeOptions) -> None:
    job.output.mkdir()
    (job.output / "mine").write_text("precious", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"vectors is not empty and has no _map\.jsonl: pass a new folder"):
            map_corpus(replace(job, overwrite=overwrite), options)
    assert parts_of(job.output) == {"mine": b"precious"}


def test_to_begin_anew_takes_nothing_else_away(job: Corpus, options: EncodeOptions) -> None:
    map_corpus(job, options)
    (job.output / "b/mine.npy").write_text("precious", encoding="utf-8")
    before = parts_of(job.output)
    with pytest.raises(
        InputError, match=r"b/mine\.npy is no part of a job that could begin anew: move it away, or pass"
    ):
        map_corpus(replace(job, overwrite=True), options)
    assert parts_of(job.output) == before
    (job.output / "b/mine.npy").rename(
        job.output / "b/.c.jsonl-00001.parquet.x8_k2abc"
    )  # as a job that was killed leaves it
    assert map_corpus(replace(job, overwrite=True), options).parts == 9
    assert sorted(parts_of(job.output)) == names_of("parquet")


def test_what_a_killed_job_leaves_is_taken_away(job: Corpus, options: EncodeOptions) -> None:
    (job.output / "b").mkdir(parents=True)
    for name in (".a.txt-00000.parquet.x8_k2abc", "b/.c.jsonl-00001.npy.abcdefgh"):
        (job.output / name).write_text("half", encoding="utf-8")
    (job.output / ".a.txt-00000.parquet.bak").write_text("precious", encoding="utf-8")
    assert map_corpus(job, options).parts == 9
    assert sorted(parts_of(job.output)) == [".a.txt-00000.parquet.bak", *names_of("parquet")]


_WRITES_FOR_EVER = """
import sys, time
from pathlib import Path
from embedrt.corpus.lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("inside", flush=True)
    time.sleep(600)
"""


def test_a_second_job_is_refused_until_the_first_one_ends_or_is_killed(job: Corpus, options: EncodeOptions) -> None:
    map_corpus(job, options)
    first = subprocess.Popen(
        [sys.executable, "-c", _WRITES_FOR_EVER, str(job.output)], stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "inside\n"
    for second in (job, replace(job, overwrite=True)):
        with pytest.raises(InputError, match=r"^another job is writing into .*vectors: wait for its end, or pass"):
            map_corpus(second, options)
    first.kill()
    first.wait()
    first.stdout.close()
    assert map_corpus(job, options).there_already == 9
    assert map_corpus(replace(job, overwrite=True), options).parts == 9


def test_a_file_system_without_locks(job: Corpus, options: EncodeOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_arguments: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    assert map_corpus(job, options).parts == 9


def test_notes_that_were_cut_short(job: Corpus, options: EncodeOptions) -> None:
    map_corpus(job, options)
    notes, before = job.output / "_map.jsonl", parts_of(job.output)
    lines = notes.read_bytes().splitlines(keepends=True)
    notes.write_bytes(b"".join(lines[:-1]) + lines[-1][:-4])
    assert map_corpus(job, options).there_already == 9
    assert sorted(notes.read_bytes().splitlines(keepends=True)) == sorted(lines)
    notes.write_bytes(b"".join(lines)[40:])
    with pytest.raises(InputError, match=r"_map\.jsonl cannot be read: pass a new folder, or begin anew"):
        map_corpus(job, options)
    notes.write_bytes(b"".join(lines).replace(b'"format_version": 1', b'"format_version": 9'))
    with pytest.raises(InputError, match=r"_map\.jsonl is of format 9, expected 1"):
        map_corpus(job, options)
    assert parts_of(job.output) == before


def test_rows_that_are_left_out_are_counted(job: Corpus, corpus: Path, options: EncodeOptions) -> None:
    (corpus / "b/c.jsonl").write_text('{"text": "a"}\n{"body": "b"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.jsonl, line 2 has no text"):
        map_corpus(job, options)
    assert map_corpus(replace(job, skip_invalid=True), options).skipped == 1  # and what was done before stays


def test_what_cannot_be_mapped(job: Corpus, options: EncodeOptions) -> None:
    with pytest.raises(InputError, match="part_rows is 0, expected at least 1"):
        map_corpus(replace(job, part_rows=0), options)
    with pytest.raises(InputError, match="devices is empty, expected at least one"):
        map_corpus(job, options, devices=())
    with pytest.raises(ProviderError, match="CUDAExecutionProvider was asked for"):
        map_corpus(job, options, devices=("cpu", "cuda"))
    assert not job.output.exists()


def test_cards_that_are_not_there(job: Corpus, options: EncodeOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ONNX Runtime has CUDA: nothing is begun."""
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("embedrt.inference.session.count_cards", lambda: 2)
    with pytest.raises(ProviderError, match=r"^cuda:2 was asked for, but the driver shows 2 cards: pass"):
        map_corpus(job, options, devices=("cuda:0", "cuda:1", "cuda:2"))
    assert not job.output.exists()
