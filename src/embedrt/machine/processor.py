"""What this machine's processor is, in the kernel's words, and what that means for products of bytes."""

import platform
from pathlib import Path

__all__ = ["instruction_names", "processor_fields", "saturates_byte_sums"]

_CPUINFO = Path("/proc/cpuinfo")
_X86 = ("x86_64", "AMD64", "i386", "i686")
_EXACT_SUMS = frozenset(["avx512_vnni", "avx_vnni", "amx_int8"])


def processor_fields(cpuinfo: Path = _CPUINFO) -> dict[str, str]:
    """What the kernel says of the first processor; empty where it says nothing."""
    fields: dict[str, str] = {}
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as file:
            for line in file:  # the kernel writes it as it is read: one block is quick on a hundred processors too
                if not line.strip():
                    break
                key, _, value = line.partition(":")
                fields[key.strip()] = value.strip()
    except OSError:
        return {}
    return fields


def instruction_names(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """The instruction sets of the first processor."""
    fields = processor_fields(cpuinfo)
    return frozenset(fields.get("flags", fields.get("Features", "")).split())


def saturates_byte_sums(machine: str | None = None, cpuinfo: Path = _CPUINFO) -> bool:
    """Whether u8 × s8 products are summed in 16 bits, which overflow: x86 without VNNI, and x86 that does not tell.

    ``machine`` is the architecture's name, by default this machine's.
    """
    return (machine or platform.machine()) in _X86 and not instruction_names(cpuinfo) & _EXACT_SUMS
