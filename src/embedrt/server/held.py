"""A model as the server holds it: two sessions on the same weights, one that shares its threads and one of one thread."""

import threading
from dataclasses import dataclass, field
from typing import Self

from embedrt.artifact import Artifact, locate
from embedrt.layout import Layout, layout_for
from embedrt.loading import load
from embedrt.manifest import Serving
from embedrt.server.models import Description
from embedrt.server.settings import ModelSource
from embedrt.session import GraphSession, runtime_version
from embedrt.text import TextTokenizer

__all__ = ["Held"]


@dataclass(slots=True, kw_only=True)
class Held:
    """A loaded model of any kind."""

    source: ModelSource
    artifact: Artifact
    layout: Layout
    serving: Serving
    tokenizer: TextTokenizer
    wide: GraphSession
    """It shares its threads: for a text that is alone."""
    one_thread: GraphSession
    """For texts of many clients."""
    _opening: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, source: ModelSource, *, threads: int | None) -> Self:
        """Load ``source``.

        Raises:
            ArtifactError: there is no such model, or it is damaged or foreign.
            UnavailableError: ONNX Runtime is not there.
        """
        artifact = locate(source.location, variant=source.variant, revision=source.revision)
        layout = layout_for(artifact.graph_sha256, runtime_version(), threads=threads, kind="cpu")
        loaded = load(artifact, lambda: _open(artifact, layout, layout.latency_threads))
        wide = loaded.session
        return cls(
            source=source,
            artifact=artifact,
            layout=layout,
            serving=loaded.serving,
            tokenizer=loaded.tokenizer,
            wide=wide,
            one_thread=wide if wide.threads == 1 else _open(artifact, layout, 1),
        )

    def session(self, *, wide: bool) -> GraphSession:
        """The one that shares its threads, or that of one thread."""
        return self.wide if wide else self.one_thread

    def renew(self) -> None:
        """Sessions that a hanging worker may hold for ever are replaced."""
        with self._opening:
            self.wide = _open(self.artifact, self.layout, self.layout.latency_threads)
            self.one_thread = _open(self.artifact, self.layout, 1)

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
            pooling="+".join(self.serving.pooling) or "mean",
            max_tokens=self.tokenizer.max_seq_length,
            token_budget=self.layout.token_budget,
            normalized=self.serving.normalize,
            created=int(self.artifact.graph.stat().st_mtime),
            labels={str(number): label for number, label in enumerate(labels)},
        )


def _open(artifact: Artifact, layout: Layout, threads: int) -> GraphSession:
    return GraphSession(artifact.graph, threads=threads, fusions=layout.fusions)
