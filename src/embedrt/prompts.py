"""Which prompt is put before a text: one that the caller writes, one that the caller names, or the checkpoint's default."""

import dataclasses
from collections.abc import Mapping

from embedrt.arguments import came
from embedrt.artifact.manifest import Serving
from embedrt.errors import InputError
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["merged_prompts", "prefixed", "prompt_for", "prompt_name_for", "tokens_left_out", "with_prompts"]

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
            raise TypeError(f"prompt is a {came(prompt)}, expected a str")
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


def with_prompts(serving: Serving, given: Mapping[str, str] | None, default: str | None) -> Serving:
    """``serving`` with prompts that a caller gives beside the checkpoint's, and another ``default``, by name; None: as it is.

    Raises:
        TypeError: a prompt is no str.
        InputError: the default is no prompt's name.
    """
    if given is None and default is None:
        return serving
    prompts, name = merged_prompts(serving.prompts, serving.default_prompt_name, given=given or {}, default=default)
    return dataclasses.replace(serving, prompts=prompts, default_prompt_name=name)


def merged_prompts(
    own: Mapping[str, str], own_default: str | None, *, given: Mapping[str, str], default: str | None
) -> tuple[dict[str, str], str | None]:
    """A checkpoint's prompts and ``given`` ones, before which empty ones of the same role give way; and the default's name.

    sentence-transformers gives every model an empty prompt called ``document``, and would choose it before a given ``passage``.

    Raises:
        TypeError: prompts are no mapping, or one is no str.
        InputError: the default is no prompt's name.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"prompts is a {type(given).__name__}, expected texts by name: {{'query': 'query: '}}")
    for name, text in given.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"prompts have {name!r}: {text!r:.40}, expected a str by the name of each")
    told = {name for names in _ROLES.values() if given.keys() & set(names) for name in names}
    prompts = {**{name: text for name, text in own.items() if text or name not in told}, **given}
    chosen = default if default is not None else own_default
    if chosen is not None and chosen not in prompts:
        known = ", ".join(sorted(prompts)) or "none"
        raise InputError(f"the default prompt is to be {chosen!r}, expected one of the prompts: {known}")
    return prompts, chosen


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
