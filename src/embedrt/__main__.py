"""``python -m embedrt``: the command line."""

from embedrt.cli import main

if __name__ == "__main__":  # processes of embedrt map import this again
    main()
