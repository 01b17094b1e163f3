"""CrossEncoder: pairs of texts in, scores out. Here the rooms below meet; nothing else is decided here.

The names follow sentence-transformers, so that moving over is one line.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embedrt.arguments import require_arrays
from embedrt.artifact.kinds import Reranking
from embedrt.errors import InputError, ManifestError
from embedrt.loaded_model import LoadedModel
from embedrt.moving import ENCODING, OF_CROSS_ENCODERS, moved
from embedrt.progress import progress
from embedrt.reranking.activations import Activation, activated, finished
from embedrt.reranking.document_ranking import Ranked, rankable, ranked
from embedrt.reranking.scoring import Scoring, ScoringRequest
from embedrt.reranking.text_pairs import as_pairs

__all__ = ["CrossEncoder", "Ranked"]


class CrossEncoder(LoadedModel):
    """A model that reads two texts together and scores the pair; safe to share between threads."""

    _kind, _noun = "cross-encoder", "model"
    _lacks = OF_CROSS_ENCODERS

    def _prepare(self) -> None:
        if self._serving.reranking is None:
            folder = self._opened.artifact.folder
            raise ManifestError(f"{folder} is a cross-encoder whose manifest has no `reranking`: export it again")
        self._reranking: Reranking = self._serving.reranking
        self._scoring = Scoring(self._opened, self._runner)

    @moved(ENCODING, ignored=("num_workers",), sentences="inputs", activation_fct="activation_fn")
    def predict(
        self,
        inputs: Sequence[Sequence[str]] | Sequence[str] | npt.NDArray[np.str_],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
        apply_softmax: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
    ) -> Any:
        """Scores of ``inputs``, float32: (n,) in input order for a list of pairs, or (n, labels) where there are several.

        One pair by itself, a flat list of two texts, gives one score, or (labels,).

        Args:
            inputs: pairs of texts, or one pair.
            prompt_name: which of :attr:`prompts` is put before each pair's first text; None: the checkpoint's default, if any.
            prompt: a text that is put there, in place of a named one.
            batch_size: pairs a run; None: as many as a token budget allows, which is faster.
            show_progress_bar: a bar on stderr.
            activation_fn: None: the checkpoint's own; ``identity`` gives logits; ``sigmoid``, ``softmax``, ``tanh``, ``relu``;
                or a function from logits (n, labels) to scores.
            apply_softmax: afterwards, shares of 1 over the labels, where there are several.
            convert_to_numpy: always so; may stay in code that was written for sentence-transformers.
            convert_to_tensor: True is refused, there is no PyTorch here.

        Raises:
            TypeError: ``inputs`` is no pair of str, nor a sequence of such pairs.
            InputError: something in it has not two texts, an unknown prompt or activation, or tensors are asked for.
        """
        require_arrays(convert_to_numpy=convert_to_numpy, convert_to_tensor=convert_to_tensor)
        pairs, alone = as_pairs(inputs)
        prefix, wanted = self._prefix(prompt, prompt_name, batch_size), activated(activation_fn, own=self.activation)
        with progress(len(pairs), shown=bool(show_progress_bar), doing="Scoring", unit="pair") as advance:
            request = ScoringRequest(output=wanted.output, prefix=prefix, batch_size=batch_size, advance=advance)
            scores = self._scoring.scores(pairs, request)  # (n, labels)
        scores = finished(scores, wanted, apply_softmax=apply_softmax)
        return scores[0] if alone else scores

    @moved(
        ENCODING,
        ignored=("apply_softmax", "convert_to_numpy", "convert_to_tensor", "num_workers"),
        activation_fct="activation_fn",
    )
    def rank(
        self,
        query: str,
        documents: Sequence[str] | npt.NDArray[np.str_],
        *,
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
    ) -> list[Ranked]:
        """The ``documents`` by how well they answer ``query``, the best first, equal ones in their order; none of none.

        Args:
            query: a text.
            documents: texts.
            top_k: how many to give; None: all.
            return_documents: with their texts.
            prompt_name: as for :meth:`predict`, like everything below.
            prompt: a text that is put before the query.
            batch_size: pairs a run.
            show_progress_bar: a bar on stderr.
            activation_fn: in place of the checkpoint's own.

        Raises:
            TypeError: the query is no str, or the documents are no list of str.
            InputError: the model gives several scores, ``top_k`` is below 1, or an unknown prompt or activation.
        """
        texts = rankable(query, documents, top_k)
        if self.num_labels != 1:
            raise InputError(
                f"this model gives {self.num_labels} scores a pair{self._named_labels()}, and rank needs one: "
                "use predict, or /predict of embedrt serve"
            )
        scores = self.predict(
            [(query, text) for text in texts],
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
        )
        return ranked(scores, texts, top_k=top_k, return_documents=return_documents)

    def tokenize(self, inputs: Sequence[Sequence[str]]) -> list[npt.NDArray[np.int64]]:
        """Token ids of each pair, special tokens included, cut at :attr:`max_seq_length`."""
        rows = self._scoring.tokens(as_pairs(inputs)[0])
        return [rows.row(index) for index in range(len(rows))]

    @property
    def num_labels(self) -> int:
        """Scores a pair."""
        return self._serving.dimension

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the scores in their order; empty where the checkpoint has none."""
        return self._reranking.labels

    @property
    def activation(self) -> str:
        """What the checkpoint puts between logits and scores, by PyTorch's name."""
        return self._reranking.activation

    def _facts(self) -> dict[str, str]:
        return {
            "num_labels": str(self.num_labels),
            "activation": repr(self.activation),
            "max_seq_length": str(self.max_seq_length),
        }

    def _named_labels(self) -> str:
        return f" ({', '.join(self.labels)})" if self.labels else ""
