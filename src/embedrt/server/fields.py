"""The fields of a JSON body, each checked when it is read; what a message says of them names no content."""

from collections.abc import Sequence
from typing import Any, Literal

import orjson

from embedrt.server.inputs import Item
from embedrt.server.refusals import Refusal
from embedrt.server.settings import Limits

__all__ = ["Fields", "Side", "require_count", "require_length", "within"]

Side = Literal["left", "right"]
_SIDES: dict[str, Side] = {"left": "left", "Left": "left", "right": "right", "Right": "right"}
_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
}


class Fields:
    """A body, as an object whose fields are asked for by name; fields that nobody asks for are ignored."""

    __slots__ = ("_content",)

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    @classmethod
    def parsed(cls, body: bytes) -> "Fields":
        """From JSON.

        Raises:
            Refusal: it is not JSON, or no object.
        """
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:  # its words name places, not contents
            raise Refusal("malformed", f"We could not parse the JSON body of your request: {error}") from error
        if not isinstance(content, dict):
            raise Refusal("malformed", f"The JSON body is {_named(content)}, expected an object")
        return cls(content)

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self._required(name)
        if not isinstance(value, str):
            raise _mistyped(name, value, "a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, or nothing."""
        value = self._content.get(name)
        if value is not None and not isinstance(value, str):
            raise _mistyped(name, value, "a string")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._content.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise _mistyped(name, value, "true or false")
        return value

    def count(self, name: str, *, most: int | None = None) -> int | None:
        """A whole number from 1 to ``most``, or nothing."""
        value = self._content.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise _mistyped(name, value, "a whole number")
        if value < 1 or (most is not None and value > most):
            expected = "at least 1" if most is None else f"1 to {most}"
            raise Refusal("validation", f"`{name}` is {value}, expected {expected}", param=name)
        return value

    def side(self, name: str) -> Side:
        """Left or right; right where nothing is said."""
        value = self._content.get(name)
        if value is None:
            return "right"
        if not isinstance(value, str) or value not in _SIDES:
            raise Refusal("validation", f"`{name}` must be left or right", param=name)
        return _SIDES[value]

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of ``choices``; the first where nothing is said."""
        value = self._content.get(name)
        if value is None:
            return choices[0]
        if value not in choices:
            raise Refusal("validation", f"`{name}` must be one of {', '.join(choices)}", param=name)
        return str(value)

    def object(self, name: str, *, required: bool = True) -> "Fields":
        """An object within."""
        value = self._required(name) if required else self._content.get(name)
        if value is None:
            return Fields({})
        if not isinstance(value, dict):
            raise _mistyped(name, value, "an object")
        return Fields(value)

    def array(self, name: str) -> list[Any]:
        """An array of anything."""
        value = self._required(name)
        if not isinstance(value, list):
            raise _mistyped(name, value, "an array")
        return value

    def texts(self, name: str) -> list[str]:
        """An array of strings."""
        value = self.array(name)
        if not all(isinstance(item, str) for item in value):
            raise Refusal("validation", f"`{name}` must be an array of strings", param=name)
        return value

    def text_or_texts(self, name: str) -> list[str]:
        """A string, or an array of strings."""
        value = self._required(name)
        return [value] if isinstance(value, str) else self.texts(name)

    def items(self, name: str, vocabulary: int) -> list[Item]:
        """A string, token ids, or an array of either; ids are below ``vocabulary``."""
        value = self._required(name)
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise _mistyped(name, value, "a string, an array of strings, or token ids")
        if value and all(isinstance(item, int) for item in value):
            return [_ids(value, name, vocabulary)]
        return [item if isinstance(item, str) else _ids(item, name, vocabulary) for item in value]

    def sequences(self, name: str) -> tuple[list[list[str]], bool]:
        """A string, a pair of strings, or an array of arrays of strings; and whether it was one of the first two."""
        value = self._required(name)
        if isinstance(value, str):
            return [[value]], True
        if not isinstance(value, list):
            raise _mistyped(name, value, "a string, a pair of strings, or an array of them")
        if value and all(isinstance(item, str) for item in value):
            return [value], True
        if any(not isinstance(item, list) or any(not isinstance(text, str) for text in item) for item in value):
            raise Refusal(
                "validation", f"`{name}` must be a string, a pair of strings, or an array of them", param=name
            )
        return value, False

    def rows_of_ids(self, name: str, vocabulary: int) -> list[list[int]]:
        """An array of token ids, or an array of such arrays."""
        value = self.array(name)
        if value and all(isinstance(item, int) for item in value):
            return [_ids(value, name, vocabulary)]
        return [_ids(item, name, vocabulary, "a token id, or an array of them,") for item in value]

    def _required(self, name: str) -> Any:
        value = self._content.get(name)
        if value is None:
            raise Refusal("validation", f"`{name}` is missing", param=name)
        return value


def require_count(limits: Limits, count: int, name: str) -> None:
    """Refuse a request of no texts, and one of too many.

    Raises:
        Refusal: it is.
    """
    if not count:
        raise Refusal("empty", f"`{name}` cannot be empty", param=name)
    if count > limits.texts:
        raise Refusal("validation", f"batch size {count} > maximum allowed batch size {limits.texts}", param=name)


def require_length(limits: Limits, item: Item, name: str) -> None:
    """Refuse a text that is too long.

    Raises:
        Refusal: it is.
    """
    if len(item) > limits.characters:
        message = f"a text has {len(item)} characters, at most {limits.characters} are allowed"
        raise Refusal("validation", message, param=name)


def within(limits: Limits, items: Sequence[Item], name: str) -> int:
    """The characters of all items, which are neither none nor too many nor too long.

    Raises:
        Refusal: they are.
    """
    require_count(limits, len(items), name)
    total = 0
    for item in items:
        if not item:
            raise Refusal("empty", f"`{name}` cannot be empty", param=name)
        require_length(limits, item, name)
        total += len(item)
    return total


def _ids(value: object, name: str, vocabulary: int, expected: str = "a string, or an array of token ids,") -> list[int]:
    if not isinstance(value, list):
        raise _mistyped(name, value, expected)
    for number in value:
        if type(number) is not int or not 0 <= number < vocabulary:
            raise Refusal("validation", f"`{name}`: token ids are whole numbers from 0 to {vocabulary - 1}", param=name)
    return value


def _mistyped(name: str, value: object, expected: str) -> Refusal:
    return Refusal("validation", f"`{name}` holds {_named(value)} where {expected} is expected", param=name)


def _named(value: object) -> str:
    """What JSON calls such a value."""
    return "null" if value is None else _NAMES.get(type(value), "something else")
