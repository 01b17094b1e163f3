"""The artifact, the only contract between exporter and runtime.

``folder.py`` finds and checks it, here or on the Hub (``hub.py``); ``manifest.py`` says what it is (``kinds.py``: of which kind;
``derivation.py``: what an export changed on purpose). ``graphfile.py`` and ``graph_outputs.py`` see an .onnx file as bytes
(``protobuf.py``).
"""
