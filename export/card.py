"""The model card of an artifact, README.md: what it is, how to load it, and how it was checked."""

from embedrt.manifest import Serving, Source, Variant

__all__ = ["model_card"]


def model_card(source: Source, serving: Serving, variants: dict[str, Variant]) -> str:
    """Markdown with the front matter that the Hub reads."""
    rows = "\n".join(
        f"| `{name}` | `{variant.file}` | {variant.parity.max_abs_difference:.1e} | {variant.parity.cosine_min:.6f} |"
        for name, variant in variants.items()
    )
    reference = next(iter(variants.values())).parity.reference
    return f"""---
library_name: embedrt
pipeline_tag: sentence-similarity
tags: [sentence-embeddings, onnx, onnxruntime]
---

# {source.model} as one ONNX graph

Transformer, {" + ".join(serving.pooling)} pooling{" and normalization" if serving.normalize else ""} in one graph:
`input_ids` and `attention_mask`, int64 (batch, sequence), to `sentence_embedding`, float32 (batch, {serving.dimension}).
Longest text: {serving.max_seq_length or "no limit"} tokens. Compare vectors by: {serving.similarity}.

```python
from embedrt import SentenceEncoder

encoder = SentenceEncoder("path/to/this/folder")
vectors = encoder.encode(["How do I reset my password?", "忘记密码怎么办？"])
```

Compared with {reference}:

| variant | file | largest difference of a component | smallest cosine |
|---|---|---|---|
{rows}
"""
