"""Runs in the other machine's Python, with the runtime alone: texts to vectors, in several companies.

``python encode.py ARTIFACT VARIANT TEXTS.json OUT.npz`` writes the vectors ``together`` (all texts in one call), ``alone``
(a call a text) and ``crowded`` (backwards, among texts one word longer, in batches of three): float32 (texts, dim), in the
order of the texts.
"""

import json
import sys
from pathlib import Path

import numpy as np

from embedrt import SentenceEncoder

_CROWD = 3


def main(artifact: str, variant: str, texts_file: str, out: str) -> None:
    """Encode, and write the file."""
    texts: list[str] = json.loads(Path(texts_file).read_text(encoding="utf-8"))
    with SentenceEncoder(artifact, variant=variant) as encoder:
        together = encoder.encode(texts)
        alone = np.stack([encoder.encode(text) for text in texts])
        longer = [f"{text} and" for text in texts]
        crowded = encoder.encode([*longer, *texts][::-1], batch_size=_CROWD)[: len(texts)][::-1]
    np.savez(out, together=together, alone=alone, crowded=crowded)


if __name__ == "__main__":
    main(*sys.argv[1:])
