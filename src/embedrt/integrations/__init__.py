"""embedrt inside of other frameworks, as their own kinds of component: a file a framework, each with an extra of that name.

    langchain.py      EmbedrtEmbeddings, EmbedrtReranker
    llama_index.py    EmbedrtEmbedding, EmbedrtReranker
    haystack.py       EmbedrtTextEmbedder, EmbedrtDocumentEmbedder, the same for sparse vectors, EmbedrtRanker
    chroma.py         EmbedrtEmbeddingFunction

Each is thin: what a framework asks for, in its own words. What all of them do is in :mod:`embedrt.integrations.embedder`.
"""
