"""embedrt inside of other frameworks, as their own kinds of component: a file a framework, each with an extra of that name.

    langchain.py      EmbedrtEmbeddings, EmbedrtReranker
    llama_index.py    EmbedrtEmbedding, EmbedrtReranker
    haystack.py       EmbedrtTextEmbedder, EmbedrtDocumentEmbedder, the same for sparse vectors, EmbedrtRanker
    chroma.py         EmbedrtEmbeddingFunction
    ray.py            EmbedTexts, for data sets on several machines
    scikit_learn.py   EmbedrtVectorizer

Each is thin: what a framework asks for, in its own words. What several do alike is in
:mod:`embedrt.integrations.embedder` and :mod:`embedrt.integrations.sharing`.
"""
