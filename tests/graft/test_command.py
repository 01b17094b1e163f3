"""``embedrt graft`` as a person types it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Folder = Callable[..., Path]


def test_answer_and_progress(folder: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("graft", folder, tmp_path / "out")
    assert code == 0
    assert out.startswith(f"{tmp_path / 'out/onnx/model.onnx'}: fp32, 0.")
    assert "against its modules in numpy" in out
    stages = [line.split("…")[0].strip() for line in err.splitlines()]
    assert stages == ["read", "reference", "finish", "verify", "pack"]
    code, out, err = run("graft", folder, tmp_path / "out", "--overwrite", "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["serving"]["pooling"] == ["mean"]
    assert json.loads(out)["source"]["derivation"] is None


def test_options(folder: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    (folder / "modules.json").unlink()
    options = ("--graph", "onnx/model.onnx", "--pooling", "cls", "--pooling", "max", "--normalize", "--json", "--quiet")
    code, out, _ = run("graft", folder, tmp_path / "out", *options)
    assert code == 0
    serving = json.loads(out)["serving"]
    assert (serving["pooling"], serving["normalize"], serving["dimension"]) == (["cls", "max"], True, 64)


def test_prompts_that_the_folder_does_not_carry(
    folder: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    options = ("--prompt", "query=query: ", "--prompt", "passage=passage: ", "--default-prompt", "passage")
    code, out, _ = run("graft", folder, tmp_path / "out", *options, "--json", "--quiet")
    serving, source = json.loads(out)["serving"], json.loads(out)["source"]
    assert (code, serving["default_prompt_name"]) == (0, "passage")
    assert serving["prompts"] == source["derivation"]["prompts"] == {"query": "query: ", "passage": "passage: "}
    assert source["derivation"]["default_prompt"] == "passage"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--pooling", "mean"], 2, "leave out --pooling and --normalize"),
        (["--graph", "none.onnx"], 2, "there is no graph none.onnx in"),
        (
            ["--default-prompt", "s2p"],
            2,
            "the default prompt is to be 's2p', expected one of the prompts: document, query",
        ),
    ],
)
def test_wrong_usage(
    folder: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]], options: list[str], code: int, message: str
) -> None:
    found, out, err = run("graft", folder, tmp_path / "out", "--quiet", *options)
    assert (found, out) == (code, "")
    assert err.startswith("embedrt: ")
    assert message in err
    assert err.count("\n") == 1
