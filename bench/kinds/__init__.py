"""Models of other kinds beside sentence-transformers, each a command that writes a result file and a document's tables."""
