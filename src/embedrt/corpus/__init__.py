"""Files of texts in, files of vectors out; in ``job.py``, corpora of any size, a part at a time, on one device or several."""

from embedrt.corpus.job import Corpus, Form, Report, map_corpus
from embedrt.corpus.kinds import EncodeOptions, Kind

__all__ = ["Corpus", "EncodeOptions", "Form", "Kind", "Report", "map_corpus"]
