"""What the processor can do in int8.

Without VNNI, x86 multiplies u8 × s8 by ``vpmaddubsw``, which adds two neighbouring products in 16 bits and saturates:
255 * 127 * 2 is 64770, and 32767 is the most that fits. Weights of 7 bits (at most 63) cannot reach it. Processors with
VNNI (AVX512-VNNI, AVX-VNNI, AMX) and Arm sum in 32 bits.
"""

import platform
from pathlib import Path

__all__ = ["saturates_int8"]

_SAFE = {"avx512_vnni", "avx_vnni", "amx_int8"}
_X86 = ("x86_64", "amd64", "i686")


def saturates_int8(*, cpuinfo: Path = Path("/proc/cpuinfo"), machine: str | None = None) -> bool:
    """Whether products of 8-bit weights can saturate here; False where the processor does not tell."""
    if (machine or platform.machine()).lower() not in _X86 or not cpuinfo.exists():
        return False
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return not _SAFE & set(value.split())
    return False
