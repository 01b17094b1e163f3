"""Whether the server can serve: every worker is alive, none hangs, and an inference really ended well a moment ago."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from embedrt.server.engine import Engine
from embedrt.server.refusals import Refusal
from embedrt.server.registry import Runnable

__all__ = ["Health"]

_PROBE_SECONDS = 5.0
_WATCH_SECONDS = 0.5
"""How often workers are looked at."""


@dataclass(slots=True)
class Health:
    """The watch over a server's workers."""

    engine: Engine
    model: Runnable
    """What is run where nobody has asked for anything lately."""
    age: float
    """Seconds for which an inference proves something."""
    draining: bool = False

    async def require(self) -> None:
        """Do nothing where the server can serve.

        Raises:
            Refusal: it cannot.
        """
        if self.draining:
            raise Refusal("unhealthy", "the server is shutting down")
        crew = self.engine.crew
        if crew.broken():
            raise Refusal("unhealthy", "a worker died or hangs, and is being replaced")
        if crew.last_success > max(time.monotonic() - self.age, crew.last_loss):
            return
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self.engine.run(self.model.probe())
        except (TimeoutError, Refusal) as error:
            raise Refusal(
                "unhealthy", "no inference ended well lately, and one that was tried did not either"
            ) from error

    async def watch(self, lost: Callable[[str], None]) -> None:
        """Replace workers that die or hang, for as long as the server runs; ``lost`` is told why each was."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self.engine.crew.broken():
                # sessions are opened anew, which takes a moment that others need not wait for
                for reason in await asyncio.to_thread(self.engine.crew.check):
                    lost(reason)
