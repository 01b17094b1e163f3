"""Where tables are printed."""

from rich.console import Console

__all__ = ["table_console"]

_ENDLESS = 1_000_000


def table_console() -> Console:
    """stdout; a file or a pipe has as many columns as a table takes, so that nothing in it is cut or folded."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _ENDLESS
    return console
