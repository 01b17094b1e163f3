"""On what a result was measured: processor, threads, versions."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from embedrt.machine.processor import instruction_names, processor_fields
from embedrt.machine.threads import available_threads

__all__ = ["describe_machine", "instructions"]

_PACKAGES = (
    "embedrt",
    "onnxruntime",
    "onnxruntime-gpu",
    "tokenizers",
    "numpy",
    "torch",
    "transformers",
    "sentence-transformers",
)
_INSTRUCTIONS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimddp", "i8mm", "bf16"),
)


def describe_machine() -> dict[str, object]:
    """Facts for a result file; nothing in it names the machine."""
    fields = processor_fields()
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "cpu": fields.get("model name", platform.processor() or platform.machine()),
        "cpu_family_model": f"{fields.get('cpu family', '?')}/{fields.get('model', '?')}",
        "instructions": instructions(),
        "processors": os.cpu_count(),
        "threads": available_threads(),
        "governor": governor.read_text(encoding="ascii").strip() if governor.exists() else "not visible",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": dict(_versions()),
    }


def instructions() -> list[str]:
    """Those of the processor's instruction sets that decide how fast matrices are multiplied."""
    present = instruction_names()
    return [name for name in _INSTRUCTIONS if name in present]


def _versions() -> Iterator[tuple[str, str]]:
    """Of what is installed: a bench without the exporter has no torch."""
    for name in _PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
