"""Which graph of a model runs, and where, as fields of the pydantic classes that LangChain and LlamaIndex ask for."""

from pydantic import BaseModel, Field

from embedrt.integrations.sharing import ModelOptions

__all__ = ["ModelFields"]


class ModelFields(BaseModel):
    """:class:`ModelOptions` of a component."""

    variant: str | None = Field(default=None, description="fp32, int8 …; None: the manifest's default.")
    device: str = Field(default="cpu", description="cpu, cuda, cuda:N or auto.")
    threads: int | None = Field(default=None, description="None: as many as this process may use.")
    revision: str | None = Field(default=None, description="Branch, tag or commit of a Hub repository.")

    @property
    def _options(self) -> ModelOptions:
        return {"variant": self.variant, "device": self.device, "threads": self.threads, "revision": self.revision}
