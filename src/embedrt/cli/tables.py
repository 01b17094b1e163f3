"""Where tables are printed."""

from rich.console import Console

__all__ = ["table_console"]

_ENDLESS = 1_000_000


def table_console(*, narrowest: int = 0) -> Console:
    """stdout; a file or a pipe has as many columns as a table takes, so that nothing in it is cut or folded.

    A terminal of fewer columns than ``narrowest`` folds lines by itself.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _ENDLESS
    console.width = max(console.width, narrowest)
    return console
