"""An artifact's files into memory, all of them checked before anything is run."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from embedrt.artifact.folder import Artifact, check_files, open_tokenizer, require_checked
from embedrt.artifact.hub_files import serving_from_hub_files
from embedrt.artifact.manifest import METADATA_KEY, Serving, serving_from_json
from embedrt.errors import GraphError, InputError
from embedrt.inference.session import POOLING_MASK, SENTENCE_EMBEDDING, GraphSession
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["Loaded", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What an encoder consists of."""

    session: GraphSession
    tokenizer: TextTokenizer
    serving: Serving


def load(artifact: Artifact, open_session: Callable[[], GraphSession], *, max_seq_length: int | None = None) -> Loaded:
    """Load graph and tokenizer; ``max_seq_length``: tokens after which texts are cut, None: as many as the artifact reads.

    Raises:
        InputError: it does not read so many tokens, or so few leave no room for a text.
        IntegrityError: a file is not the one that the manifest names.
        GraphError: the graph cannot leave prompts out of pooling, and the manifest asks for it, or nothing says what it gives.
    """
    with _while_checking(artifact):
        session = open_session()
        require_checked(artifact, session.external)
        serving = _cut_at(max_seq_length, _serving(artifact, session))
        tokenizer = open_tokenizer(artifact.tokenizer, max_seq_length=serving.max_seq_length)
    if max_seq_length is not None and max_seq_length < tokenizer.shortest:
        raise InputError(f"max_seq_length is {max_seq_length}, expected at least {tokenizer.shortest}")
    if not serving.include_prompt and POOLING_MASK not in session.inputs:
        raise GraphError(
            f"{artifact.graph}: prompts are to be left out of pooling, but the graph has no input {POOLING_MASK}. "
            "Export the checkpoint with: embedrt export MODEL OUT"
        )
    return Loaded(session, tokenizer, serving)


def _cut_at(limit: int | None, serving: Serving) -> Serving:
    """``serving`` with texts cut at ``limit`` tokens; None: as it is."""
    if limit is None:
        return serving
    if serving.max_seq_length is not None and limit > serving.max_seq_length:
        # lengths of a multi-vector model are those of its roles, and no option of the export changes them
        longer = "" if serving.kind == "multi-vector" else f", or export the checkpoint with --max-seq-length {limit}"
        raise InputError(
            f"max_seq_length is {limit}, and the artifact reads {serving.max_seq_length} tokens of a text: pass fewer{longer}"
        )
    sparse = serving.sparse
    if sparse is not None:
        least = min(limit, sparse.query_max_seq_length or limit)
        sparse = dataclasses.replace(sparse, query_max_seq_length=least)
    return dataclasses.replace(serving, max_seq_length=limit, sparse=sparse)


@contextmanager
def _while_checking(artifact: Artifact) -> Iterator[None]:
    """The block loads files while their hashes are computed; a damaged file is named as such, whatever loading it gave."""
    with ThreadPoolExecutor(1) as pool:
        checked = pool.submit(check_files, artifact)
        try:
            yield
        finally:
            checked.result()


def _serving(artifact: Artifact, session: GraphSession) -> Serving:
    """From the manifest, else from the graph's own metadata, else from the files of a Hub folder."""
    if artifact.manifest is not None:
        return artifact.manifest.serving
    if METADATA_KEY in session.metadata:
        return serving_from_json(session.metadata[METADATA_KEY])
    if SENTENCE_EMBEDDING not in session.outputs:
        raise GraphError(
            f"{artifact.graph} gives {', '.join(session.outputs)}, and neither an embedrt.json nor the graph says how it is "
            "served. Export the checkpoint with: embedrt export MODEL OUT"
        )
    return serving_from_hub_files(artifact.folder, dimension=session.dimension)
