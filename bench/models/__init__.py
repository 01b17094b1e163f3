"""What is measured with: a real MiniLM, a cross-encoder made of it, and their artifacts in the cache folder."""
