"""What a folder of vectors is of: ``_map.jsonl``, by which the same command goes on where it was stopped.

Its first line has the settings, each later one says that a file was begun, or is finished. The name begins as it does so that
readers of .parquet folders pass it over.
"""

import json
from pathlib import Path
from typing import Any

from embedrt.corpus.parts import has_parts, is_part
from embedrt.corpus.sources import Source
from embedrt.corpus.writing import replacing
from embedrt.errors import InputError

__all__ = ["STATE_FILE", "State"]

STATE_FILE = "_map.jsonl"
_FORMAT_VERSION = 1
_ASSUMED = {"kinds": ["dense"]}
"""Of folders that earlier versions have begun."""
_ANEW = "pass a new folder, or begin anew with --overwrite"


class State:
    """The settings that vectors in a folder were made with, and how far each file of the corpus has come."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """What is known of ``folder``, where vectors are to be made with ``settings``.

        Raises:
            InputError: it was begun with other settings, or holds something else.
        """
        self._folder, self._path = folder, folder / STATE_FILE
        self._begun: dict[str, dict[str, Any]] = {}
        self._parts: dict[str, int] = {}
        if any(path.is_file() and path != self._path and _counts(path.name) for path in folder.rglob("*")):
            if not self._path.is_file():
                raise InputError(f"{folder} is not empty and has no {STATE_FILE}: pass a new folder")
            self._read(folder, settings)
            return
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as file:
            file.write(_line({"format_version": _FORMAT_VERSION, "settings": settings}))

    def begin(self, source: Source) -> None:
        """Note that vectors of ``source``, as it is now, are being made.

        Raises:
            InputError: some are there from when it was another file.
        """
        now, before = source.state, self._begun.get(source.name)
        if before == now:
            return
        if before is not None and has_parts(self._folder, source):
            raise InputError(f"{source.path} has changed since vectors of it were made: {_ANEW}")
        event = {"begun": source.name, **now}
        self._note([event])
        self._append(event)

    def finish(self, source: Source, parts: int) -> None:
        """Note that it has ``parts`` parts, and all of them are there."""
        if source.name not in self._parts:
            self._parts[source.name] = parts
            self._append({"finished": source.name, "parts": parts})

    def parts(self, source: Source) -> int | None:
        """How many parts it has; None: they are not all there."""
        return self._parts.get(source.name)

    def _read(self, folder: Path, settings: dict[str, Any]) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]  # a line that was cut short has no end
        try:
            head, *events = [json.loads(line) for line in whole.split(b"\n")[:-1]]
            version, before = head["format_version"], {**_ASSUMED, **head["settings"]}
            self._note(events)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._path} cannot be read: {_ANEW}") from error
        if version != _FORMAT_VERSION:
            raise InputError(f"{self._path} is of format {version}, expected {_FORMAT_VERSION}: {_ANEW}")
        _require_same(folder, before, settings)
        if whole != content:
            with replacing(self._path) as file:
                file.write(whole)

    def _note(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            if "finished" in event:
                self._parts[event["finished"]] = int(event["parts"])
            else:
                self._begun[event["begun"]] = {name: int(event[name]) for name in ("bytes", "modified")}
                self._parts.pop(event["begun"], None)

    def _append(self, event: dict[str, Any]) -> None:
        with self._path.open("ab") as file:
            file.write(_line(event))


def _require_same(folder: Path, before: dict[str, Any], settings: dict[str, Any]) -> None:
    # what earlier versions did not note cannot be compared
    for name in [name for name, value in settings.items() if before.get(name, value) != value]:
        was, now = before[name], settings[name]
        if name == "graph":
            raise InputError(f"{folder} was begun with another graph than that of this model: {_ANEW}")
        if name == "files":
            others = ", ".join(sorted(file for file in {**was, **now} if was.get(file) != now.get(file)))
            raise InputError(f"{folder} was begun with another {others} than that of this model: {_ANEW}")
        was, now = json.dumps(was), json.dumps(now)
        raise InputError(f"{folder} was begun with {name} {was}, now it is {now}: {_ANEW}")


def _counts(name: str) -> bool:
    """Whether a file of this name makes a folder one that is not empty: what systems hide in it, and halves of files, do not."""
    return not name.startswith(".") or is_part(name)


def _line(content: dict[str, Any]) -> bytes:
    # names of files that are not UTF-8 are halves of surrogate pairs in Python, and json.loads takes such bytes
    return json.dumps(content, ensure_ascii=False).encode(errors="surrogatepass") + b"\n"
