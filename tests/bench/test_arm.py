"""A Python for another processor, and what is compared there; the emulator is a script that says what it was asked for."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_bench.arm import run
from embedrt_bench.arm.emulation import ArmPython, arm_python
from embedrt_bench.arm.run import PAGE, Encoding, Processor, compared, measure, table, with_table
from embedrt_bench.results import RESULTS, read_result

from embedrt import SentenceEncoder
from embedrt.errors import EmbedrtError, InputError, UnavailableError

_TEXTS = ["how do i reset my password", "hello", "", "忘记密码怎么办", "a cat sat on the mat"]


def _emulator(folder: Path, version: str = "8.2.1") -> Path:
    path = folder / "qemu-aarch64"
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "qemu-aarch64 version {version}"; echo Copyright; exit; fi\n'
        'for word in "$@"; do echo "$word"; done; echo "$PYTHONHOME"; echo "$PYTHONPATH"\n'
    )
    path.chmod(0o755)
    return path


def _image(folder: Path, *interpreters: str) -> Path:
    for name in interpreters:
        (folder / "image" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "image" / name).touch()
    return folder / "image"


def test_the_interpreter_is_a_program_that_can_start_itself_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = _image(tmp_path, "usr/bin/python3.12-config", "usr/bin/python3.12", "usr/bin/python3")
    python = ArmPython(_emulator(tmp_path), image, image / "usr/bin/python3.12", tmp_path / "a room")
    program = python.program("max,sve=off")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    said = subprocess.run([program, "-c", "two words"], capture_output=True, text=True, check=True).stdout
    assert program == tmp_path / "a room/max/python"
    assert said.splitlines() == [
        *("-cpu", "max,sve=off", "-0", str(program), "-L", str(image)),
        *(str(image / "usr/bin/python3.12"), "-c", "two words"),
        *(str(image / "usr"), f"{tmp_path}/a room/site:/mine"),
    ]


def test_what_is_found(tmp_path: Path) -> None:
    image = _image(tmp_path, "usr/bin/python3.11", "usr/local/bin/python3.13-config", "usr/local/bin/python3.13")
    python = arm_python(str(_emulator(tmp_path)), str(image))
    assert (python.python, python.version) == (image / "usr/local/bin/python3.13", "3.13")
    assert python.emulator() == "qemu-aarch64 version 8.2.1"


@pytest.mark.parametrize(
    ("version", "interpreter", "error", "message"),
    [
        (None, "usr/bin/python3.11", UnavailableError, "nowhere was not found: install .* or type QEMU=PATH"),
        (
            "7.2.19",
            "usr/bin/python3.11",
            UnavailableError,
            r"'qemu-aarch64 version 7\.2\.19', expected version 8 or newer",
        ),
        ("10.0.3", "usr/bin/python3", InputError, r"ARM_ROOT is '.*image', expected .* usr/bin/python3\.N"),
        ("10.0.3", None, InputError, "ARM_ROOT is '', expected"),
    ],
)
def test_what_is_missing(
    tmp_path: Path, version: str | None, interpreter: str | None, error: type[Exception], message: str
) -> None:
    qemu = "nowhere" if version is None else str(_emulator(tmp_path, version))
    root = "" if interpreter is None else str(_image(tmp_path, interpreter))
    with pytest.raises(error, match=message):
        arm_python(qemu, root)


def test_texts_in_three_companies(tiny: Path, tmp_path: Path, encoder: SentenceEncoder) -> None:
    found = Encoding(tiny, tmp_path).vectors(Path(sys.executable), "fp32", _TEXTS)
    assert sorted(found) == ["alone", "crowded", "together"]
    for vectors in found.values():
        np.testing.assert_array_equal(vectors, encoder.encode(_TEXTS))


def test_what_failed_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EmbedrtError, match=r"encode\.py .* failed:\n(.|\n)*nothing-here"):
        Encoding(tmp_path / "nothing-here", tmp_path).vectors(Path(sys.executable), "fp32", _TEXTS)


def test_what_hangs_there_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_PATIENCE", 0.2)
    hanging = _script(tmp_path, "exec sleep 60")
    with pytest.raises(EmbedrtError, match=r"encode\.py .* did not end within 0\.2 s"):
        Encoding(tmp_path, tmp_path).vectors(hanging, "fp32", _TEXTS)


def test_vectors_of_the_machine_before_are_not_taken_for_its_own(tmp_path: Path) -> None:
    """An interpreter that ends well, and has written nothing; and one that is ended by a signal, in silence."""
    (tmp_path / "vectors.npz").write_bytes(b"of another processor")
    with pytest.raises(EmbedrtError, match=r"failed:\nnothing on stderr\n\(status 0\)"):
        Encoding(tmp_path, tmp_path).vectors(_script(tmp_path, "exit 0"), "fp32", _TEXTS)
    with pytest.raises(EmbedrtError, match=r"failed:\nnothing on stderr\n\(status -4\)"):
        Encoding(tmp_path, tmp_path).vectors(_script(tmp_path, "kill -ILL $$"), "fp32", _TEXTS)


def _script(folder: Path, line: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def _in_companies(change: Callable[[dict[str, npt.NDArray[np.float32]]], object]) -> dict[str, npt.NDArray[np.float32]]:
    vectors = np.array([[0.6, 0.8], [1, 0]], np.float32)
    found = {name: vectors.copy() for name in ("together", "alone", "crowded")}
    change(found)
    return found


def test_vectors_of_two_machines() -> None:
    here, there = _in_companies(lambda _: None), _in_companies(lambda found: None)
    for vectors in there.values():
        vectors[0] = 0.8, 0.6
    found = compared(there, here, np.array([[0.6, 0.8], [0.8, 0.6]], np.float32))
    assert found["mean_cosine_to_fp32"] == pytest.approx([(0.96 + 0.8) / 2, (1 + 0.8) / 2])
    assert found["smallest_cosine"] == pytest.approx(0.96)
    assert found["largest_difference"] == pytest.approx(0.2)
    assert (found["texts"], found["same_bits_in_any_company"]) == (2, True)


@pytest.mark.parametrize("company", ["alone", "crowded"])
def test_one_bit_in_one_company_counts(company: str) -> None:
    def change(found: dict[str, npt.NDArray[np.float32]]) -> None:
        found[company][1, 0] = np.nextafter(np.float32(1), np.float32(0))

    here = _in_companies(lambda _: None)
    assert compared(_in_companies(change), here, here["together"])["same_bits_in_any_company"] is False


@pytest.mark.parametrize("company", ["together", "alone", "crowded"])
@pytest.mark.parametrize("wrong", [np.full((2, 2), np.nan, np.float32), np.ones((3, 2), np.float32)])
def test_what_is_no_vector_is_told(company: str, wrong: npt.NDArray[np.float32]) -> None:
    there = _in_companies(lambda found: found.update({company: wrong}))
    here = _in_companies(lambda _: None)
    with pytest.raises(
        EmbedrtError, match=rf"^{company}: its vectors have the shape \({len(wrong)}, 2\), those of here \(2, 2\)"
    ):
        compared(there, here, here["together"])


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], tuple[dict[str, Any], list[Any]]]:
    """Three processors, one of which fails at a variant, or the user gives up there: what is found, and what was kept."""
    names = ("first", "second", "third")
    failure: BaseException = KeyboardInterrupt()
    python = ArmPython(tmp_path, tmp_path, tmp_path / "python3.11", tmp_path)

    def vectors(_encoding: Encoding, interpreter: Path, variant: str, _texts: Any) -> Any:
        if (interpreter.parent.name, variant) == ("second", "int8"):
            raise failure
        return _in_companies(lambda _: None)

    def run_with(what: str) -> tuple[dict[str, Any], list[Any]]:
        nonlocal failure
        failure = KeyboardInterrupt() if what == "interrupted" else EmbedrtError("python failed:\nIllegal instruction")
        kept: list[Any] = []
        processors = [Processor(name, "a board", "none", slow=True) for name in names]
        try:
            found = measure(python, tmp_path, processors, keep=lambda so_far: kept.append(copy.deepcopy(so_far)))
        except KeyboardInterrupt:
            found = {}
        return found, kept

    monkeypatch.setattr(run, "TokenCounter", lambda _artifact: lambda texts: [1] * len(texts))
    monkeypatch.setattr(run, "data_folder", lambda: None)
    monkeypatch.setattr(Encoding, "vectors", vectors)
    return run_with


def test_a_processor_that_fails_does_not_end_the_others(
    emulated: Callable[[str], tuple[dict[str, Any], list[Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    found, _ = emulated("failed")
    machines = found["machines"]
    assert machines["second"]["reason"] == "int8: python failed: Illegal instruction"
    assert "int8-static" not in machines["second"]
    assert all(machines[name].keys() >= {"fp32", "int8", "int8-static"} for name in ("first", "third"))
    assert "not computed: second, int8: python failed:\nIllegal instruction" in capsys.readouterr().err


def test_an_interrupted_run_keeps_what_it_found(
    emulated: Callable[[str], tuple[dict[str, Any], list[Any]]],
) -> None:
    _, kept = emulated("interrupted")
    assert [list(machine)[2:] for machine in kept[-1]["machines"].values()] == [["fp32", "int8"], ["fp32"], ["fp32"]]


def test_the_document_is_what_the_result_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    result = read_result(RESULTS / "arm.json")
    assert with_table(text, result) == text
    assert with_table(text, {**result, "date": "2020-01-01"}) != text


def test_a_program_that_does_not_say_its_version(tmp_path: Path) -> None:
    image = str(_image(tmp_path, "usr/bin/python3.11"))
    for line, told in {"exit 3": "status 3", "echo no such option >&2; exit 1": "no such option"}.items():
        with pytest.raises(UnavailableError, match=f"python is '{told}', expected version 8 or newer: type QEMU=PATH"):
            arm_python(str(_script(tmp_path, line)), image)
    (tmp_path / "python").write_bytes(b"\x7fELF\x00")
    with pytest.raises(UnavailableError, match=r"Exec format error.*, expected version 8 or newer"):
        arm_python(str(tmp_path / "python"), image)


def test_wheels_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(_script(tmp_path, "exit 1")))
    python = ArmPython(tmp_path, tmp_path, tmp_path / "python3.11", tmp_path / "room")
    with pytest.raises(
        UnavailableError, match=r"pip ended with status 1: the wheels of numpy==.* for Python 3\.11 on aarch64"
    ):
        python.install()


def test_a_row_a_processor() -> None:
    def figures(same: bool) -> dict[str, Any]:
        return {
            "texts": 4,
            "same_bits_in_any_company": same,
            "largest_difference": 0.000123,
            "smallest_cosine": 0.99987654,
            "mean_cosine_to_fp32": [0.9991, 0.9992],
        }

    good = dict.fromkeys(("fp32", "int8", "int8-static"), figures(True))
    known = {"found_in": "a board", "instructions": "dotprod"}
    result: dict[str, Any] = {
        "date": "2026-01-02",
        "machine": {"packages": {"onnxruntime": "1.2"}, "cpu": "A CPU", "cpu_family_model": "1/2"},
        "qemu": "qemu-aarch64 version 9",
        "texts": "some sentences",
        "machines": {"cortex-x": known | good, "cortex-y": known | good | {"int8": figures(False)}},
    }
    result["machines"] |= {"cortex-z": known | {"reason": "fp32: it hangs"}, "late": known | {"fp32": figures(True)}}
    lines = table(result).splitlines()
    assert lines[2].startswith("| cortex-x | a board | dotprod | 4 | 1.2e-04 | 0.99988 | 0.99910, 0.99920 | 0.99988 |")
    assert [line.split(" | ")[-1] for line in lines[2:4]] == ["yes |", "**no** |"]
    assert "qemu-aarch64 version 9" in lines[-1]
    assert "some sentences" in lines[-1]
    assert lines[-2] == "Not computed: cortex-z (fp32: it hangs); late (the run was interrupted)."
