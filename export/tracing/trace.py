"""Stage 3: the torch module to an ONNX graph, by ``torch.onnx.export(dynamo=True)``.

The older TorchScript exporter gives graphs that run and are wrong on transformers 5, so it is not offered. The exporter's
own optimizer stays off: it writes rotary embeddings in a form that ONNX Runtime refuses beyond one text a batch. Chosen
passes follow in :mod:`embedrt_export.rewrite`.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import onnx_ir
import torch
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.tracing.attention import AttentionForm, attention_form
from optimum.utils import DummyTextInputGenerator, NormalizedTextConfig
from optimum.utils.normalized_config import NormalizedConfigManager
from transformers import PretrainedConfig

from embedrt.errors import CheckpointError

__all__ = ["OPSET", "trace"]

OPSET = 23
"""The first with the Attention operator."""
_BATCH, _SEQUENCE = 3, 11  # of the example; both become symbols


def trace(module: GraphModule, form: AttentionForm) -> onnx_ir.Model:
    """Trace ``module`` with its attention in the given form, batch and sequence left open.

    Raises:
        CheckpointError: torch.export cannot trace this architecture in this form.
    """
    inputs = _example_inputs(module)
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence")
    try:
        with _attention(module, form), torch.no_grad(), _quiet():
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                opset_version=OPSET,
                optimize=False,
                verbose=False,
                input_names=list(inputs),
                output_names=list(module.output_names),
                dynamic_shapes=tuple({0: batch, 1: sequence} for _ in inputs),
            )
    except (torch.onnx.OnnxExporterError, NotImplementedError, RuntimeError, ValueError, TypeError) as error:
        name = "the model" if module.transformer is None else module.transformer.config.model_type
        raise CheckpointError(f"{name} cannot be traced with attention as {form}: {_root_cause(error)}") from error
    if program is None:  # only with the older exporter
        raise CheckpointError("torch.onnx.export gave no program")
    model: onnx_ir.Model = program.model
    return model


def _attention(module: GraphModule, form: AttentionForm) -> AbstractContextManager[None]:
    return nullcontext() if module.transformer is None else attention_form(module.transformer, form)


def _example_inputs(module: GraphModule) -> dict[str, torch.Tensor]:
    """Random token ids and a padded mask, int64 (batch, sequence), from optimum's generators."""
    if module.transformer is None:
        kind, config = NormalizedTextConfig, PretrainedConfig(vocab_size=module.vocabulary)
    else:
        config = module.transformer.config
        kind = NormalizedConfigManager._conf.get(config.model_type, NormalizedTextConfig)  # noqa: SLF001  its public reader raises
    generator = DummyTextInputGenerator(
        "feature-extraction", kind(config), batch_size=_BATCH, sequence_length=_SEQUENCE
    )
    made = {
        name: generator.generate(name, framework="pt", int_dtype="int64")
        for name in ("input_ids", "attention_mask", "token_type_ids")
    }
    made["pooling_mask"] = made["attention_mask"].clone()
    return {name: made[name] for name in module.input_names}


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's warnings about its own deprecations and missing torchvision from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
