"""HTTP over encoders: one queue of texts for all clients and models, behind the APIs that clients speak already.

The story of a request: :mod:`protocol` reads it, :mod:`app` finds its route, a route (:mod:`openai`, :mod:`tei`, :mod:`cohere`)
reads its body and asks a model (:mod:`models`), whose texts become a job (:mod:`jobs`) in the queue (:mod:`fair_queue`);
workers (:mod:`crew`) run what is of one length together, and the vectors come back as bytes.
"""

from embedrt.server.running import Server, serve
from embedrt.server.settings import Limits, ModelSource, ServerSettings

__all__ = ["Limits", "ModelSource", "Server", "ServerSettings", "serve"]
