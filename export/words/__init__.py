"""Models of whole words: averages of word vectors, bags of words, and the layers that InferSent and others put behind them.

Two ways in: a file of word vectors (:mod:`embedrt_export.words.job` is the story, without PyTorch), and a checkpoint of
sentence-transformers that begins with WordEmbeddings or BoW (:mod:`embedrt_export.words.checkpoint`). Both become a
:class:`~embedrt_export.words.model.WordModel`, whose graph is written by :mod:`embedrt_export.words.graph`.
"""
