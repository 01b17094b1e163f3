"""The smallest graph that an encoder could be: whether a device runs anything is seen by running it there."""

import base64
import tempfile
from pathlib import Path

import numpy as np

from embedrt.inference.devices import Device
from embedrt.inference.session import GraphSession

__all__ = ["GRAPH", "require_running"]

GRAPH = base64.b64decode(
    "CAo68AEKKgoJaW5wdXRfaWRzCg5hdHRlbnRpb25fbWFzaxIGdG9rZW5zIgNNdWw6AAovCgZ0b2tlbnMSEnNlbnRlbmNlX2VtYmVk"
    "ZGluZyIEQ2FzdCoJCgJ0bxgBoAECOgASBXByb2JlWigKCWlucHV0X2lkcxIbChkIBxIVCgcSBWJhdGNoCgoSCHNlcXVlbmNlWi0K"
    "DmF0dGVudGlvbl9tYXNrEhsKGQgHEhUKBxIFYmF0Y2gKChIIc2VxdWVuY2ViMQoSc2VudGVuY2VfZW1iZWRkaW5nEhsKGQgBEhUK"
    "BxIFYmF0Y2gKChIIc2VxdWVuY2VCBAoAEBE="
)
"""An ONNX model of opset 17: ``sentence_embedding`` is ``input_ids`` times ``attention_mask``, cast to float32."""


def require_running(device: Device) -> None:
    """Run it once on ``device``.

    Raises:
        ProviderError: this ONNX Runtime has no provider for it, or the provider's libraries do not load.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.onnx"
        path.write_bytes(GRAPH)
        ids = np.ones((1, 1), dtype=np.int64)
        GraphSession(path, device=device).run(ids, ids)
