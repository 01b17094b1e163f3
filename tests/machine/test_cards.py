"""What the driver of cards is asked, with a library in its place."""

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from embedrt.machine.cards import count_cards


class Driver:
    """Two calls of libcuda, and their answers."""

    def __init__(self, *, starts: int = 0, tells: int = 0, cards: int = 0) -> None:
        self.cuInit = lambda _flags: starts
        self._tells, self._cards = tells, cards

    def cuDeviceGetCount(self, place: Any) -> int:  # noqa: N802  libcuda's name
        place._obj.value = self._cards
        return self._tells


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Driver], None]:
    return lambda driver: monkeypatch.setattr(ctypes, "CDLL", lambda _name: driver)


def test_cards_are_counted(installed: Callable[[Driver], None]) -> None:
    installed(Driver(cards=3))
    assert count_cards() == 3


@pytest.mark.parametrize("driver", [Driver(starts=100, cards=3), Driver(tells=3, cards=3)])
def test_a_driver_that_does_not_answer(installed: Callable[[Driver], None], driver: Driver) -> None:
    installed(driver)
    assert count_cards() == 0


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert count_cards() == 0
