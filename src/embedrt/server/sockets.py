"""The socket that a server listens on: TCP, or a Unix socket."""

import socket
import stat
from pathlib import Path

from embedrt.errors import InputError
from embedrt.server.settings import ServerSettings

__all__ = ["address_of", "listening_socket"]

_BACKLOG = 2048


def listening_socket(settings: ServerSettings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        InputError: the place is taken, or is no place.
    """
    if settings.unix_socket is not None:
        return _unix(settings.unix_socket)
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _refused(settings, error) from error
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise _refused(settings, error) from error
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening


def _refused(settings: ServerSettings, error: OSError) -> InputError:
    place = f"{settings.host} port {settings.port}"
    return InputError(f"{place} cannot be listened on: {error.strerror}. Choose another with --host and --port")


def address_of(listening: socket.socket) -> str:
    """Where clients find it."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if listening.family == socket.AF_INET6 else f"http://{host}:{port}"


def _unix(path: Path) -> socket.socket:
    """A Unix socket; what a server that was killed left there goes, a living server's stays."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
        listening.bind(str(path))
        path.chmod(0o660)
    except OSError as error:
        listening.close()
        raise InputError(f"the Unix socket {path} cannot be listened on: {error.strerror or error}") from error
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
