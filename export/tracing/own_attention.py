"""Attention of architectures that transformers keeps out of its interface: MPNet, and DeBERTa v2 and v3.

Each computes the bias that its scores get, and hands it to the operator. DeBERTa's is made of products of the content with
vectors of relative positions (arXiv 2006.03654, equation 4): which vector belongs to which distance is a table of constants,
made here once, because logarithms that are rounded up differ between libraries by one bucket where they meet a whole number.
The vectors depend on no text, so their projections are made here too.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from embedrt_export.tracing.attention_operator import attend
from torch import Tensor, nn
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention, make_log_bucket_position
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention

__all__ = ["OWN_ATTENTION", "OwnAttention"]

_TABLES = "relative_tables"


class OwnAttention(NamedTuple):
    """What stands for the forward method of a class while it is traced."""

    forward: Callable[..., Any]
    prepare: Callable[[Any, Any], None] = lambda _module, _transformer: None
    """Called once a module, before the trace, with the module and the transformer that it belongs to."""


def _mpnet(
    self: MPNetSelfAttention,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_options: Any,
) -> tuple[Tensor]:
    """``hidden_states`` (batch, sequence, hidden)."""
    query, key, value = (_split(self, part(hidden_states)) for part in (self.q, self.k, self.v))
    attended, _ = attend(self, query, key, value, attention_mask, position_bias=position_bias)
    output: Tensor = self.o(attended.flatten(2))
    return (output,)


def _deberta(
    self: DisentangledSelfAttention,
    hidden_states: Tensor,
    attention_mask: Tensor,
    output_attentions: bool = False,
    query_states: Tensor | None = None,
    relative_pos: Tensor | None = None,
    rel_embeddings: Tensor | None = None,
) -> tuple[Tensor, None]:
    """``hidden_states`` (batch, sequence, hidden), ``attention_mask`` (batch, 1, query, key) of 0 and 1."""
    del output_attentions, relative_pos
    query = _split(self, self.query_proj(hidden_states if query_states is None else query_states))
    key, value = _split(self, self.key_proj(hidden_states)), _split(self, self.value_proj(hidden_states))
    parts = 1 + sum(kind in self.pos_att_type for kind in ("c2p", "p2c"))
    scale = (query.shape[-1] * parts) ** -0.5
    blocked = (1.0 - attention_mask.to(query.dtype)) * torch.finfo(query.dtype).min  # (batch, 1, query, key)
    bias = _disentangled(self, query, key) * scale if rel_embeddings is not None else None
    attended, _ = attend(self, query, key, value, blocked, scaling=scale, position_bias=bias)
    return attended.flatten(2), None


def _disentangled(self: DisentangledSelfAttention, query: Tensor, key: Tensor) -> Tensor:
    """Content to position and position to content, unscaled, (batch, heads, query, key)."""
    tables: _Positions = getattr(self, _TABLES)
    furthest = tables.furthest
    count = query.shape[2]
    places = torch.arange(count)
    distance = (places[:, None] - places[None, :]).clamp(-furthest, furthest) + furthest  # (query, key)
    bias = query.new_zeros(())
    if tables.keys is not None:
        bias = bias + _pick(query @ tables.keys, tables.of_keys[distance])
    if tables.queries is not None:
        bias = bias + _pick(key @ tables.queries, tables.of_queries[distance]).transpose(-1, -2)
    return bias


def _pick(scores: Tensor, places: Tensor) -> Tensor:
    """``scores`` (batch, heads, tokens, 2 * span) at ``places`` (tokens, others): (batch, heads, tokens, others)."""
    batch, heads, *_ = scores.shape
    return torch.gather(scores, -1, places.expand(batch, heads, *places.shape))


def _split(self: Any, states: Tensor) -> Tensor:
    """(batch, sequence, hidden) to (batch, heads, sequence, size)."""
    return states.view(*states.shape[:-1], -1, self.attention_head_size).transpose(1, 2)


class _Positions(NamedTuple):
    """What depends on distances alone."""

    of_keys: Tensor
    """Which of the 2 * span vectors belongs to a distance from −furthest to furthest, (distances,); beyond, the last one."""
    of_queries: Tensor
    furthest: int
    keys: Tensor | None
    """The vectors as keys, (1, heads, size, 2 * span); None where content does not look at positions."""
    queries: Tensor | None
    """The vectors as queries, likewise."""


@torch.no_grad()
def _prepare_deberta(self: DisentangledSelfAttention, transformer: Any) -> None:
    """Make the tables of a module."""
    if not self.relative_attention:
        return
    span = self.pos_ebd_size
    furthest = max(span, self.max_relative_positions)
    distance = torch.arange(-furthest, furthest + 1)
    if self.position_buckets > 0:
        distance = make_log_bucket_position(distance, self.position_buckets, self.max_relative_positions).long()
    of_keys, of_queries = ((sign * distance + span).clamp(0, 2 * span - 1) for sign in (1, -1))
    vectors = transformer.base_model.encoder.get_rel_embedding()[: 2 * span].unsqueeze(0)  # (1, 2 * span, hidden)
    keys = queries = None
    if "c2p" in self.pos_att_type:
        keys = _split(self, (self.key_proj if self.share_att_key else self.pos_key_proj)(vectors)).transpose(-1, -2)
    if "p2c" in self.pos_att_type:
        queries = _split(self, (self.query_proj if self.share_att_key else self.pos_query_proj)(vectors)).transpose(
            -1, -2
        )
    setattr(self, _TABLES, _Positions(of_keys, of_queries, furthest, keys, queries))


OWN_ATTENTION: dict[type[nn.Module], OwnAttention] = {
    MPNetSelfAttention: OwnAttention(_mpnet),
    DisentangledSelfAttention: OwnAttention(_deberta, _prepare_deberta),
}
