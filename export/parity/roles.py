"""A vector a token against the original's: every one that the host keeps, as queries, documents and texts that are neither."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.comparison import BATCH_SIZES, Comparison, batches_of, compare_runs
from embedrt_export.parity.texts import PARITY_TEXTS

from embedrt.artifact.kinds import MultiVector
from embedrt.artifact.manifest import Serving
from embedrt.errors import ParityError
from embedrt.inference.batching import Batch
from embedrt.inference.session import TOKEN_EMBEDDINGS, GraphSession
from embedrt.multi_vector.roles import Role, RoleRows, Roles, kept_vectors
from embedrt.prompts import prompt_for, prompt_name_for
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["RoleReference", "RoleVectors", "compare_roles"]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleVectors:
    """What the original gives for the parity texts in one role."""

    role: Role | None
    vectors: list[Vectors]
    """(kept tokens, dim) a text"""


@dataclass(frozen=True, slots=True)
class RoleReference:
    """The same in every role."""

    roles: Sequence[RoleVectors]

    def __len__(self) -> int:
        return sum(len(role.vectors) for role in self.roles)


def compare_roles(
    session: GraphSession, tokenizer: TextTokenizer, serving: Serving, reference: RoleReference, *, name: str
) -> Comparison:
    """Run ``session`` over the parity texts in every role and several batch sizes, and compare.

    Raises:
        ParityError: the host keeps other tokens than the original does.
    """
    assert serving.multi_vector is not None  # noqa: S101  callers have it
    roles = Roles(tokenizer, serving.multi_vector)
    rows = [_rows(roles, serving, expected.role) for expected in reference.roles]
    for one, expected in zip(rows, reference.roles, strict=True):
        _require_same_tokens(one, expected)
    runs = {
        size: np.concatenate([vectors for one in rows for vectors in _in_batches(session, serving, one, size)])
        for size in BATCH_SIZES
    }
    originals = [vectors for expected in reference.roles for vectors in expected.vectors]
    texts = PARITY_TEXTS * len(reference.roles)
    comparison = compare_runs(
        runs,
        dict.fromkeys(runs, np.concatenate(originals)),
        reference=name,
        texts=tuple(text for text, vectors in zip(texts, originals, strict=True) for _ in vectors),
    )
    return dataclasses.replace(comparison, parity=dataclasses.replace(comparison.parity, texts=len(texts)))


def _rows(roles: Roles, serving: Serving, role: Role | None) -> RoleRows:
    prefix = prompt_for(serving, prompt_name=prompt_name_for(serving, role) if role is not None else None)
    return roles.rows([prefix + text for text in PARITY_TEXTS], role)


def _require_same_tokens(rows: RoleRows, expected: RoleVectors) -> None:
    for index, vectors in enumerate(expected.vectors):
        if (kept := int(rows.of(index).sum())) != len(vectors):
            raise ParityError(
                f"as a {expected.role or 'text'}, {PARITY_TEXTS[index]!r:.60} has {len(vectors)} vectors in the checkpoint "
                f"and {kept} in the artifact: lengths, expansion or skipped tokens are not read from it rightly"
            )


def _in_batches(session: GraphSession, serving: Serving, rows: RoleRows, size: int) -> list[Vectors]:
    """The kept vectors of every text, ``size`` texts a run, padded to the longest of the run."""
    section: MultiVector | None = serving.multi_vector
    found = [np.empty((0, section.dimension if section else 0), dtype=np.float32)] * len(rows.tokens)
    for chosen, ids, mask in batches_of(rows.tokens, serving, size):
        output = session.run(ids, mask, outputs=(TOKEN_EMBEDDINGS,))[0]
        batch = Batch(rows=chosen, length=ids.shape[1])
        kept = kept_vectors(batch, output, rows, padding_side=serving.padding_side)
        for row, vectors in zip(chosen, kept, strict=True):
            found[row] = vectors
    return found
