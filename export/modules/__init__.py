"""Stage 2: everything that a checkpoint does after its tokenizer as one torch module, a file a kind, of the same parts."""
