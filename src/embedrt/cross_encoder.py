"""CrossEncoder: pairs of texts in, scores out. Here the rooms below meet; nothing else is decided here.

The names follow sentence-transformers, so that moving over is one line.
"""

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NotRequired, Self, TypedDict

import numpy as np
import numpy.typing as npt

from embedrt.activations import Activation, activated, softmax
from embedrt.devices import Providers
from embedrt.errors import InputError, ManifestError
from embedrt.kinds import Reranking
from embedrt.layout import Layout
from embedrt.opening import Opening, open_model
from embedrt.progress import progress
from embedrt.prompts import prompt_for
from embedrt.scoring import Scoring, ScoringRequest
from embedrt.text_pairs import as_documents, as_pairs

__all__ = ["CrossEncoder", "Ranked"]


class Ranked(TypedDict):
    """A document's place in a ranking."""

    corpus_id: int
    """Its index among the documents."""
    score: float
    text: NotRequired[str]


class CrossEncoder:
    """A model that reads two texts together and scores the pair; safe to share between threads.

    Args:
        model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
        variant: a variant that the manifest names (``fp32``, ``int8`` …); None: the manifest's default.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        providers: ONNX Runtime's execution providers by name, in place of ``device``.
        threads: None: as many as affinity mask and cgroup quota allow.
        layout: threads, workers and tokens a run; None: what ``embedrt tune`` found here, else the defaults.
        revision: branch, tag or commit of a Hub repository.

    Raises:
        ArtifactError: there is no such model, or it is damaged, foreign, or of another kind.
        UnavailableError: the device or provider is not on this machine.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        variant: str | None = None,
        device: str = "cpu",
        providers: Providers | None = None,
        threads: int | None = None,
        layout: Layout | None = None,
        revision: str | None = None,
    ) -> None:
        opening = Opening(
            variant=variant, device=device, providers=providers, threads=threads, layout=layout, revision=revision
        )
        self._opened = open_model(model, opening, kind="cross-encoder")
        self._serving = self._opened.serving
        if self._serving.reranking is None:
            raise ManifestError(f"{model} is a cross-encoder whose manifest has no `reranking`: export it again")
        self._reranking: Reranking = self._serving.reranking
        self._scoring = Scoring(self._opened)
        self._closed = False

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

        Raises:
            TypeError: ``inputs`` is no pair of str, nor a sequence of such pairs.
            InputError: something in it has not two texts, or an unknown prompt or activation.
        """
        pairs, alone = as_pairs(inputs)
        prefix, wanted = self._prefix(prompt, prompt_name, batch_size), activated(activation_fn, own=self.activation)
        with progress(len(pairs), shown=bool(show_progress_bar), doing="Scoring", unit="pair") as advance:
            request = ScoringRequest(output=wanted.output, prefix=prefix, batch_size=batch_size, advance=advance)
            scores = self._scoring.scores(pairs, request)  # (n, labels)
        if wanted.finish is not None:
            scores = wanted.finish(scores)
        if self.num_labels == 1:
            scores = scores[:, 0]
        elif apply_softmax:
            scores = softmax(scores)
        return scores[0] if alone else scores

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
        if not isinstance(query, str):
            raise TypeError(f"query is a {type(query).__name__} ({query!r:.40}), expected a str")
        texts = as_documents(documents)
        if self.num_labels != 1:
            raise InputError(
                f"this model gives {self.num_labels} scores a pair{self._named_labels()}, and rank needs one: use predict"
            )
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k is {top_k}, expected at least 1, or None for all documents")
        scores: list[float] = self.predict(
            [(query, text) for text in texts],
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
        ).tolist()
        best = sorted(range(len(texts)), key=lambda index: scores[index], reverse=True)[:top_k]
        ranked: list[Ranked] = [{"corpus_id": index, "score": scores[index]} for index in best]
        if return_documents:
            for entry in ranked:
                entry["text"] = texts[entry["corpus_id"]]
        return ranked

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

    @property
    def max_seq_length(self) -> int | None:
        """Tokens of both texts, special ones included, after which a pair is cut; None: never."""
        return self._opened.tokenizer.max_seq_length

    @property
    def prompts(self) -> dict[str, str]:
        """The checkpoint's prompts by name."""
        return dict(self._serving.prompts)

    @property
    def default_prompt_name(self) -> str | None:
        """The prompt that is used where none is named."""
        return self._serving.default_prompt_name

    @property
    def providers(self) -> list[str]:
        """The execution providers that really run the graph, most preferred first."""
        return self._opened.session.providers

    @property
    def variant(self) -> str | None:
        """The manifest's name of the graph that runs; None where there is no manifest."""
        return self._opened.artifact.variant

    @property
    def threads(self) -> int:
        """Threads that scoring uses."""
        return self._opened.layout.workers

    def close(self) -> None:
        """End the worker threads; the model cannot be used any more."""
        self._closed = True
        self._scoring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"CrossEncoder({str(self._opened.artifact.folder)!r}, variant={self.variant!r}, num_labels={self.num_labels}, "
            f"activation={self.activation!r}, max_seq_length={self.max_seq_length}, providers={self.providers})"
        )

    def _named_labels(self) -> str:
        return f" ({', '.join(self.labels)})" if self.labels else ""

    def _prefix(self, prompt: str | None, prompt_name: str | None, batch_size: int | None) -> str:
        if self._closed:
            raise InputError("this model was closed: make a new CrossEncoder")
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, expected at least 1")
        return prompt_for(self._serving, prompt=prompt, prompt_name=prompt_name)
