"""Bytes of an installed package with all that it requires: ``python -P install_size.py NAME[EXTRA] …`` in any environment.

Counted from each distribution's own list of files, markers and extras followed as pip follows them, so that engines that
share an environment do not count for each other. Self-contained: it also runs in the environments of peers.
"""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name


def required(names: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """Every distribution that ``names`` ask for, directly or not, by its canonical name.

    PackageNotFoundError for one of ``names``; what else is not installed takes no room.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    asked = [Requirement(name) for name in names]
    waiting = [*asked]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                found |= _installed(name, optional=wanted not in asked)
                waiting += _next(found[name], extra) if name in found else ()
    return found


def size(distribution: importlib.metadata.Distribution) -> int:
    """Bytes of the files that the distribution lists, as far as they are there."""
    paths = [Path(str(file.locate())) for file in distribution.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _installed(name: str, *, optional: bool) -> dict[str, importlib.metadata.Distribution]:
    try:
        return {name: importlib.metadata.distribution(name)}
    except importlib.metadata.PackageNotFoundError:
        if optional:
            return {}
        raise


def _next(distribution: importlib.metadata.Distribution, extra: str) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


if __name__ == "__main__":
    print(sum(map(size, required(sys.argv[1:]).values())))
