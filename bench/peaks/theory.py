"""What the matrix units of a core could do at its measured clock, if every one of them were fed in every cycle.

``operations a cycle = lanes x 2 x ports``: lanes of a register (for 8 bits, products that one instruction sums), a
multiplication and an addition each, and how many such instructions a core starts in a cycle. From the instruction sets
and the vendors' optimization guides, by what decides it:

| instructions | float32 | 8-bit |
|---|---|---|
| AMX | as AVX-512 | 16 x 64 x 16 products in 16 cycles |
| AVX-512, two ports (Intel servers, AMD family 26) | 16 x 2 x 2 | VNNI: 64 x 2 x 2 |
| AVX-512, one port's worth (AMD family 25: 512 bits as 2 x 256) | 16 x 2 x 1 | VNNI: 64 x 2 x 1 |
| AVX2 with AVX-VNNI | 8 x 2 x 2 | 32 x 2 x 2 |
| AVX2 | 8 x 2 x 2 | no 8-bit product that sums exactly: 16 x 2 x 2 as 16-bit ones |
| NEON with i8mm | 4 x 2 x 2 | 32 x 2 x 2 |
| NEON with dot products | 4 x 2 x 2 | 16 x 2 x 2 |

Server Arms with four pipes (Neoverse V1, V2) can do twice that of the last two rows.
"""

from collections.abc import Mapping
from typing import Any

from embedrt_bench.peaks.clock import clock_hertz

__all__ = ["operations_a_cycle", "theoretical_peaks"]

_AMX = 2 * 16 * 64 * 16 // 16


def theoretical_peaks(machine: Mapping[str, Any], *, clock: tuple[float, str] | None = None) -> dict[str, Any]:
    """For one thread of ``machine`` (see :mod:`embedrt_bench.machine`): 10^9 operations a second, and where they come from.

    ``clock`` in hertz with its origin; None: measured now. Empty where instructions or clock are not known.
    """
    found = operations_a_cycle(machine["instructions"], family=str(machine["cpu_family_model"]).split("/")[0])
    hertz, origin = clock if clock is not None else clock_hertz()
    if found is None or not hertz:
        return {}
    single, integer, why = found
    return {
        "fp32_gflops": single * hertz / 1e9,
        "int8_gops": integer * hertz / 1e9,
        "why": f"{why}; {single} and {integer} operations a cycle at {hertz / 1e9:.2f} GHz ({origin})",
    }


def operations_a_cycle(instructions: list[str], *, family: str) -> tuple[int, int, str] | None:
    """Float32 and 8-bit operations of one core in a cycle, and why; None where the instructions say nothing.

    >>> operations_a_cycle(["avx2"], family="25")
    (32, 64, 'AVX2: 2 ports of 8 lanes, 8-bit as 16-bit products')
    """
    have = set(instructions)
    if "avx512f" in have:
        return _avx512(have, ports=1 if family == "25" else 2)
    if "avx_vnni" in have:
        return 32, 128, "AVX2 with AVX-VNNI: 2 ports of 8 lanes, 32 8-bit products each"
    if "avx2" in have:
        return 32, 64, "AVX2: 2 ports of 8 lanes, 8-bit as 16-bit products"
    if "i8mm" in have:
        return 16, 128, "NEON with i8mm: 2 pipes of 4 lanes, 32 8-bit products each"
    return (16, 64, "NEON: 2 pipes of 4 lanes, 16 8-bit products each") if "asimddp" in have else None


def _avx512(have: set[str], *, ports: int) -> tuple[int, int, str]:
    single, names = 16 * 2 * ports, f"AVX-512: {ports} port{'s' if ports > 1 else ''} of 16 lanes"
    if "amx_int8" in have:
        return single, _AMX, f"{names}, AMX for 8 bits"
    if "avx512_vnni" in have:
        return single, 64 * 2 * ports, f"{names}, VNNI with 64 8-bit products each"
    return single, 32 * 2 * ports, f"{names}, 8-bit as 16-bit products"
