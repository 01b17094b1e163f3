"""A Router's routes: queries and documents through modules of their own. One artifact holds one route."""

from typing import Any

from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Router
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

from embedrt.errors import CheckpointError

__all__ = ["on_route", "static_queries"]

_SIDES = ("query", "document")


def on_route(model: Any, route: str | None) -> Any:
    """``model`` without routers: each is replaced by the modules of its route of this name.

    Raises:
        CheckpointError: there are routes and none is named, or none of this name, or the model's kind has none.
    """
    if route is None and static_queries(model) is not None:
        route = "document"  # queries need no graph, and go into the same artifact
    routers = [module for module in model if isinstance(module, Router)]
    names = list(dict.fromkeys(name for router in routers for name in router.sub_modules))
    if not routers and route is None:
        return model
    if routers and isinstance(model, CrossEncoder | MultiVectorEncoder):
        raise CheckpointError(
            f"the checkpoint is a {type(model).__name__} with the routes {', '.join(names)}; routes are exported of "
            "SentenceTransformer and SparseEncoder alone: save the modules of one route as a checkpoint"
        )
    if not routers:
        raise CheckpointError(f"the checkpoint has no routes, so none called {route!r}: leave out --route")
    if route not in names or any(route not in router.sub_modules for router in routers):
        came = "none was named" if route is None else f"{route!r} was named"
        raise CheckpointError(
            f"the checkpoint has the routes {', '.join(names)}, and {came}: "
            "pass --route with one of them, and export once for each"
        )
    modules: list[Any] = []
    for module in model:
        modules += list(module.sub_modules[route]) if isinstance(module, Router) else [module]
    facts: dict[str, Any] = {
        "prompts": model.prompts,
        "default_prompt_name": model.default_prompt_name,
        "similarity_fn_name": model.similarity_fn_name,
    }
    if isinstance(model, SparseEncoder):
        return SparseEncoder(modules=modules, device="cpu", max_active_dims=model.max_active_dims, **facts)
    return SentenceTransformer(modules=modules, device="cpu", truncate_dim=model.truncate_dim, **facts)


def static_queries(model: Any) -> Any:
    """The query side of an inference-free sparse encoder: a fixed weight for each token; None where ``model`` is no such one.

    A Router of ``query`` and ``document`` and nothing else, the query's route a SparseStaticEmbedding alone.
    """
    modules = list(model) if isinstance(model, SparseEncoder) else []
    if len(modules) != 1 or not isinstance(modules[0], Router) or modules[0].route_mappings:
        return None
    routes = modules[0].sub_modules
    queries = list(routes["query"]) if sorted(routes) == sorted(_SIDES) else []
    return queries[0] if len(queries) == 1 and isinstance(queries[0], SparseStaticEmbedding) else None
