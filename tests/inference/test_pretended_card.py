"""What is different on a card, with a processor in its place: one session, two runs in flight, lengths in steps of 8."""

import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from embedrt import SentenceEncoder, opening
from embedrt.errors import ProviderError
from embedrt.inference.devices import Device
from embedrt.inference.session import GraphSession

WORDS = ["how", "do", "i", "reset", "my", "password", "where", "is", "the", "invoice"]
TEXTS = [  # different ones, and more than one window
    f"{' '.join(WORDS[int(digit)] for digit in f'{index:04}')} {'hello ' * (index % 10)}" for index in range(9000)
]


class Session(GraphSession):
    """On the processor, whatever card is asked for; notes what it ran."""

    opened: ClassVar[list["Session"]] = []

    def __init__(self, path: Path, *, device: Device, **options: Any) -> None:
        assert device == Device("cuda", 1)
        super().__init__(path, **options)
        self.shapes: list[tuple[int, ...]] = []
        self.ran: set[int] = set()
        Session.opened.append(self)

    def run(self, *arguments: Any, **options: Any) -> list[npt.NDArray[np.float32]]:
        self.shapes.append(arguments[0].shape)
        self.ran.add(threading.get_ident())
        return super().run(*arguments, **options)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """Every session that is opened on the card that is none."""
    monkeypatch.setattr(Session, "opened", [])
    monkeypatch.setattr(opening, "GraphSession", Session)
    monkeypatch.setattr(opening, "parse_device", lambda _text: Device("cuda", 1))
    return Session.opened


def test_an_encoder(tiny: Path, card: list[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    with SentenceEncoder(tiny, device="cuda:1") as encoder:
        found = encoder.encode(TEXTS)
    [session] = card
    assert {shape[1] for shape in session.shapes} == {8, 16}
    assert max(shape[0] * shape[1] for shape in session.shapes) > 8192  # a card's budget, not a processor's
    assert len(session.ran) <= 2
    assert threading.get_ident() not in session.ran
    monkeypatch.undo()
    with SentenceEncoder(tiny) as encoder:
        np.testing.assert_allclose(found, encoder.encode(TEXTS), rtol=0, atol=1e-6)


def test_a_served_model(tiny: Path, card: list[Session]) -> None:
    pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
    from embedrt.server.held import Held
    from embedrt.server.settings import ModelSource

    held = Held.load(ModelSource(name="a", location=str(tiny), device="cuda:1"), threads=None)
    assert (held.layout.workers, held.layout.token_budget) == (2, 16384)
    assert card == [held.wide]
    assert held.one_thread is held.wide
    held.renew()
    assert card[1:] == [held.wide]
    assert held.one_thread is held.wide


def test_a_server_whose_card_is_not_there(tiny: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
    from embedrt.server.held import Held
    from embedrt.server.settings import ModelSource

    with pytest.raises(ProviderError, match="CUDAExecutionProvider was asked for, but this ONNX Runtime"):
        Held.load(ModelSource(name="a", location=str(tiny), device="cuda"), threads=None)
