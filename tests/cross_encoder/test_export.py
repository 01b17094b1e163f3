"""What the exporter makes of a cross-encoder: inputs, narrowing, labels, activations, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import onnx_ir
import pytest
import torch
from embedrt_bench.compatibility.cross_encoders import save_cross_encoder
from embedrt_export.kinds import KINDS
from embedrt_export.kinds.kind import Candidate
from embedrt_export.modules.cross_encoder import activation_name, build_pair_scorer, reads_token_types
from embedrt_export.parity.comparison import Comparison
from embedrt_export.source.kind_of import kind_of
from embedrt_export.source.loading import load_checkpoint
from sentence_transformers import CrossEncoder as Original
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import nn

from embedrt import CrossEncoder
from embedrt.artifact.manifest import MANIFEST_FILE, Manifest
from embedrt.errors import CheckpointError, ParityError

Exported = Callable[[str], tuple[Path, Path]]
Change = Callable[[Path], None]


def manifest_of(artifact: Path) -> Manifest:
    return Manifest.from_json((artifact / MANIFEST_FILE).read_bytes())


def rows_of_queries(artifact: Path) -> list[Any]:
    """The sequence axis of what each Attention operator has as queries."""
    model = onnx_ir.load(artifact / "onnx/model.onnx")
    queries = [node.inputs[0] for node in model.graph if node.op_type == "Attention"]
    return [str(value.shape[1]) for value in queries if value is not None and value.shape is not None]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("MS-MARCO MiniLM", ["input_ids", "attention_mask", "token_type_ids"]),
        ("BGE reranker", ["input_ids", "attention_mask"]),
        ("NLI RoBERTa", ["input_ids", "attention_mask"]),
    ],
)
def test_the_graph(exported: Exported, name: str, inputs: list[str]) -> None:
    """Token types only where they are read; scores and logits; the last layer on one row a pair."""
    _, artifact = exported(name)
    session = CrossEncoder(artifact)._opened.session
    assert (list(session.inputs), session.outputs) == (inputs, ["scores", "logits"])
    assert rows_of_queries(artifact) == ["sequence", "1"]


def test_the_manifest(exported: Exported) -> None:
    serving = manifest_of(exported("MS-MARCO MiniLM")[1]).serving
    assert (serving.kind, serving.dimension, serving.max_seq_length) == ("cross-encoder", 1, 48)
    assert serving.reranking is not None
    assert (serving.reranking.activation, serving.reranking.labels) == ("identity", ())
    named = manifest_of(exported("NLI RoBERTa")[1]).serving.reranking
    assert named is not None
    assert named.labels == ("contradiction", "entailment", "neutral")
    parity = manifest_of(exported("BGE reranker")[1]).variants["fp32"].parity
    assert parity.max_abs_difference < 1e-5
    assert min(parity.measures.values()) > 0.999999


def test_kinds_by_their_files(tmp_path: Path, exported: Exported) -> None:
    assert kind_of(exported("MS-MARCO MiniLM")[0]) == "cross-encoder"
    assert kind_of(exported("BGE reranker")[0]) == "cross-encoder"
    assert not (exported("BGE reranker")[0] / "modules.json").exists()
    old = save_cross_encoder("MS-MARCO MiniLM, saved before version 4", tmp_path / "old")
    assert kind_of(old) == "cross-encoder"
    checkpoint = load_checkpoint(str(old))
    serving = KINDS["cross-encoder"].serving(checkpoint)
    assert serving.reranking is not None
    assert serving.reranking.activation == "identity", "config.json says so; without it a score would have a sigmoid"


def test_a_graph_that_differs_is_refused(exported: Exported) -> None:
    """Other weights under the same files: the worst pair is named by both of its texts."""
    path, artifact = exported("MS-MARCO MiniLM")
    checkpoint = load_checkpoint(str(path))
    kind, serving = KINDS["cross-encoder"], manifest_of(artifact).serving
    candidate = Candidate(graph=artifact / "onnx/model.onnx", tokenizer=artifact / "tokenizer.json", serving=serving)
    reference = kind.reference(checkpoint)
    kind.compare(candidate, checkpoint, reference).require()
    for columns in (slice(0, 1), slice(1, 2)):  # scores, logits
        changed = reference.copy()
        changed[7, columns] += 0.5
        different: Comparison = kind.compare(candidate, checkpoint, changed)
        with pytest.raises(ParityError, match=r"worst text 'How do I reset my password\? \| "):
            different.require()


@pytest.fixture
def copied(tmp_path: Path, exported: Exported) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(exported(name)[0], tmp_path / "copied"))

    return copy


def edit(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | keys), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"), "has a chat_template"),
        (lambda folder: edit(folder / "config.json", type_vocab_size=3), "token_type_embeddings.weight of shape"),
        (lambda folder: edit(folder / "config.json", num_hidden_layers=1), "a layer more than its config.json counts"),
        (lambda folder: edit(folder / "config.json", id2label={"0": "a", "1": "b"}), "classifier.bias of shape"),
    ],
    ids=["chat-template", "token-types", "layers", "labels"],
)  # fmt: skip
def test_unsound_checkpoints(copied: Callable[[str], Path], tmp_path: Path, change: Change, message: str) -> None:
    folder = copied("MS-MARCO MiniLM")
    if "chat_template" in message:  # with its modules, an old checkpoint is read as plain text
        (folder / "sentence_bert_config.json").unlink()
        (folder / "modules.json").unlink()
    change(folder)
    with pytest.raises(CheckpointError, match=message):
        embedrt_export.export(str(folder), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_options_that_do_not_fit(exported: Exported, tmp_path: Path) -> None:
    folder = str(exported("MS-MARCO MiniLM")[0])
    with pytest.raises(CheckpointError, match="gives scores and no token embeddings"):
        embedrt_export.export(folder, tmp_path / "out", token_embeddings=True, quiet=True)
    with pytest.raises(CheckpointError, match="pooling is for dense encoders"):
        embedrt_export.export(folder, tmp_path / "out", kind="cross-encoder", pooling=["mean"], quiet=True)


def test_modules_that_do_not_lead_to_scores(tmp_path: Path, exported: Exported) -> None:
    plain = exported("BGE reranker")[0]
    transformer = Transformer(str(plain))
    pooling, dense = Pooling(32, pooling_mode="mean"), Dense(32, 1, activation_function=nn.Identity())
    for modules, message in (
        ([transformer, pooling, dense], "leads to token_embeddings, sentence_embedding, sentence_embedding and to no"),
        ([transformer, dense], "a module reads 'sentence_embedding', and those before it write token_embeddings"),
        ([transformer, nn.Softmax()], "modules.json lists a Softmax; for a cross-encoder the exporter takes a"),
        ([transformer, Pooling(32, pooling_mode="mean", include_prompt=False)], "Pooling leaves prompts out"),
    ):
        checkpoint = load_checkpoint(str(plain))
        model = Original(modules=modules, device="cpu", activation_fn=nn.Identity())
        object.__setattr__(checkpoint, "model", model)
        with pytest.raises(CheckpointError, match=message):
            build_pair_scorer(checkpoint)


def test_activations(exported: Exported) -> None:
    checkpoint = load_checkpoint(str(exported("NLI RoBERTa")[0]))
    logits = torch.tensor([[1.0, -2.0, 0.5]])
    for activation, name in ((nn.Sigmoid(), "sigmoid"), (nn.Softmax(dim=-1), "softmax"), (nn.Tanh(), "tanh")):
        assert activation_name(activation) == name
        checkpoint.model.activation_fn = activation
        scorer = build_pair_scorer(checkpoint)
        torch.testing.assert_close(scorer.activation(logits), activation(logits))
    checkpoint.model.activation_fn = torch.sigmoid
    with pytest.raises(CheckpointError, match=r"expected a module of torch\.nn: name one in config_sentence"):
        build_pair_scorer(checkpoint)


def test_token_types_beyond_the_table(exported: Exported) -> None:
    checkpoint = load_checkpoint(str(exported("MS-MARCO MiniLM")[0]))
    assert reads_token_types(checkpoint)
    table = checkpoint.transformer.bert.embeddings.token_type_embeddings
    table.weight = nn.Parameter(table.weight[:1].repeat(2, 1))
    assert not reads_token_types(checkpoint), "two equal rows tell nothing"
    table.weight = nn.Parameter(table.weight[:1])
    with pytest.raises(CheckpointError, match=r"gives token types up to 1, and config\.json has type_vocab_size 2"):
        reads_token_types(checkpoint)
