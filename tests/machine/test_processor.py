from pathlib import Path

import pytest

from embedrt.machine.processor import instruction_names, processor_fields, saturates_byte_sums

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
flags\t\t: fpu avx2 {}

processor\t: 1
flags\t\t: fpu other
"""


def cpuinfo(folder: Path, *flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(CPUINFO.format(" ".join(flags)), encoding="utf-8")
    return path


def test_the_first_processor_is_read(tmp_path: Path) -> None:
    path = cpuinfo(tmp_path, "avx512_vnni")
    assert processor_fields(path)["vendor_id"] == "AuthenticAMD"
    assert instruction_names(path) == {"fpu", "avx2", "avx512_vnni"}


def test_features_of_arm(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nFeatures\t: fp asimddp i8mm\n", encoding="utf-8")
    assert instruction_names(path) == {"fp", "asimddp", "i8mm"}


@pytest.mark.parametrize("flag", ["avx512_vnni", "avx_vnni", "amx_int8"])
def test_x86_with_vnni_sums_exactly(tmp_path: Path, flag: str) -> None:
    assert not saturates_byte_sums("x86_64", cpuinfo(tmp_path, flag))


def test_x86_without_vnni_saturates(tmp_path: Path) -> None:
    assert saturates_byte_sums("x86_64", cpuinfo(tmp_path))
    assert not saturates_byte_sums("aarch64", cpuinfo(tmp_path))


def test_an_unknown_x86_is_not_trusted(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert processor_fields(missing) == {}
    assert saturates_byte_sums("AMD64", missing)
    assert not saturates_byte_sums("arm64", missing)
