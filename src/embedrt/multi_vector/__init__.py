"""A vector a token: texts as queries or documents (``roles.py``), encoded (``token_encoding.py``), and MaxSim between them."""
