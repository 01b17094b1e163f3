"""Texts to token ids.

``tokenizer.py`` asks the tokenizers library, and remembers words (``word_cache.py``) and cuts
long pairs itself (``pair_template.py``). ``words.py`` looks up whole words, cut by
``segmenters.py`` (``treebank.py``, ``jieba_words.py``).
"""
