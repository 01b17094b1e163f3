"""Stage 3: the torch module to an ONNX graph (``trace.py``), with attention as one operator."""
