"""Stage 2 of multi-vector encoders: transformer, projection and normalization as one module, token ids to a vector a token.

Which tokens count is decided on the host, from their ids (``embedrt.multi_vector.roles``): the graph gives a vector for every
position.
"""

from collections.abc import Iterator
from typing import Any

from embedrt_export.checkpoint import Checkpoint
from embedrt_export.modules.graph_module import GraphModule, types_of_one_text
from embedrt_export.modules.token_modules import TOKENS, EveryToken, UnitLength, token_module
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling, MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Dropout
from torch import Tensor, nn

from embedrt.errors import CheckpointError

__all__ = ["TokenVectorModule", "build_token_vectors", "normalizes"]

_TAKEN = "a Transformer, then any of Dense and Normalize on token_embeddings, MultiVectorMask and Dropout"
_UNTRACED = (MultiVectorMask, HierarchicalTokenPooling, Dropout)
"""What leaves the graph's vectors alone: which tokens count is the host's."""


class TokenVectorModule(GraphModule):
    """Transformer, and the modules behind it, each token by itself."""

    def __init__(self, transformer: Any, modules: list[nn.Module]) -> None:
        super().__init__()
        self.transformer = transformer
        self.chain = nn.ModuleList(modules)
        self.vocabulary = int(transformer.config.vocab_size)
        self.output_names = (TOKENS,)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Both int64 (batch, sequence); gives (batch, sequence, dim)."""
        token_types = types_of_one_text(self.transformer, input_ids)
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **token_types)
        tokens: Tensor = output.last_hidden_state  # (batch, sequence, hidden)
        for module in self.chain:
            tokens = module(tokens, attention_mask)
        return tokens


def build_token_vectors(checkpoint: Checkpoint) -> TokenVectorModule:
    """The checkpoint's modules in their order.

    Raises:
        CheckpointError: the checkpoint has a module that cannot be put into the graph.
    """
    modules = list(checkpoint.model)
    if not isinstance(modules[0], Transformer):
        raise CheckpointError(f"modules.json begins with a {type(modules[0]).__name__}; the exporter takes {_TAKEN}")
    return TokenVectorModule(checkpoint.transformer, list(_traced(modules[1:]))).eval()


def normalizes(checkpoint: Checkpoint) -> bool:
    """Whether the last module that changes vectors is one that brings each to length 1."""
    changing = [module for module in checkpoint.model if not isinstance(module, _UNTRACED)]
    return isinstance(changing[-1], Normalize)


def _traced(modules: list[Any]) -> Iterator[nn.Module]:
    for module in modules:
        if isinstance(module, HierarchicalTokenPooling):
            _require_no_merging(module)
        elif isinstance(module, Normalize) and module.module_input_name == module.module_output_name == TOKENS:
            yield EveryToken(UnitLength())
        elif isinstance(module, Dense) and module.module_input_name == module.module_output_name == TOKENS:
            yield token_module(module)
        elif not isinstance(module, _UNTRACED):
            raise CheckpointError(f"modules.json lists a {type(module).__name__}; the exporter takes {_TAKEN}")


def _require_no_merging(module: HierarchicalTokenPooling) -> None:
    """Without merging it is a normalization of what is of length 1 already."""
    if module.pool_factor > 1:
        raise CheckpointError(
            f"modules.json lists a HierarchicalTokenPooling with pool_factor {module.pool_factor:g}, which merges vectors by "
            "clustering: set its pool_factor to 1.0 to export the model, and merge the vectors afterwards"
        )
