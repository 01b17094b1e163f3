"""Stage 6: the artifact folder: graph, tokenizer, model card, manifest; whole or not at all."""
