"""Stage 2 for cross-encoders: everything behind the tokenizer as one module, pairs of texts to scores.

sentence-transformers hands a dict from module to module, in which each reads one name and writes another; the chain here
does the same. A causal model's score is the difference of two tokens' logits at the last token of a pair: only these two
rows of its output matrix are kept.
"""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.modules.graph_module import GraphModule, types_of_one_text
from embedrt_export.modules.pooling import ProductPooling
from embedrt_export.modules.token_modules import TOKENS, Residual, UnitLength
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling
from torch import Tensor, nn

from embedrt.errors import CheckpointError
from embedrt.inference.session import ATTENTION_MASK, INPUT_IDS, LOGITS, SCORES, TOKEN_TYPE_IDS

__all__ = ["PairScorer", "activation_name", "build_pair_scorer", "reads_token_types"]

_VECTOR = "sentence_embedding"
_TAKEN = "Transformer, then any of Pooling, Dense, LayerNorm, Normalize, Dropout up to `scores`, or a causal model and LogitScore"


class PairScorer(GraphModule):
    """Transformer, head and activation: token ids of pairs to scores."""

    def __init__(self, transformer: Any, head: nn.Module, activation: nn.Module, *, token_types: bool) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = head
        self.activation = activation
        self.vocabulary = int(transformer.config.get_text_config().vocab_size)
        self.input_names = (INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS)[: 2 + token_types]
        self.output_names = (SCORES, LOGITS)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """All inputs int64 (batch, sequence); gives scores and logits, both (batch, labels)."""
        one_text = types_of_one_text(self.transformer, input_ids)
        types = one_text if token_type_ids is None else {TOKEN_TYPE_IDS: token_type_ids}
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **types)
        logits: Tensor = self.head(output, attention_mask)
        return self.activation(logits), logits


def build_pair_scorer(checkpoint: Checkpoint) -> PairScorer:
    """The checkpoint's modules in their order.

    Raises:
        CheckpointError: it has a module, or an activation, that cannot be put into the graph.
    """
    transformer, head = _transformer_and_head(checkpoint)
    activation = _activation(checkpoint.model.activation_fn)
    return PairScorer(transformer, head, activation, token_types=reads_token_types(checkpoint)).eval()


def activation_name(activation: Any) -> str:
    """``identity``, ``sigmoid``, ``softmax`` …: what the manifest calls the module between logits and scores.

    >>> activation_name(nn.Sigmoid())
    'sigmoid'
    """
    return type(activation).__name__.lower()


def reads_token_types(checkpoint: Checkpoint) -> bool:
    """Whether it matters which text of a pair a token is of: the tokenizer tells, and the scores change with it."""
    encoded = checkpoint.tokenizer([["a", "b"]], return_tensors="pt")
    types = encoded.get(TOKEN_TYPE_IDS)
    model = checkpoint.transformer
    if types is None or not bool(types.any()) or TOKEN_TYPE_IDS not in inspect.signature(model.forward).parameters:
        return False
    texts = {name: encoded[name] for name in (INPUT_IDS, ATTENTION_MASK)}
    try:
        with torch.no_grad():
            told, untold = (model(**texts, token_type_ids=given)[0] for given in (types, torch.zeros_like(types)))
    except IndexError as error:
        raise CheckpointError(
            f"the tokenizer gives token types up to {int(types.max())}, "
            f"and config.json has type_vocab_size {getattr(model.config, 'type_vocab_size', None)}: one of the two is wrong"
        ) from error
    return not torch.equal(told, untold)


class _Softmax(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        """``logits`` (batch, labels) to shares of 1."""
        return logits.softmax(dim=-1)


class _Same(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        """``logits`` (batch, labels) under another name."""
        return logits.clone()


def _activation(activation: Any) -> nn.Module:
    if not isinstance(activation, nn.Module):
        raise CheckpointError(
            f"the checkpoint's activation is {activation!r}, expected a module of torch.nn: name one in "
            'config_sentence_transformers.json, such as "activation_fn": "torch.nn.modules.activation.Sigmoid"'
        )
    if isinstance(activation, nn.Identity):
        return _Same()
    return _Softmax() if isinstance(activation, nn.Softmax) else activation


def _transformer_and_head(checkpoint: Checkpoint) -> tuple[Any, nn.Module]:
    first, *modules = list(checkpoint.model)
    if modules and isinstance(modules[0], LogitScore) and len(modules) == 1:
        return checkpoint.transformer.base_model, _AnswerLogits(checkpoint.transformer, modules[0])
    output = first.modality_config["text"]["method_output_name"]
    path = (output,) if isinstance(output, str) else tuple(output)
    return checkpoint.transformer, _Chain(path, first.module_output_name, [_step(module) for module in modules])


class _AnswerLogits(nn.Module):
    """The logit of one token, less that of another if there is one, at the last token of each pair: (batch, 1)."""

    def __init__(self, causal: Any, score: LogitScore) -> None:
        super().__init__()
        matrix = causal.get_output_embeddings()
        if not isinstance(matrix, nn.Linear):
            raise CheckpointError(
                f"{causal.config.model_type} gives logits by a {type(matrix).__name__}, expected a Linear layer"
            )
        tokens = [token for token in (score.true_token_id, score.false_token_id) if token is not None]
        self.answers = nn.Linear(matrix.in_features, len(tokens), bias=matrix.bias is not None)
        self.answers.weight = nn.Parameter(matrix.weight[tokens].clone())
        if matrix.bias is not None:
            self.answers.bias = nn.Parameter(matrix.bias[tokens].clone())
        self.last = ProductPooling(["lasttoken"])

    def forward(self, output: Any, attention_mask: Tensor) -> Tensor:
        """``output`` of the transformer, mask int64 (batch, sequence)."""
        logits = self.answers(self.last(output.last_hidden_state, attention_mask, attention_mask))  # (batch, tokens)
        scores: Tensor = logits[:, :1] - logits[:, 1:] if logits.shape[1] > 1 else logits
        return scores


@dataclass(frozen=True, slots=True)
class _Step:
    module: nn.Module
    reads: str
    writes: str


class _Chain(nn.Module):
    """The modules behind the transformer, from what it gives to ``scores``."""

    def __init__(self, path: tuple[str, ...], name: str, steps: list[_Step]) -> None:
        super().__init__()
        self.path, self.name = path, name
        self.steps = [(step.reads, step.writes) for step in steps]
        self.chain = nn.ModuleList(step.module for step in steps)
        written = [name]
        for step in steps:
            if step.reads not in written:
                raise CheckpointError(f"a module reads {step.reads!r}, and those before it write {', '.join(written)}")
            written.append(step.writes)
        if SCORES not in written:
            raise CheckpointError(
                f"modules.json leads to {', '.join(written)} and to no {SCORES!r}; the exporter takes a {_TAKEN}"
            )

    def forward(self, output: Any, attention_mask: Tensor) -> Tensor:
        """``output`` of the transformer, mask int64 (batch, sequence); gives (batch, labels)."""
        value = output
        for key in self.path:
            value = value[key]
        values = {self.name: value}
        for (reads, writes), module in zip(self.steps, self.chain, strict=True):
            given = values[reads]
            values[writes] = (
                module(given, attention_mask, attention_mask) if isinstance(module, ProductPooling) else module(given)
            )
        scores: Tensor = values[SCORES]
        return scores


def _step(module: Any) -> _Step:
    """What stands for one module behind the transformer."""
    if isinstance(module, Dense):
        return _Step(Residual(module), module.module_input_name, module.module_output_name)
    if isinstance(module, Pooling):
        if not module.include_prompt:
            raise CheckpointError("Pooling leaves prompts out, which the exporter does not take in a cross-encoder")
        modes = module.pooling_mode
        return _Step(ProductPooling((modes,) if isinstance(modes, str) else tuple(modes)), TOKENS, _VECTOR)
    if isinstance(module, Normalize):
        return _Step(UnitLength(), _VECTOR, _VECTOR)
    if isinstance(module, LayerNorm):
        return _Step(module.norm, _VECTOR, _VECTOR)
    if isinstance(module, Dropout):
        return _Step(nn.Identity(), _VECTOR, _VECTOR)
    raise CheckpointError(
        f"modules.json lists a {type(module).__name__}; for a cross-encoder the exporter takes a {_TAKEN}"
    )
