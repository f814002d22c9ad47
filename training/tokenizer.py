"""Trains the tokenizer: CLIP's byte pairs, over the words of the captions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.functional import pad
from transformers import CLIPTokenizer

from training.pack import Pack
from training.recipes import draw_recipe
from training.vocabulary import Vocabulary, plain

_SPECIAL = _START, _END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
# Words that people write and captions do not hold: whole tokens leave room in the 77.
_COMMON = """
a an the of in on at with and or for to from by is are person people man woman boy girl beautiful big huge little old new happy sad angry funny cool photo photograph realistic portrait
landscape art digital painting watercolor oil sketch render high quality detailed best masterpiece blurry ugly low bad deformed worst simple minimal style background colorful bright dark
light vintage modern cartoon anime pixel logo icon sticker city street mountain river sea ocean sky cloud forest garden kitchen room table chair window door wall floor road bridge tower
castle
"""  # noqa: E501
_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"  # as CLIP's tokenizer cuts words


def train_tokenizer(pack: Pack, folder: Path, size: int = 4383, seed: int = 0) -> CLIPTokenizer:
    """Train byte pairs up to `size` tokens in all, save a CLIPTokenizer's folder and load it."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=_WORD_END))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(_SPECIAL),
        min_frequency=4,
        end_of_word_suffix=_WORD_END,
        # Numbered from the start: of pairs that are equally frequent the first by number wins, and otherwise the bytes
        # are numbered in no fixed order.
        special_tokens=_bytes(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_text(pack, Random(seed)), trainer)  # noqa: S311 - no secret
    _save(_merges(tokenizer), folder)
    loaded: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    loaded.save_pretrained(folder)
    return loaded


def padded(tokens: Tensor, tokenizer: CLIPTokenizer) -> Tensor:
    """Tokens (..., n), filled up to the length that the text encoder takes: (..., 77)."""
    return pad(tokens.long(), (0, tokenizer.model_max_length - tokens.shape[-1]), value=tokenizer.eos_token_id)


def empty_caption(tokenizer: CLIPTokenizer) -> Tensor:
    """What stands for no caption at all: (77,)."""
    return padded(torch.tensor([tokenizer.bos_token_id]), tokenizer)


def draw_captions(tokens: Tensor, recipes: Tensor, tokenizer: CLIPTokenizer) -> Tensor:
    """One of the captions (recipes, captions, tokens) of each of these recipes, (n,), padded: (n, 77)."""
    captions = torch.randint(tokens.shape[1], (len(recipes),), device=tokens.device)
    return padded(tokens[recipes, captions], tokenizer)


def _text(pack: Pack, random: Random) -> Iterator[str]:
    vocabulary = Vocabulary(pack)
    for _ in range(20_000):
        yield from draw_recipe(vocabulary, random).captions[:2]
    for concept in pack.concepts:
        yield from [plain(concept.label)] * 20
        yield from [plain(word) for word in (*concept.tags, *concept.keywords)] * 4
    yield from _COMMON.split() * 20


def _bytes() -> list[str]:
    """Every byte, then every byte that ends a word, in the letters that stand for them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*letters, *(letter + _WORD_END for letter in letters)]


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)
    return [(left, right) for left, right in pairs]


def _save(merges: list[tuple[str, str]], folder: Path) -> None:
    """Number tokens as CLIP does: every byte, every byte that ends a word, the merges, start and end."""
    tokens = dict.fromkeys(_bytes())
    kept = []
    for left, right in merges:
        if left in tokens and right in tokens and left + right not in tokens:
            tokens[left + right] = None
            kept.append(f"{left} {right}")
    numbered = {token: number for number, token in enumerate([*tokens, *_SPECIAL])}
    specials = {"bos_token": _START, "eos_token": _END, "unk_token": _END, "pad_token": _END}
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        **specials,
        "do_lower_case": True,
        "add_prefix_space": False,
        "errors": "replace",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(numbered, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *kept, ""]))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    (folder / "special_tokens_map.json").write_text(json.dumps(specials, indent=1))
