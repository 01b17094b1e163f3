"""A model that is loaded, on its way from opening to closing: what SentenceEncoder and the classes beside it share.

Each of these is one, with a kind and with methods of its own; here is what does not depend on the kind.
"""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from embedrt.arguments import require_positive
from embedrt.errors import InputError
from embedrt.inference.devices import Providers
from embedrt.inference.layout import Layout
from embedrt.moving import ATTRIBUTES, OPENING, OTHERS, SETTINGS, moved, why_missing
from embedrt.opening import Opening, open_model
from embedrt.prompts import prompt_for, prompt_name_for

__all__ = ["LoadedModel"]

Model = TypeVar("Model", bound="LoadedModel")


class LoadedModel:
    """A model, ready to run until it is closed; safe to share between threads."""

    _kind: ClassVar[str | None]
    """What the model must be, or give among other things, which are then not computed; None: it must give several."""
    _noun: ClassVar[str] = "encoder"
    _lacks: ClassVar[Mapping[str, str]] = {}
    """What other classes have and this one has not, and what to do instead."""

    @moved(OPENING, model_name_or_path="model", model_name="model", max_length="max_seq_length")
    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        variant: str | None = None,
        device: str | None = "cpu",
        providers: Providers | None = None,
        threads: int | None = None,
        layout: Layout | None = None,
        revision: str | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        max_seq_length: int | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        """Find, check and load ``model``.

        Args:
            model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
            variant: a variant that the manifest names (``fp32``, ``int8`` …); None: the manifest's default.
            device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``, as which None counts: CUDA where ONNX Runtime has it.
            providers: ONNX Runtime's execution providers by name, in place of ``device``.
            threads: None: as many as affinity mask and cgroup quota allow.
            layout: threads, workers and tokens a run; None: what ``embedrt tune`` found here, else the defaults.
            revision: branch, tag or commit of a Hub repository.
            prompts: texts to put before texts, by name, beside the checkpoint's own: ``{"query": "query: "}``.
            default_prompt_name: which of them is used where none is named; None: the checkpoint's default.
            max_seq_length: tokens after which what is read is cut; None: as many as the artifact reads, which is the most.
            truncate_dim: keep the first so many components of each vector (Matryoshka); of ``SentenceEncoder`` alone.

        Raises:
            ArtifactError: there is no such model, or it is damaged, foreign, or of another kind.
            InputError: ``default_prompt_name`` names no prompt, or a length or width that the model has not.
            TypeError: an argument that is sentence-transformers', and what to do instead.
            UnavailableError: the device or provider is not on this machine.
        """
        opening = Opening(
            variant=variant,
            device=device,
            providers=providers,
            threads=threads,
            layout=layout,
            revision=revision,
            prompts=dict(prompts) if isinstance(prompts, Mapping) else prompts,
            default_prompt_name=default_prompt_name,
            max_seq_length=max_seq_length,
            truncate_dim=truncate_dim,
        )
        if truncate_dim is not None and self._kind != "dense":
            raise InputError(
                f"truncate_dim is {truncate_dim}, which SentenceEncoder alone takes, not {type(self).__name__}: leave it out"
            )
        self._opened = open_model(model, opening, kind=self._kind)
        self._asked = (_from_anywhere(model), opening)
        self._serving, self._tokenizer = self._opened.serving, self._opened.tokenizer
        self._runner = self._opened.runner()
        self._closed = False
        self._prepare()

    def _prepare(self) -> None:
        """What a kind of model needs beyond that, made once."""

    @property
    def max_seq_length(self) -> int | None:
        """Tokens, special ones included, after which what is read is cut; None: never."""
        return self._tokenizer.max_seq_length

    def get_max_seq_length(self) -> int | None:
        """The same, by its older name."""
        return self.max_seq_length

    @property
    def prompts(self) -> Mapping[str, str]:
        """The checkpoint's prompts by name, and those that were given."""
        return MappingProxyType(self._serving.prompts)

    @property
    def default_prompt_name(self) -> str | None:
        """The prompt that is used where none is named."""
        return self._serving.default_prompt_name

    @property
    def device(self) -> str:
        """``cpu``, or ``cuda:N``."""
        return self._opened.device.name

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
        """Threads that share many inputs."""
        return self._opened.layout.workers

    if not TYPE_CHECKING:  # or every name would pass for one that is there

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property, and what it asks for is missing: that is told, not the property
                return object.__getattribute__(self, name)
            raise AttributeError(
                why_missing(name, type(self).__name__, {**ATTRIBUTES, **OTHERS, **self._lacks}), name=name, obj=self
            )

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in SETTINGS:
                super().__setattr__(name, value)
            elif getattr(self, name, None) != value:  # what it is already may be set again
                raise AttributeError(f"{name} of a {type(self).__name__} cannot be set: {SETTINGS[name]}")

    def close(self) -> None:
        """End the worker threads; the model cannot be used any more, and calls of other threads end before their next batch."""
        self._closed = True
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, for another process, as what it was opened with: it is found and loaded again there."""
        self._require_open()
        model, opening = self._asked
        return _reopened, (type(self), model, opening)

    def __repr__(self) -> str:
        facts = {"variant": repr(self.variant), **self._facts(), "providers": str(self.providers)}
        told = ", ".join(f"{name}={value}" for name, value in facts.items())
        return f"{type(self).__name__}({str(self._opened.artifact.folder)!r}, {told})"

    def _facts(self) -> dict[str, str]:
        """What tells one such model from another, in the order in which it is shown."""
        return {"dimension": str(self._serving.dimension), "max_seq_length": str(self.max_seq_length)}

    def _prefix(self, prompt: str | None, prompt_name: str | None, batch_size: int | None) -> str:
        """What is put before each text, where a call's arguments can be used at all.

        Raises:
            TypeError: ``batch_size`` is no whole number, or ``prompt`` no str.
            InputError: the model was closed, there is no such prompt, or ``batch_size`` is below 1.
        """
        self._require_open()
        require_positive("batch_size", batch_size)
        return prompt_for(self._serving, prompt=prompt, prompt_name=prompt_name)

    def _require_open(self) -> None:
        if self._closed:
            raise InputError(f"this {self._noun} was closed: make a new {type(self).__name__}")

    def _role_prompt(self, role: str, prompt_name: str | None, prompt: str | None) -> str | None:
        """The prompt's name for a ``query`` or a ``document``, unless the caller says what is put before."""
        return prompt_name_for(self._serving, role) if prompt_name is None and prompt is None else prompt_name


def _reopened(kind: type[Model], model: str | os.PathLike[str], opening: Opening) -> Model:
    return kind(model, **{field.name: getattr(opening, field.name) for field in fields(opening)})


def _from_anywhere(model: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """``model`` as it is found from other working directories too: a path from the root, which is never taken for a Hub id."""
    path = Path(model).expanduser()
    return path.absolute() if path.exists() else model
