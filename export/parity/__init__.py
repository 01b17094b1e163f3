"""Stage 5: graphs against what they were made of: over which texts, by which measures, and which layer is to blame."""
