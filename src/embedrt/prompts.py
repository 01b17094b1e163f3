"""Which prompt is put before a text: one that the caller writes, one that the caller names, or the checkpoint's default."""

from embedrt.artifact.manifest import Serving
from embedrt.errors import InputError
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["prefixed", "prompt_for", "prompt_name_for", "tokens_left_out"]

_ROLES = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),  # the first of these that the checkpoint has
}


def prompt_for(serving: Serving, *, prompt: str | None = None, prompt_name: str | None = None) -> str:
    """The text to put before each text; empty where neither caller nor checkpoint wants one.

    Raises:
        TypeError: ``prompt`` is no str.
        InputError: the checkpoint has no prompt of that name.
    """
    if prompt is not None:
        if not isinstance(prompt, str):
            raise TypeError(f"prompt is a {type(prompt).__name__} ({prompt!r:.40}), expected a str")
        return prompt
    name = prompt_name if prompt_name is not None else serving.default_prompt_name
    if name is None:
        return ""
    if name not in serving.prompts:
        known = ", ".join(sorted(serving.prompts)) or "none"
        raise InputError(f"prompt_name is {name!r}, the checkpoint has these prompts: {known}. Or pass prompt='…'")
    return serving.prompts[name]


def prompt_name_for(serving: Serving, role: str) -> str | None:
    """The checkpoint's prompt for a ``query`` or a ``document``, by name; None where it has none."""
    return next((name for name in _ROLES[role] if name in serving.prompts), None)


def prefixed(texts: list[str], prefix: str) -> list[str]:
    """Each text with ``prefix`` before it; the same list where that is empty."""
    return [prefix + text for text in texts] if prefix else texts


def tokens_left_out(serving: Serving, tokenizer: TextTokenizer, prefix: str) -> int:
    """Leading tokens that are left out of pooling: the prompt's, without the special token that ends a text."""
    if serving.include_prompt or not prefix:
        return 0
    rows = tokenizer.encode([prefix, ""])
    prompt, ending = rows.row(0), rows.row(1)[-1:]
    return len(prompt) - int(len(ending) > 0 and prompt[-1] == ending[0])
