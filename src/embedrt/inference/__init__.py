"""Token rows through a graph, on this machine.

``runner.py`` takes a window of inputs: equal ones once (``repeats.py``), in groups of one length (``batching.py``), over threads
(``scheduling.py``, ``workers.py``) as ``layout.py`` says. ``session.py`` is the only importer of ONNX Runtime.
"""
