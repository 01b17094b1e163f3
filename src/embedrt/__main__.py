"""``python -m embedrt``: the command line."""

from embedrt.cli import main

main()
