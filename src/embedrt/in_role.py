"""The method of an encoder that encodes texts in a role."""

from typing import Any, Protocol

from embedrt.errors import InputError

__all__ = ["Encodes", "in_role"]


class Encodes(Protocol):
    """What encodes texts in each role."""

    @property
    def encode(self) -> Any:
        """As neither."""

    @property
    def encode_query(self) -> Any:
        """As queries."""

    @property
    def encode_document(self) -> Any:
        """As documents."""


def in_role(encoder: Encodes, role: str | None) -> Any:
    """``encode_query`` or ``encode_document`` of ``encoder``; for None, texts that are neither, ``encode``.

    Raises:
        InputError: there is no such role.
    """
    encodes = {None: encoder.encode, "query": encoder.encode_query, "document": encoder.encode_document}
    if role not in encodes:
        raise InputError(f"role is {role!r}, expected 'query', 'document' or None")
    return encodes[role]
