"""A model as the server holds it: two sessions on the same weights, one that shares its threads and one of one thread."""

import threading
from dataclasses import dataclass, field
from typing import Self

from embedrt.artifact.folder import Artifact, locate
from embedrt.artifact.manifest import Serving
from embedrt.inference.layout import Layout
from embedrt.inference.session import GraphSession
from embedrt.opening import Opened, Opening, open_artifact
from embedrt.server.models import Description
from embedrt.server.settings import ModelSource
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["Held"]


@dataclass(slots=True, kw_only=True)
class Held:
    """A loaded model of any kind."""

    source: ModelSource
    wide: GraphSession
    """It shares its threads: for a text that is alone."""
    one_thread: GraphSession
    """For texts of many clients; on a card the same."""
    _opened: Opened
    _opening: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, source: ModelSource, *, threads: int | None) -> Self:
        """Load ``source``.

        Raises:
            ArtifactError: there is no such model, or it is damaged or foreign.
            UnavailableError: ONNX Runtime or the device is not there.
            InputError: the default prompt is none of its prompts.
        """
        artifact = locate(source.location, variant=source.variant, revision=source.revision)
        opening = Opening(
            device=source.device, threads=threads,
            prompts=source.prompts, default_prompt_name=source.default_prompt_name,
        )  # fmt: skip
        opened = open_artifact(artifact, opening)
        wide = opened.session
        return cls(
            source=source,
            wide=wide,
            one_thread=wide if wide.threads == 1 else opened.single(),
            _opened=opened,
        )

    @property
    def artifact(self) -> Artifact:
        """The files."""
        return self._opened.artifact

    @property
    def layout(self) -> Layout:
        """How it runs."""
        return self._opened.layout

    @property
    def serving(self) -> Serving:
        """What the manifest says of its use."""
        return self._opened.serving

    @property
    def tokenizer(self) -> TextTokenizer:
        """Texts to token ids."""
        return self._opened.tokenizer

    def session(self, *, wide: bool) -> GraphSession:
        """The one that shares its threads, or that of one thread."""
        return self.wide if wide else self.one_thread

    def renew(self) -> None:
        """Sessions that a hanging worker may hold for ever are replaced.

        Raises:
            IntegrityError: the artifact was replaced; they stay.
        """
        with self._opening:
            shared = self.one_thread is self.wide
            self.wide = self._opened.another()
            self.one_thread = self.wide if shared else self._opened.another(threads=1)

    def description(self, *, labels: tuple[str, ...] = ()) -> Description:
        """What the server says of it."""
        manifest, variant = self.artifact.manifest, self.artifact.variant
        return Description(
            name=self.source.name,
            kind=self.serving.kind,
            location=self.source.location,
            variant=variant,
            precision=manifest.variants[variant].precision if manifest and variant else "unknown",
            sha256=self.artifact.graph_sha256,
            dimension=self.serving.dimension,
            pooling="+".join(self.serving.pooling) or "unknown",
            max_tokens=self.tokenizer.max_seq_length,
            token_budget=self.layout.token_budget,
            normalized=self.serving.normalize,
            created=int(self.artifact.graph.stat().st_mtime),
            labels={str(number): label for number, label in enumerate(labels)},
        )
