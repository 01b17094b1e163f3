"""A model whose graph gives several kinds of vectors (BGE-M3), as the server holds it: dense ones, and terms beside them."""

from collections.abc import Sequence

from embedrt.server.dense import DenseModel
from embedrt.server.engine import Engine
from embedrt.server.exchange import Exchange
from embedrt.server.held import Held
from embedrt.server.inputs import Inputs
from embedrt.server.sparse import SparseModel

__all__ = ["HybridModel"]


class HybridModel(DenseModel):
    """A dense model that answers ``/embed_sparse`` too, on the same sessions."""

    def __init__(self, held: Held) -> None:
        """The engine comes later, with :meth:`attach`."""
        super().__init__(held)
        self._terms = SparseModel(held)

    def attach(self, engine: Engine) -> None:
        """Work through the queue of ``engine``."""
        super().attach(engine)
        self._terms.attach(engine)

    async def embed_sparse(self, inputs: Inputs, exchange: Exchange) -> Sequence[Sequence[tuple[int, float]]]:
        """Terms and weights of each text, in the order of the vocabulary."""
        return await self._terms.embed_sparse(inputs, exchange)
