"""Writes the OpenVINO files of a checkpoint, float32 and int8: ``python -P openvino_files.py CHECKPOINT OUT TEXTS``.

Run in the peer's environment. The int8 graph is made as sentence-transformers'
``export_static_quantized_openvino_model`` makes it, with NNCF at optimum-intel's default settings, but calibrated on the
lines of the file TEXTS: the function itself can only read a data set from a model hub.
"""

import json
import sys
from pathlib import Path


def main(checkpoint: str, out: str, texts: str) -> None:
    """Write the folder OUT, which sentence-transformers loads with backend="openvino"."""
    import nncf
    from optimum.intel.openvino import OVConfig, OVQuantizationConfig, OVQuantizer
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(checkpoint, device="cpu", backend="openvino", model_kwargs={"export": True})
    model.save_pretrained(out)
    lines = json.loads(Path(texts).read_text(encoding="utf-8"))
    samples = [dict(model.tokenizer(line, truncation=True, return_tensors="np")) for line in lines]
    quantizer = OVQuantizer.from_pretrained(model.transformers_model)
    config = OVConfig(quantization_config=OVQuantizationConfig())
    quantizer.quantize(nncf.Dataset(samples), save_directory=f"{out}/int8", ov_config=config)
    for path in Path(out, "int8").rglob("openvino_model.*"):
        path.replace(Path(out, "openvino", f"openvino_model_int8{path.suffix}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
