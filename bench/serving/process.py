"""A server as a process of its own, and what the kernel says of it: processor time, memory."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Running", "started"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_WAIT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    pid: int
    address: str

    def cpu_seconds(self) -> float:
        """Processor time of the process and of its children that live."""
        return sum(map(_cpu_seconds, _family(self.pid)))

    def resident_bytes(self) -> int:
        """Memory that it holds now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE


@contextmanager
def started(command: Sequence[str], *, port: int, health: str = "/health") -> Iterator[Running]:
    """The server that ``command`` starts on ``port``, once it answers at ``health``; it ends with the block."""
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await(address + health, process)
            yield Running(process.pid, address)
        finally:
            process.terminate()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode} before it answered at {url}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return  # an answer, if not the one for this path
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nothing answered at {url} within {_WAIT_SECONDS} s")


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    own = [int(child) for child in children.read_text(encoding="ascii").split()] if children.exists() else []
    return [pid, *(member for child in own for member in _family(child))]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
