"""A Python for Linux on aarch64 that this machine can start: QEMU's user-mode emulation, an unpacked system image, wheels.

QEMU 7.2 crashes in ONNX Runtime 1.32 while it is imported; 10.0 does not.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from embedrt_bench.models.cached import CACHE

from embedrt.errors import InputError, UnavailableError

__all__ = ["ArmPython", "arm_python"]

_OLDEST = 8
_PATIENCE = 60.0  # seconds until a program has said its version
_ROOM = CACHE / "arm"
_REPOSITORY = Path(__file__).resolve().parents[2]
_PACKAGES = {"embedrt": "src/embedrt", "embedrt_export": "export", "embedrt_bench": "bench"}
_SAME_VERSION = (
    "numpy",
    "onnxruntime",
    "tokenizers",
    "onnx",
    "onnx-ir",
    "pytest",
    "hypothesis",
    "pyarrow",
    "safetensors",
)
_WHEELS = (
    *("tqdm", "huggingface-hub", "typer", "rich"),
    *(f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (28, 27, 26, 17)),
    "--platform=manylinux2014_aarch64",
)


@dataclass(frozen=True, slots=True)
class ArmPython:
    """An interpreter by processor: a small program a processor, which tests may start again as ``sys.executable``."""

    qemu: Path
    root: Path
    """Of the unpacked image."""
    python: Path
    """In it."""
    room: Path = _ROOM

    @property
    def version(self) -> str:
        """``3.11``, say."""
        return self.python.name.removeprefix("python")

    def emulator(self) -> str:
        """What QEMU calls itself, with its version."""
        return _first_line(self.qemu)

    def program(self, processor: str) -> Path:
        """The interpreter on ``processor``, as ``qemu-aarch64 -cpu help`` names them."""
        path = self.room / processor.partition(",")[0] / "python"
        path.parent.mkdir(parents=True, exist_ok=True)
        # -0: the interpreter takes its own name for sys.executable
        words = (str(self.qemu), "-cpu", processor, "-0", str(path), "-L", str(self.root), str(self.python))
        home, site = shlex.quote(str(self.python.parents[1])), shlex.quote(str(self.room / "site"))
        path.write_text(
            "#!/bin/sh\n"
            f'export PYTHONHOME={home} PYTHONPATH={site}"${{PYTHONPATH:+:$PYTHONPATH}}" PYTHONDONTWRITEBYTECODE=1\n'
            f'exec {shlex.join(words)} "$@"\n',
            encoding="utf-8",
        )
        path.chmod(0o755)
        return path

    def install(self) -> None:
        """The wheels for aarch64, in the versions that are installed here, and this repository's packages beside them.

        Raises:
            UnavailableError: pip does not get them; it has said why.
        """
        site = self.room / "site"
        wanted = [f"{name}=={version(name)}" for name in _SAME_VERSION]
        done, note = site / "installed", "\n".join([self.version, *wanted])
        if done.is_file() and done.read_text(encoding="utf-8") == note:
            return
        shutil.rmtree(site, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(site)]
        command = [*pip, "--only-binary=:all:", f"--python-version={self.version}", *_WHEELS, *wanted]
        if status := subprocess.run(command, check=False, stdout=sys.stderr).returncode:
            raise UnavailableError(
                f"pip ended with status {status}: the wheels of {', '.join(wanted)} for Python {self.version} on aarch64 "
                "are needed, from the index that pip is set to"
            )
        for name, place in _PACKAGES.items():
            (site / name).symlink_to(_REPOSITORY / place)
        done.write_text(note, encoding="utf-8")


def arm_python(qemu: str, root: str) -> ArmPython:
    """The one of the program ``qemu`` and the image unpacked at ``root``.

    Raises:
        UnavailableError: there is no such program, or it is too old.
        InputError: there is no Python in ``root``.
    """
    found = shutil.which(qemu)
    if found is None:
        raise UnavailableError(
            f"{qemu} was not found: install QEMU's user-mode emulation, {_OLDEST} or newer, or type QEMU=PATH"
        )
    number = re.search(r"version (\d+)", said := _first_line(found))
    if number is None or int(number[1]) < _OLDEST:
        raise UnavailableError(f"{qemu} is {said!r}, expected version {_OLDEST} or newer: type QEMU=PATH")
    interpreter = next(_interpreters(Path(root)), None) if root else None
    if interpreter is None:
        raise InputError(
            f"ARM_ROOT is {root!r}, expected an unpacked aarch64 image with usr/bin/python3.N in it: see docs/arm.md"
        )
    return ArmPython(Path(found), Path(root).resolve(), interpreter.absolute())


def _interpreters(root: Path) -> Iterator[Path]:
    for place in ("usr/local/bin", "usr/bin"):
        yield from (
            path for path in sorted((root / place).glob("python3.*")) if re.fullmatch(r"python3\.\d+", path.name)
        )


def _first_line(program: str | Path) -> str:
    """What it calls itself; of a program that fails at that, what it failed with."""
    try:
        done = subprocess.run(
            [str(program), "--version"],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        return str(failed)
    return (done.stdout or done.stderr or f"status {done.returncode}").partition("\n")[0]
