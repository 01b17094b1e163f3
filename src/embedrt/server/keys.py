"""API keys: who may ask."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from embedrt.errors import InputError

__all__ = ["ApiKeys", "keys_in"]

_SCHEME = b"bearer "


class ApiKeys:
    """The keys that are accepted, without spaces around them, as they are read of a request; with none everybody may ask."""

    def __init__(self, keys: Iterable[str]) -> None:
        # digests are of one length: comparing them tells nothing of a key's length either
        self._digests = tuple(_digest(key.strip().encode()) for key in keys)

    def accepts(self, authorization: bytes | None) -> bool:
        """Whether the header ``Authorization: Bearer KEY`` holds one of the keys; every key is compared, whole."""
        if not self._digests:
            return True
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            return False
        found = _digest(authorization[len(_SCHEME) :].strip())
        matches = [hmac.compare_digest(found, digest) for digest in self._digests]
        return any(matches)


def keys_in(path: Path) -> list[str]:
    """The keys of a file, one a line; empty lines and lines that begin with # are skipped.

    Raises:
        InputError: the file cannot be read, or holds no key.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the API keys in {path} cannot be read: {error}") from error
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise InputError(f"{path} holds no API key: write one a line, or leave the option away to let everybody ask")
    return keys


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
