"""Texts to encode where no data set is at hand: sentences composed from this project's own phrases, by seed."""

import random
from collections import Counter

__all__ = ["composed_sentences"]

_WHO = ("The night nurse", "A retired engineer", "My neighbour's cat", "The board of the bank", "An old fishing boat",
        "Nobody at the station", "The youngest player", "A group of tourists", "The new librarian",
        "Her grandfather")  # fmt: skip
_DOES = ("repairs", "has forgotten", "is looking for", "refused to sell", "painted", "carefully measures", "cannot find",
         "wrote a letter about", "was surprised by", "keeps talking about")  # fmt: skip
_WHAT = ("the broken bridge", "a box of old photographs", "the last train to the coast", "three bottles of olive oil",
         "the password of the mail account", "a very small garden", "the results of the election",
         "an unusual kind of bread", "the key to the upper floor", "a map of the underground")  # fmt: skip
_WHEN = ("", "before sunrise", "on the way home", "in the middle of a storm", "after a long and rather quiet meeting",
         "because the weather changed", "while everyone else was asleep", "without telling anyone in the village",
         "although the doctor had advised against it twice", "during the first week of the holidays")  # fmt: skip


def composed_sentences(count: int, *, seed: int = 0) -> list[str]:
    """``count`` different English sentences of 6 to 25 words, the same ones for the same seed.

    Different, because equal texts of a call run once. What is composed a second time says so at its end.

    >>> composed_sentences(1)
    ['The youngest player cannot find the broken bridge after a long and rather quiet meeting.']
    """
    chooser, times = random.Random(seed), Counter[str]()
    found = []
    for _ in range(count):
        sentence = " ".join(filter(None, (chooser.choice(part) for part in (_WHO, _DOES, _WHAT, _WHEN)))) + "."
        times[sentence] += 1
        found.append(sentence if times[sentence] == 1 else f"{sentence} Report {times[sentence]}.")
    return found
