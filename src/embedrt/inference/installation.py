"""Which packages of ONNX Runtime are installed: they share one folder, and the one that came last has overwritten the others."""

__all__ = ["conflict", "onnxruntime_packages"]

_PACKAGES = (
    *("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"),
    *("onnxruntime-training", "onnxruntime-rocm", "onnxruntime-migraphx"),
)
"""Distributions that install into the folder ``onnxruntime``."""


def onnxruntime_packages() -> dict[str, str]:
    """Versions of those that are installed, by name."""
    import importlib.metadata  # 13 ms, and only doctor and errors ask

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def conflict(packages: dict[str, str]) -> str | None:
    """What is wrong with this choice of packages, as a sentence; None: nothing.

    >>> conflict({"onnxruntime": "1.32.0"})
    """
    if len(packages) < 2:
        return None
    both = " and ".join(f"{name} {version}" for name, version in packages.items())
    kept = next(name for name in packages if name != "onnxruntime")
    return (
        f"{both} are installed together and have overwritten each other's files. "
        f"Type: pip uninstall -y {' '.join(packages)} && pip install {kept}"
    )
