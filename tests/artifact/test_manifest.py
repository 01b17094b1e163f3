"""The schema of embedrt.json: what is written is read back, and whatever else is read is named."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedrt.artifact.manifest import (
    FileRecord,
    Manifest,
    Parity,
    Serving,
    Source,
    Variant,
    serving_from_json,
    serving_to_json,
)
from embedrt.errors import ManifestError

NAMES = st.text(min_size=1, max_size=8)
PATHS = st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5}){0,2}\.onnx", fullmatch=True)
POSITIVE = st.integers(1, 10**6)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def servings(draw: st.DrawFn) -> Serving:
    prompts = draw(st.dictionaries(NAMES, st.text(max_size=8), max_size=3))
    return Serving(
        kind=draw(st.sampled_from(["dense", "sparse", "cross-encoder", "multi-vector"])),
        dimension=draw(POSITIVE),
        pooling=tuple(draw(st.lists(NAMES, max_size=3))),
        normalize=draw(st.booleans()),
        similarity=draw(st.sampled_from(["cosine", "dot", "euclidean", "manhattan"])),
        max_seq_length=draw(st.none() | POSITIVE),
        pad_token_id=draw(st.integers(0, 10**6)),
        padding_side=draw(st.sampled_from(["left", "right"])),
        prompts=prompts,
        default_prompt_name=draw(st.none() | st.sampled_from(sorted(prompts))) if prompts else None,
        include_prompt=draw(st.booleans()),
        truncate_dims=tuple(draw(st.lists(POSITIVE, max_size=3))),
    )


PARITIES = st.builds(
    Parity,
    reference=NAMES,
    runtime=NAMES,
    texts=POSITIVE,
    batch_sizes=st.lists(POSITIVE, max_size=3).map(tuple),
    max_abs_difference=FINITE,
    cosine_mean=FINITE,
    cosine_p01=FINITE,
    cosine_min=FINITE,
)
SOURCES = st.builds(
    Source, model=NAMES, revision=st.none() | NAMES, libraries=st.dictionaries(NAMES, NAMES, max_size=3)
)
VARIANTS = st.builds(Variant, file=PATHS, precision=NAMES, opset=st.integers(1, 30), attention=NAMES, parity=PARITIES)
HASHES = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
RECORDS = st.builds(FileRecord, sha256=HASHES, bytes=st.integers(0, 10**12))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    variants = draw(st.dictionaries(NAMES, VARIANTS, min_size=1, max_size=3))
    return Manifest(
        serving=draw(servings()),
        source=draw(SOURCES),
        default_variant=draw(st.sampled_from(sorted(variants))),
        variants=variants,
        files={
            **draw(st.dictionaries(PATHS, RECORDS, max_size=2)),
            **{variant.file: draw(RECORDS) for variant in variants.values()},
        },
    )


def small_manifest() -> dict[str, Any]:
    """The smallest whole embedrt.json, written by hand: the format, not the code."""
    parity = {
        "reference": "numpy",
        "runtime": "onnxruntime",
        "texts": 3,
        "batch_sizes": [1, 2],
        "max_abs_difference": 1e-7,
        "cosine_mean": 1.0,
        "cosine_p01": 0.5,
        "cosine_min": 0.25,
    }
    graph = {"file": "onnx/model.onnx", "precision": "fp32", "opset": 23, "attention": "operator"}
    return {
        "format_version": 1,
        "serving": {"dimension": 8},
        "source": {"model": "tests/tiny"},
        "default_variant": "fp32",
        "variants": {"fp32": {**graph, "parity": parity}},
        "files": {"onnx/model.onnx": {"sha256": "0" * 64, "bytes": 7}},
    }


@settings(deadline=None)
@given(manifests())
def test_a_manifest_comes_back_from_its_json(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


@settings(deadline=None)
@given(servings())
def test_the_serving_part_comes_back_from_a_graph(serving: Serving) -> None:
    assert serving_from_json(serving_to_json(serving)) == serving


def test_keys_that_are_left_out_have_the_documented_defaults() -> None:
    manifest = Manifest.from_json(json.dumps(small_manifest()))
    assert manifest.serving == Serving(
        kind="dense",
        dimension=8,
        pooling=(),
        normalize=False,
        similarity="cosine",
        max_seq_length=None,
        pad_token_id=0,
        padding_side="right",
        prompts={},
        default_prompt_name=None,
        include_prompt=True,
        truncate_dims=(),
    )
    assert manifest.source == Source(model="tests/tiny", revision=None, libraries={})
    assert manifest.variants["fp32"].parity.batch_sizes == (1, 2)
    assert manifest.files == {"onnx/model.onnx": FileRecord(sha256="0" * 64, bytes=7)}


def test_what_is_written_has_every_key_and_readable_text() -> None:
    content = small_manifest()
    content["serving"]["prompts"] = {"query": "查询: "}
    written = Manifest.from_json(json.dumps(content)).to_json()
    assert '"query": "查询: "' in written
    assert written.endswith("}\n")
    assert written.startswith('{\n  "format_version": 1,\n  "serving": {\n    "kind": "dense",\n    "dimension": 8,\n')
    assert sorted(json.loads(written)["serving"]) == [
        *("default_prompt_name", "dimension", "include_prompt", "kind", "max_seq_length", "multi_vector", "normalize"),
        *("pad_token_id", "padding_side", "pooling", "prompts", "reranking", "similarity", "sparse", "truncate_dims"),
    ]


def test_an_integer_is_a_float_but_not_the_reverse() -> None:
    content = small_manifest()
    content["variants"]["fp32"]["parity"]["cosine_min"] = 1
    found = Manifest.from_json(json.dumps(content)).variants["fp32"].parity.cosine_min
    assert (type(found), found) == (float, 1.0)


Change = Callable[[dict[str, Any]], object]
BROKEN: dict[str, tuple[Change, tuple[str, ...]]] = {
    "newer version": (
        lambda c: c.update(format_version=2),
        ("format_version 2", "reads 1", "install the embedrt"),
    ),
    "version as text": (lambda c: c.update(format_version="1"), ("format_version '1'", "export")),
    "no version": (lambda c: c.pop("format_version"), ("format_version None",)),
    "version is a bool": (
        lambda c: c.update(format_version=True),
        ("embedrt.json.format_version is True", "int"),
    ),
    "unknown key": (lambda c: c.update(sparkle=1), ("embedrt.json has the unknown keys sparkle",)),
    "unknown inner key": (
        lambda c: c["serving"].update(b=1, a=2),
        ("embedrt.json.serving", "unknown keys a, b"),
    ),
    "no source": (lambda c: c.pop("source"), ("embedrt.json lacks the keys source",)),
    "no dimension": (lambda c: c["serving"].clear(), ("embedrt.json.serving lacks the keys dimension",)),
    "no parity": (lambda c: c["variants"]["fp32"].pop("parity"), ("variants.fp32 lacks the keys parity",)),
    "bool for int": (
        lambda c: c["serving"].update(dimension=True),
        ("embedrt.json.serving.dimension is True", "expected int"),
    ),
    "int for bool": (lambda c: c["serving"].update(normalize=1), ("serving.normalize is 1", "expected bool")),
    "float for int": (lambda c: c["serving"].update(dimension=8.0), ("dimension is 8.0", "expected int")),
    "bool for float": (
        lambda c: c["variants"]["fp32"]["parity"].update(cosine_min=True),
        ("variants.fp32.parity.cosine_min is True", "expected float"),
    ),
    "text for int or null": (
        lambda c: c["serving"].update(max_seq_length="16"),
        ("max_seq_length is '16'", "expected int"),
    ),
    "text for list": (
        lambda c: c["serving"].update(pooling="mean"),
        ("pooling is 'mean'", "expected a list"),
    ),
    "wrong item": (lambda c: c["serving"].update(truncate_dims=[8, "4"]), ("truncate_dims[1] is '4'", "int")),
    "list for object": (lambda c: c["serving"].update(prompts=["query"]), ("prompts is ['query']", "dict")),
    "wrong prompt": (
        lambda c: c["serving"].update(prompts={"query": None}),
        ("prompts.query is None", "str"),
    ),
    "list for dataclass": (
        lambda c: c.update(serving=[]),
        ("embedrt.json.serving is []", "expected an object"),
    ),
    "unknown kind": (lambda c: c["serving"].update(kind="x"), ("kind is 'x'", "dense", "multi-vector")),
    "unknown similarity": (
        lambda c: c["serving"].update(similarity="l2"),
        ("similarity is 'l2'", "euclidean"),
    ),
    "unknown side": (
        lambda c: c["serving"].update(padding_side="up"),
        ("padding_side is 'up'", "left, right"),
    ),
    "dimension 0": (lambda c: c["serving"].update(dimension=0), ("dimension is 0", "at least 1")),
    "foreign default prompt": (
        lambda c: c["serving"].update(prompts={"query": "q"}, default_prompt_name="d"),
        ("default_prompt_name is 'd'", "['query']"),
    ),
    "foreign default variant": (lambda c: c.update(default_variant="int8"), ("'int8'", "['fp32']")),
    "unlisted file": (lambda c: c.update(files={}), ("'fp32'", "'onnx/model.onnx'", "does not list")),
    "unlisted weights of queries": (
        lambda c: c["serving"].update(sparse={"query_weights": "../query_weights.npy"}),
        ("serving.sparse.query_weights names the file '../query_weights.npy'", "does not list"),
    ),
    "file outside": (
        lambda c: c["files"].update({"../../secret": c["files"]["onnx/model.onnx"]}),
        ("'../../secret'", "outside of the artifact"),
    ),
    "file outside, hidden": (
        lambda c: c["files"].update({"onnx/../../secret": c["files"]["onnx/model.onnx"]}),
        ("'onnx/../../secret'", "outside of the artifact"),
    ),
    "absolute file": (
        lambda c: c["files"].update({"/etc/passwd": c["files"]["onnx/model.onnx"]}),
        ("'/etc/passwd'", "outside of the artifact"),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_manifest_is_named(name: str) -> None:
    change, expected = BROKEN[name]
    content = small_manifest()
    change(content)
    with pytest.raises(ManifestError) as caught:
        Manifest.from_json(json.dumps(content))
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "not JSON"), ("{", "not JSON"), ("[]", "a list, expected an object"), ("null", "a NoneType")],
)
def test_what_is_no_json_object_is_no_manifest(text: str, expected: str) -> None:
    with pytest.raises(ManifestError, match=expected):
        Manifest.from_json(text)
    with pytest.raises(ManifestError, match=expected):
        serving_from_json(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"format_version": 2, "serving": {"dimension": 8}}', "graph's metadata has format_version 2"),
        ('{"format_version": 1}', "graph's metadata is None, expected an object"),
        (
            '{"format_version": 1, "serving": {"dimension": "8"}}',
            "graph's metadata.dimension is '8', expected int",
        ),
        (
            '{"format_version": 1, "serving": {"dimension": 8, "x": 1}}',
            "graph's metadata has the unknown keys x",
        ),
    ],
)
def test_broken_metadata_of_a_graph_is_named(text: str, expected: str) -> None:
    with pytest.raises(ManifestError, match=expected):
        serving_from_json(text)
