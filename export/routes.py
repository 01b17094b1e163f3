"""A Router's routes: queries and documents through modules of their own. One artifact holds one route."""

from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router

from embedrt.errors import CheckpointError

__all__ = ["on_route"]


def on_route(model: Any, route: str | None) -> Any:
    """``model`` without routers: each is replaced by the modules of its route of this name.

    Raises:
        CheckpointError: there are routes and none is named, or none of this name.
    """
    routers = [module for module in model if isinstance(module, Router)]
    names = list(dict.fromkeys(name for router in routers for name in router.sub_modules))
    if not routers and route is None:
        return model
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
    return SentenceTransformer(
        modules=modules,
        device="cpu",
        prompts=model.prompts,
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
        truncate_dim=model.truncate_dim,
    )
