"""The model card of an artifact, README.md: what it is, how to load it, and how it was checked."""

from embedrt.artifact.kinds import CLASSES
from embedrt.artifact.manifest import Serving, Source, Variant

__all__ = ["model_card"]

_PIPELINE_TAGS = {"dense": "sentence-similarity", "sparse": "feature-extraction", "cross-encoder": "text-ranking"}
"""The Hub's names for what a model does."""
_USES = {
    "dense": """encoder = SentenceEncoder("path/to/this/folder")
vectors = encoder.encode(["How do I reset my password?", "忘记密码怎么办？"])""",
    "sparse": """encoder = SparseEncoder("path/to/this/folder")
vectors = encoder.encode(["How do I reset my password?", "忘记密码怎么办？"])
encoder.decode(vectors, top_k=5)""",
    "cross-encoder": """reranker = CrossEncoder("path/to/this/folder")
reranker.rank("How do I reset my password?", ["Use the link on the sign-in page.", "Tea is served at four."])""",
    "multi-vector": """encoder = MultiVectorEncoder("path/to/this/folder")
queries = encoder.encode_query(["How do I reset my password?"])
documents = encoder.encode_document(["Use the link on the sign-in page.", "Tea is served at four."])
encoder.similarity(queries, documents)""",
}
"""The first lines of code that anybody types, by kind."""


def model_card(source: Source, serving: Serving, variants: dict[str, Variant]) -> str:
    """Markdown with the front matter that the Hub reads."""
    rows = "\n".join(
        f"| `{name}` | `{variant.file}` | {variant.parity.max_abs_difference:.1e} | {variant.parity.cosine_min:.6f} |"
        for name, variant in variants.items()
    )
    reference = next(iter(variants.values())).parity.reference
    return f"""---
library_name: embedrt
pipeline_tag: {_PIPELINE_TAGS.get(serving.kind, "feature-extraction")}
tags: [sentence-embeddings, onnx, onnxruntime]
---

# {source.model} as one ONNX graph

{_what(serving, variants)}
Longest input: {serving.max_seq_length or "no limit"} tokens.
{_changes(source)}
```python
from embedrt import {CLASSES[serving.kind]}

{_USES[serving.kind]}
```
{_further(serving)}
Compared with {reference}:

| variant | file | largest difference of a component | smallest cosine |
|---|---|---|---|
{rows}
"""


def _changes(source: Source) -> str:
    """A line for each change that was made of the checkpoint on purpose."""
    sentences = source.derivation.sentences() if source.derivation else []
    return "".join(f"Changed: {sentence}.\n" for sentence in sentences)


def _further(serving: Serving) -> str:
    """A sentence for models that give several kinds."""
    if len(serving.kinds) == 1:
        return ""
    kinds, classes = ", ".join(serving.kinds), ", ".join(f"`{CLASSES[kind]}`" for kind in serving.kinds)
    return f"""
The same graph gives {kinds} vectors: load the folder with {classes},
or with `HybridEncoder` for all in one run.
"""


def _what(serving: Serving, variants: dict[str, Variant]) -> str:
    if serving.kind == "dense":
        words = all(variant.attention == "none" for variant in variants.values())
        first, norm = "Word vectors" if words else "Transformer", " and normalization" if serving.normalize else ""
        unpooled = "A bag of words" if words else first
        pooled = f"{first}, {' + '.join(serving.pooling)} pooling" if serving.pooling else unpooled
        return (
            f"{pooled}{norm} in one graph: `input_ids` and `attention_mask`, int64 "
            f"(batch, sequence),\nto `sentence_embedding`, float32 (batch, {serving.dimension}). "
            f"Compare vectors by: {serving.similarity}."
        )
    return f"A {serving.kind} model in one graph, transformer and head: everything behind the tokenizer."
