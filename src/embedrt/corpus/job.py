"""The whole story of a large job: files → pieces → encoders → a file of vectors for each piece, and a note of what is done."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from embedrt.arguments import require_positive
from embedrt.artifact.folder import hashes_beside_graph, locate, sha256_of
from embedrt.artifact.hub_files import serving_from_hub_files
from embedrt.corpus.kinds import EncodeOptions, kinds_of, part_rows, require_own_options
from embedrt.corpus.lock import alone_in
from embedrt.corpus.parts import Form, is_half_written, is_part, part_path
from embedrt.corpus.sources import Piece, Reading, Source, find_sources, pieces
from embedrt.corpus.state import STATE_FILE, State
from embedrt.corpus.stations import through_stations
from embedrt.corpus.writing import require_pyarrow
from embedrt.errors import InputError
from embedrt.inference.session import GraphSession, parse_device
from embedrt.progress import Advance, progress

__all__ = ["Corpus", "Form", "Report", "map_corpus"]

_SERVED = ("max_seq_length", "pad_token_id", "padding_side", "prompts", "default_prompt_name", "include_prompt")
"""What else than files decides which tokens of a text the graph reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What is read, and where its vectors go."""

    inputs: Sequence[Path]
    """Files (.txt, .jsonl, .csv, .tsv, all maybe .gz, .parquet), or folders that hold such."""
    output: Path
    """A folder; for each part of a file one file ``NAME-00000.parquet`` in it."""
    form: Form = "parquet"
    part_rows: int | None = None
    """None: 20 000, or fewer with a vector a token: 1000 where it has 128 components."""
    """Rows of a part. Some four parts a device are in memory at a time."""
    text_field: str = "text"
    keep: tuple[str, ...] | None = None
    """Fields that are written beside the vectors; None: all."""
    skip_invalid: bool = False
    """Leave out rows without a text, which are an error otherwise."""
    overwrite: bool = False
    """Begin anew where ``output`` holds vectors of an earlier job."""


@dataclass(slots=True)
class Report:
    """What came of a job."""

    vectors: int = 0
    parts: int = 0
    """Written by this job; ``there_already`` by earlier ones."""
    there_already: int = 0
    skipped: int = 0
    """Rows without a text."""
    seconds: float = 0.0


def map_corpus(
    corpus: Corpus, options: EncodeOptions, *, devices: Sequence[str] = ("cpu",), shown: bool = False
) -> Report:
    """Encode a corpus of any size; stopped in whatever way, the same call goes on with the part that it was at.

    Memory is bounded by the rows of a part. The parts, and on a processor each bit of their vectors, do not depend on how many
    devices there are.

    Args:
        corpus: files in, a folder out.
        options: the model, and how it encodes.
        devices: one encoder each, of several each in a process of its own; the same device may be named twice.
        shown: a progress bar on stderr, in bytes of the corpus.

    Raises:
        InputError: something in the corpus cannot be read, or the folder holds vectors of something else, or another job is
            writing into it.
        ProviderError: a device is not there.
        KindError: the model does not give such vectors.
        JobError: a process ended, or a part cannot be written.
    """
    require_positive("part_rows", corpus.part_rows)
    if not devices:
        raise InputError("devices is empty, expected at least one, such as 'cpu'")
    for device in devices:
        GraphSession.require_device(parse_device(device))
    began, report = time.perf_counter(), Report()
    sources = find_sources(corpus.inputs, output=corpus.output)
    options, settings = _decided(corpus, options)
    if corpus.form == "parquet":
        require_pyarrow()
    with alone_in(corpus.output):
        state = _state(corpus, settings)
        with progress(sum(one.state["bytes"] for one in sources), shown=shown, doing="Embedding", unit="B") as advance:
            ledger = _Ledger(corpus, settings["part_rows"], state, report, advance)
            for piece in through_stations(ledger.jobs(sources), options, devices):
                ledger.done(piece)
    report.seconds = time.perf_counter() - began
    return report


def _state(corpus: Corpus, settings: dict[str, Any]) -> State:
    """What is known of the output; what killed jobs left half written is taken away, with ``overwrite`` all of it."""
    if corpus.overwrite and (corpus.output / STATE_FILE).is_file():
        _clear(corpus.output)
    state = State(corpus.output, settings)
    for path in corpus.output.rglob(".*"):
        if is_half_written(path.name):
            path.unlink(missing_ok=True)
    return state


def _clear(folder: Path) -> None:
    """Take an earlier job away.

    Raises:
        InputError: something else is there too; all stays.
    """
    for path in folder.rglob("*"):
        known = path.name == STATE_FILE or is_part(path.name) or is_half_written(path.name)
        if path.is_file() and not known:
            raise InputError(f"{path} is no part of a job that could begin anew: move it away, or pass a new folder")
    for path in folder.iterdir():  # the folder itself stays: it is locked, and links may lead to it
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


class _Ledger:
    """Which parts are to be made, and which files are finished."""

    def __init__(self, corpus: Corpus, part_rows: int, state: State, report: Report, advance: Advance) -> None:
        self._corpus, self._part_rows = corpus, part_rows
        self._state, self._report, self._advance = state, report, advance
        self._at_work: Counter[Source] = Counter()
        self._parts: dict[Source, int] = {}

    def jobs(self, sources: Sequence[Source]) -> Iterator[tuple[Piece, Path]]:
        """The pieces that have no part yet, each with the path of its part."""
        how = Reading(
            text_field=self._corpus.text_field,
            keep=self._corpus.keep,
            as_records=self._corpus.form == "jsonl",
            rows=self._part_rows,
            skip_invalid=self._corpus.skip_invalid,
        )
        for source in sources:
            self._state.begin(source)
            parts = self._state.parts(source)
            if parts is not None and all(self._part(source, number).is_file() for number in range(parts)):
                self._report.there_already += parts
                self._advance(source.state["bytes"])
                continue
            self._part(source, 0).parent.mkdir(parents=True, exist_ok=True)
            count = 0

            def is_missing(number: int, source: Source = source) -> bool:
                nonlocal count
                count = number + 1
                there = self._part(source, number).is_file()
                self._report.there_already += there
                return not there

            for piece in pieces(source, how, wanted=is_missing, advance=self._advance):
                self._at_work[source] += 1
                yield piece, self._part(source, piece.number)
            self._parts[source] = count
            self._settle(source)

    def done(self, piece: Piece) -> None:
        """Its part is written."""
        self._at_work[piece.source] -= 1
        self._report.vectors += len(piece.texts)
        self._report.skipped += piece.skipped
        self._report.parts += 1
        self._advance(piece.bytes)
        self._settle(piece.source)

    def _settle(self, source: Source) -> None:
        if source in self._parts and not self._at_work[source]:
            self._state.finish(source, self._parts[source])

    def _part(self, source: Source, number: int) -> Path:
        return part_path(self._corpus.output, source, number, self._corpus.form)


def _decided(corpus: Corpus, options: EncodeOptions) -> tuple[EncodeOptions, dict[str, Any]]:
    """The options with the model's kinds, and all that decides which vector a row gets, and which file it is in.

    Raises:
        KindError: the model does not give such vectors.
        InputError: options, or files, that such vectors do not have.
    """
    found = locate(options.model, variant=options.variant, revision=options.revision)
    serving = found.manifest.serving if found.manifest else serving_from_hub_files(found.folder, dimension=1)
    kinds = kinds_of(serving, options.kinds, where=str(found.folder))
    require_own_options(kinds, options, corpus.form)
    options = replace(options, kinds=kinds)
    encoding = {**asdict(options), "kinds": list(kinds)}  # as JSON has them
    for name in ("model", "revision", "threads", "batch_size"):  # the graph stands for the first two
        del encoding[name]
    settings = {
        **encoding,
        "variant": found.variant,
        "form": corpus.form,
        "part_rows": corpus.part_rows or part_rows(kinds, serving),
        "text_field": corpus.text_field,
        "keep": None if corpus.keep is None else list(corpus.keep),
        "graph": found.graph_sha256 or sha256_of(found.graph),
        "files": hashes_beside_graph(found),
        **{name: getattr(serving, name) for name in _SERVED},
    }
    return options, settings
