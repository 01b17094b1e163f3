"""The changes in their order."""

from pathlib import Path

from embedrt_export.changes.distilling import distilled_again, distilled_from
from embedrt_export.changes.length import cut_at
from embedrt_export.changes.prompting import prompted
from embedrt_export.changes.trimming import trimmed
from embedrt_export.changes.wanted import Changes
from embedrt_export.changes.whitening import whitened_again, whitened_by
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.stages import Stages
from embedrt_export.vocabulary import keep_tokens
from tokenizers import Tokenizer

from embedrt.artifact.folder import Artifact

__all__ = ["changed", "changed_again"]


def changed(checkpoint: Checkpoint, wanted: Changes, stages: Stages, folder: Path) -> Checkpoint:
    """``checkpoint`` with all changes made, and told of in its source; where none is wanted, as it is.

    ``folder`` gets what is needed to make them again.

    Raises:
        InputError: a file of texts cannot be used, a width or a length cannot be had, or the default prompt is no prompt.
        CheckpointError: the checkpoint cannot be changed in this way.
    """
    if wanted.prompts or wanted.default_prompt is not None:
        checkpoint = prompted(checkpoint, wanted.prompts, wanted.default_prompt)
    if wanted.max_seq_length is not None:
        checkpoint = cut_at(checkpoint, wanted.max_seq_length)
    if wanted.keep_vocabulary_of:
        with stages.stage("trim") as facts:
            checkpoint, made = trimmed(checkpoint, wanted.keep_vocabulary_of, quiet=stages.quiet)
            facts.extend(made)
    if wanted.static:
        with stages.stage("distill") as facts:
            checkpoint, made = distilled_from(checkpoint, wanted.dims, wanted.sts, quiet=stages.quiet)
            facts.extend(made)
    if wanted.whiten is not None:
        with stages.stage("whiten") as facts:
            checkpoint, made = whitened_by(checkpoint, wanted.whiten, wanted.dims, folder, quiet=stages.quiet)
            facts.extend(made)
    return checkpoint


def changed_again(checkpoint: Checkpoint, artifact: Artifact, *, quiet: bool = False) -> Checkpoint:
    """``checkpoint`` with the changes that ``artifact`` tells of, from the artifact's own files.

    Raises:
        CheckpointError: it is not the checkpoint that the artifact was made of.
    """
    made = artifact.manifest.source.derivation if artifact.manifest is not None else None
    if made is None:
        return checkpoint
    checkpoint = prompted(checkpoint, made.prompts, made.default_prompt)
    if made.max_seq_length is not None:
        checkpoint = cut_at(checkpoint, made.max_seq_length)
    if made.trimming is not None:
        tokens = Tokenizer.from_file(str(artifact.tokenizer)).get_vocab()
        keep_tokens(checkpoint, tokens)
    if made.distillation is not None:
        checkpoint = distilled_again(checkpoint, made.distillation.dimension, quiet=quiet)
    if made.whitening is not None:
        checkpoint = whitened_again(checkpoint, artifact.folder)
    return checkpoint
