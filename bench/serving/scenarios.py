"""What is measured of a server: throughput beside offline encoding, latency, idling, endurance, overload."""

import http.client
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from embedrt_bench.serving.load import load
from embedrt_bench.serving.process import Running

from embedrt import SentenceEncoder

__all__ = ["idle", "latency", "offline", "overload", "soak", "throughput"]


def offline(encoder: SentenceEncoder, texts: list[str], *, seconds: float = 5.0) -> dict[str, float]:
    """Sentences a second of ``encode`` on all of ``texts`` at once, and processor milliseconds a sentence."""
    encoder.encode(texts[:256])
    started, spent, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        encoder.encode(texts)
        done += len(texts)
    elapsed = time.perf_counter() - started
    return {"per_second": done / elapsed, "cpu_milliseconds": 1e3 * (time.process_time() - spent) / done}


def throughput(server: Running, bodies: Path, *, clients: int, texts: int, seconds: float) -> dict[str, Any]:
    """``texts`` a request from so many clients at a time; what is refused counts for no text.

    Raises:
        RuntimeError: nothing was answered.
    """
    load(server.address, bodies, clients=clients, seconds=2)
    before = server.cpu_seconds()
    seen = load(server.address, bodies, clients=clients, seconds=seconds)
    spent = server.cpu_seconds() - before
    encoded = texts * (seen["requests"] - seen["refused"])
    if not encoded:
        raise RuntimeError(f"no request was answered: {seen}")
    return seen | {
        "clients": clients,
        "texts_per_request": texts,
        "texts_per_second": encoded / seen["seconds"],
        "cpu_milliseconds_per_text": 1e3 * spent / encoded,
    }


def latency(server: Running, encoder: SentenceEncoder, texts: list[str], *, model: str) -> dict[str, float]:
    """One client with one text at a time, beside ``encode``: medians in milliseconds, the two in turns."""
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=30)
    bodies = [json.dumps({"model": model, "input": text, "encoding_format": "base64"}).encode() for text in texts]

    def ask(index: int) -> None:
        connection.request("POST", "/v1/embeddings", bodies[index], {"Content-Type": "application/json"})
        connection.getresponse().read()

    served, encoded = [], []
    for start in range(
        0, len(texts), 25
    ):  # turns of 25: threads that spin or sleep are those of the one that is measured
        block = range(start, min(start + 25, len(texts)))
        served += [_milliseconds(ask, index) for index in block]
        encoded += [_milliseconds(lambda index: encoder.encode(texts[index]), index) for index in block]
    connection.close()
    return {
        "served": statistics.median(served),
        "encoded": statistics.median(encoded),
        "above": statistics.median(served) - statistics.median(encoded),
    }


def idle(server: Running, *, seconds: float = 20.0) -> float:
    """Percent of one processor that a server takes that nobody asks anything."""
    time.sleep(2)
    before = server.cpu_seconds()
    time.sleep(seconds)
    return 100 * (server.cpu_seconds() - before) / seconds


def soak(server: Running, bodies: Path, *, requests: int, clients: int = 16) -> dict[str, Any]:
    """Memory after a tenth of the requests and after all of them."""
    done, sizes = 0, [server.resident_bytes()]
    while done < requests:
        seen = load(server.address, bodies, clients=clients, seconds=5, seed=done)
        if seen["refused"] or seen["broken"]:
            raise RuntimeError(f"requests failed: {seen}")
        done += seen["requests"]
        sizes.append(server.resident_bytes())
    settled = sizes[max(1, len(sizes) // 10)]
    return {"requests": done, "first_bytes": settled, "last_bytes": sizes[-1], "growth": sizes[-1] / settled - 1}


def overload(server: Running, bodies: Path, *, clients: int, seconds: float, model: str) -> dict[str, Any]:
    """Many more clients than the server takes requests; and how soon after their end one is served as ever."""
    with ThreadPoolExecutor(1) as beside:
        flood = beside.submit(load, server.address, bodies, clients=clients, seconds=seconds)
        seen = flood.result()
    started = time.perf_counter()
    body = json.dumps({"model": model, "input": "a text"}).encode()
    while _status(server, body) != 200:
        time.sleep(0.005)
    return seen | {"clients": clients, "recovery_seconds": time.perf_counter() - started}


def _status(server: Running, body: bytes) -> int:
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/v1/embeddings", body)
        return connection.getresponse().status
    finally:
        connection.close()


def _milliseconds(function: Callable[[int], Any], index: int) -> float:
    started = time.perf_counter()
    function(index)
    return 1e3 * (time.perf_counter() - started)
