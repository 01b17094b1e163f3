"""A small random CLIP as sentence-transformers saves it: it reads texts and images, and its text tower pools by itself."""

import json
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPVisionConfig,
    PreTrainedTokenizerFast,
)

__all__ = ["clip_tokenizer", "save_clip"]

_ENDS = ("<|startoftext|>", "<|endoftext|>")
_WIDTH, _LONGEST, _OLD_END = 24, 20, 2
_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def save_clip(folder: Path, *, named_end: bool = True) -> Path:
    """The checkpoint in ``folder``, with vectors of 24.

    ``named_end``: the configuration names the token that ends a text; older ones do not, and the largest id ends it.
    """
    tokenizer = clip_tokenizer()
    start, end = tokenizer.convert_tokens_to_ids(list(_ENDS))
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=_LONGEST, projection_dim=_WIDTH, bos_token_id=start,
        eos_token_id=end if named_end else _OLD_END, pad_token_id=end, **_SMALL,
    )  # fmt: skip
    vision = CLIPVisionConfig(image_size=16, patch_size=8, projection_dim=_WIDTH, **_SMALL)
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=_WIDTH))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    plain = folder.with_name(f"{folder.name}-plain")
    model.save_pretrained(plain)
    CLIPProcessor(image_processor=CLIPImageProcessor(), tokenizer=tokenizer).save_pretrained(plain)
    SentenceTransformer(str(plain), device="cpu").save(str(folder))
    return folder


def clip_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level pieces with a mark at the end of words, lowercase, as CLIP's."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, end_of_word_suffix="</w>", initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["a photo of a cat", "two dogs in the rain", "the roof of a house"], trainer)
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {name: len(vocabulary) + index for index, name in enumerate(_ENDS)}  # the last ids, as CLIP's
    content["model"]["unk_token"] = _ENDS[1]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(list(_ENDS))
    ends = [(name, tokenizer.token_to_id(name)) for name in _ENDS]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{_ENDS[0]} $A {_ENDS[1]}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=_LONGEST, bos_token=_ENDS[0], eos_token=_ENDS[1], unk_token=_ENDS[1],
        pad_token=_ENDS[1],
    )  # fmt: skip
