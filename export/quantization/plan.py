"""A graph, its calibration rows, and from them the int8 graph for any setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.quantization.int8 import can_reorder, can_smooth, quantize_products
from embedrt_export.quantization.linears import LinearGroup, find_groups
from embedrt_export.quantization.scheme import Scheme, Setting, Static, choose_scheme
from embedrt_export.quantization.tables import quantize_tables
from tqdm import tqdm

__all__ = ["Built", "Plan"]

_STANDS_OUT = 0.10
"""A product whose relative error on the calibration texts is larger stays in float."""
_BLAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An int8 graph and the facts about it."""

    model: onnx_ir.Model
    products: dict[str, int]
    """How many products read activations with a ``static`` scale, a scale a ``row``, or stayed in ``float``."""
    tables: int
    kept_float: list[str]
    worst_error: float
    blamed: list[str]
    """The products with the largest errors."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What does not depend on the setting."""

    model: onnx_ir.Model
    rows: Mapping[str, npt.NDArray[np.float32]]
    """(rows, inputs) of each group's activations, by the name of the value."""
    static: bool
    weight_limit: int

    def build(self, setting: Setting, *, final: bool = False, quiet: bool = True) -> Built:
        """The int8 graph for ``setting``; :attr:`model` stays as it is.

        The ``final`` one takes two to four times as long: rounding errors are passed on, see :mod:`.rounding`.
        """
        model = self.model.clone()
        groups = find_groups(model)
        bar = tqdm(groups, desc="  rewrite", unit="product", disable=quiet, leave=False)
        chosen = [(group, self._scheme(group, groups, setting, pass_errors_on=final)) for group in bar]
        kept = [(group, scheme) for group, scheme in chosen if scheme.error > _STANDS_OUT]
        taken = [(group, scheme) for group, scheme in chosen if scheme.error <= _STANDS_OUT]
        quantize_products(model, taken, weight_limit=self.weight_limit)
        tables = quantize_tables(model)
        drop_unused(model)
        static = [choice for choice in taken if isinstance(choice[1].activations, Static)]
        return Built(
            model=model,
            products={"static": _count(static), "row": _count(taken) - _count(static), "float": _count(kept)},
            tables=tables,
            kept_float=_names(kept),
            worst_error=max((scheme.error for _, scheme in taken), default=0.0),
            blamed=_names(sorted(chosen, key=lambda choice: -choice[1].error))[:_BLAMED],
        )

    def _scheme(
        self, group: LinearGroup, groups: list[LinearGroup], setting: Setting, *, pass_errors_on: bool
    ) -> Scheme:
        return choose_scheme(
            group,
            self.rows[group.source.name or ""],
            setting,
            static=self.static,
            smooth=can_smooth(group, groups, static=self.static),
            weight_limit=self.weight_limit,
            reorder=self.static and can_reorder(group, groups, self.model.opset_imports[""]),
            pass_errors_on=pass_errors_on,
        )


def _count(chosen: Sequence[tuple[LinearGroup, Scheme]]) -> int:
    return sum(len(group.linears) for group, _ in chosen)


def _names(chosen: Sequence[tuple[LinearGroup, Scheme]]) -> list[str]:
    return [linear.name for group, _ in chosen for linear in group.linears]
