"""Files of texts in, files of vectors out; in ``job.py``, corpora of any size, a part at a time, on one device or several."""

from embedrt.corpus.job import PART_ROWS, Corpus, Form, Report, map_corpus
from embedrt.corpus.stations import EncodeOptions

__all__ = ["PART_ROWS", "Corpus", "EncodeOptions", "Form", "Report", "map_corpus"]
