"""Prints the oldest release of all that pyproject.toml asks for at serve time, as constraints of pip: make test-oldest."""

import re
import sys
import tomllib
from pathlib import Path

EXTRAS = ("cpu", "quantize", "serve", "parquet", "otel")


def main() -> None:
    """Write one ``name==version`` a line."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(one for name in EXTRAS for one in project["optional-dependencies"][name])]
    for requirement in asked:
        if found := re.match(r"([\w.-]+)>=([\w.]+)", requirement):
            sys.stdout.write(f"{found[1]}=={found[2]}\n")


if __name__ == "__main__":
    main()
