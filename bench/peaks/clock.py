"""The clock that a core really runs at, measured: what the system reports is often the nominal one, in guests always.

A chain of 64-bit multiplications, each of which needs the one before, takes 3 cycles a link on every x86-64 core since
2008 (Intel from Nehalem on, AMD from Zen on; Agner Fog's instruction tables). 90 bytes of machine code time it.
"""

import ctypes
import mmap
import platform
import time
from pathlib import Path

__all__ = ["clock_hertz"]

_LINKS, _CYCLES_A_LINK = 20, 3
_MULTIPLY = bytes.fromhex("480fafc0")  # imul rax, rax
_LOOPS = 200_000  # 6 ms: short enough to run undisturbed once in a while


def clock_hertz(*, repeats: int = 20) -> tuple[float, str]:
    """Cycles a second of one busy core, the best of ``repeats``, and how that was found: measured, or as the system says.

    0.0 where neither is possible.
    """
    if platform.machine() not in ("x86_64", "AMD64") or platform.system() == "Windows":
        return _reported(), "as the system reports it"
    try:
        return _measured(repeats), "measured"
    except (OSError, ValueError):  # a hardened kernel: no page may be writable and executable
        return _reported(), "as the system reports it"


def _measured(repeats: int) -> float:
    chain = _MULTIPLY * _LINKS
    back = -(len(chain) + 3 + 6)  # over the chain, "dec rdi" and this jump
    code = chain + bytes.fromhex("48ffcf") + bytes.fromhex("0f85") + back.to_bytes(4, "little", signed=True) + b"\xc3"
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    held = ctypes.c_char.from_buffer(page)
    run = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(ctypes.addressof(held))
    best = min(_seconds(run) for _ in range(repeats))
    del held, run
    return _LOOPS * _LINKS * _CYCLES_A_LINK / best


def _seconds(run: "ctypes._CFunctionType") -> float:
    began = time.perf_counter()
    run(_LOOPS)
    return time.perf_counter() - began


def _reported() -> float:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
    return float(path.read_text(encoding="ascii")) * 1e3 if path.exists() else 0.0
