"""Whether each module reads vectors as wide as the one before gives, before anything is computed."""

from embedrt_export.graft.chain import Chain, Dense, LayerNorm, Module, Truncate

from embedrt.errors import CheckpointError

__all__ = ["vector_width"]


def vector_width(chain: Chain, hidden: int, graph: str) -> int:
    """Of the chain's vectors, where ``graph`` gives token vectors of ``hidden``.

    Raises:
        CheckpointError: a module reads another width than it is given.
    """
    width = hidden
    for token_module in chain.on_tokens:
        width = _through(token_module, width, graph)
    if chain.pooled_width is not None:
        _require(chain.pooled_said_by, chain.pooled_width, width, graph)
    width *= len(chain.pooling)
    for module in chain.finish:
        width = _through(module, width, graph)
    return width


def _through(module: Module, width: int, graph: str) -> int:
    if isinstance(module, Dense):
        _require(module.reads, len(module.weight), width, graph)
        return int(module.weight.shape[1])
    if isinstance(module, LayerNorm):
        _require(module.reads, len(module.weight), width, graph)
    return min(width, module.width) if isinstance(module, Truncate) else width


def _require(said_by: str, wanted: int, width: int, graph: str) -> None:
    if wanted != width:
        raise CheckpointError(
            f"{said_by} is {wanted}, but what comes before gives vectors of {width}: is {graph} a graph of this checkpoint?"
        )
