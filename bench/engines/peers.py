"""``make bench-peers``: virtual environments of the peers whose dependencies conflict with ours or with each other.

Each lies under ``.cache/peers/NAME`` and is described by ``requirements/NAME.txt``. PyTorch, where one of them needs
it, is the build that the project's own constraints name, so that no engine runs another PyTorch than its neighbor.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from embedrt_bench.models.cached import CACHE

__all__ = ["OWN", "PEERS", "build", "main", "python_of", "why_missing"]

OWN = "own"
"""The environment that the bench itself runs in."""
PEERS = ("openvino", "fastembed", "light-embed")
"""The environments that :func:`build` can make."""
_UNWANTED = {"openvino": ("torchvision",)}
"""What a requirement brings and no engine needs: torchvision's wheel is built for another PyTorch, and importing it fails."""

_ROOT = Path(__file__).resolve().parents[2]
_REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
_CONSTRAINTS = _ROOT / "constraints.txt"
_PLACE = CACHE / "peers"
_BUILT = "built.sha256"


def python_of(environment: str, *, place: Path = _PLACE) -> Path:
    """The interpreter of an environment by name; whether it exists says :func:`why_missing`."""
    return Path(sys.executable) if environment == OWN else place / environment / "bin" / "python"


def why_missing(environment: str, *, place: Path = _PLACE) -> str | None:
    """Why engines of this environment cannot run; None where they can."""
    if environment == OWN:
        return None
    stamp = place / environment / _BUILT
    if not stamp.is_file() or not python_of(environment, place=place).exists():
        return "its environment is not built: make bench-peers"
    if stamp.read_text(encoding="ascii") != _fingerprint(environment):
        return "its environment was built from other requirements: make bench-peers"
    return None


def build(environment: str, *, place: Path = _PLACE) -> None:
    """Make the environment anew; CalledProcessError where pip fails, and then no stamp says that it is there."""
    folder = place / environment
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    requirements = _REQUIREMENTS / f"{environment}.txt"
    pip = [str(python_of(environment, place=place)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(_CONSTRAINTS), "--requirement", str(requirements)], check=True, cwd=_ROOT)
    if unwanted := _UNWANTED.get(environment):
        subprocess.run([*pip[:3], "uninstall", "--quiet", "--yes", *unwanted], check=True)
    (folder / _BUILT).write_text(_fingerprint(environment), encoding="ascii")


def _fingerprint(environment: str) -> str:
    content = (_REQUIREMENTS / f"{environment}.txt").read_bytes() + _CONSTRAINTS.read_bytes()
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Build what is missing; with names, only these."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*PEERS, []], help="environments; all where none is named")
    failed = []
    for name in parser.parse_args().names or PEERS:
        if why_missing(name) is None:
            print(f"{name}: there")
            continue
        print(f"{name}: installing …", flush=True)
        try:
            build(name)
        except subprocess.CalledProcessError:
            failed.append(name)
    if failed:
        sys.exit(f"not built, the reason stands above: {', '.join(failed)}")


if __name__ == "__main__":
    main()
