"""tokenizer.json where it cannot be written."""

from collections.abc import Callable
from pathlib import Path

import pytest
from embedrt_export.packing import tokenizer_file
from tokenizers import Tokenizer


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_what_the_disk_says_is_an_oserror(tmp_path: Path, write_tokenizer: Callable[..., Path]) -> None:
    """tokenizers raises a bare Exception, which the command line would not tell in a sentence."""
    tokenizer = Tokenizer.from_file(str(write_tokenizer(tmp_path)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/tokenizer.json").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        tokenizer_file.write_tokenizer(tokenizer, tmp_path / "full", max_seq_length=8, truncation_side="right")
