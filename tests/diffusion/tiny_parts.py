"""What tiny pipelines have in common: autoencoders, text encoders, and tokenizers that know a few words.

The CLIP tokenizer is the embedded model's own.
"""

from __future__ import annotations

from typing import Any

import diffusers as untyped_diffusers
import transformers as untyped_transformers
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import ByteLevel, Metaspace

from tests.conftest import ROOT

diffusers: Any = untyped_diffusers
transformers: Any = untyped_transformers

QWEN_VOCABULARY = 259
_WORDS = ("a", "an", "red", "green", "blue", "apple", "car", "cat", "on", "white", "of", "the")


def vae(latent_channels: int) -> Any:
    """Halves width and height three times, as the real ones do."""
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=4,
        sample_size=64,
        shift_factor=0.0,
    )


def clip_config() -> Any:
    """A text encoder of two layers, 32 wide."""
    tokenizer = clip_tokenizer()
    return transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        projection_dim=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def clip_tokenizer() -> Any:
    """The embedded model's."""
    return transformers.CLIPTokenizer.from_pretrained(ROOT / "models" / "emoji" / "tokenizer")


def t5(width: int) -> Any:
    """A text encoder of one layer."""
    config = transformers.T5Config(
        vocab_size=len(_WORDS) + 4, d_model=width, d_kv=8, d_ff=37, num_layers=1, num_heads=4
    )
    return transformers.T5EncoderModel(config)


def t5_tokenizer() -> Any:
    """Knows a few words."""
    return transformers.T5Tokenizer(vocab=_unigram("<pad>", "</s>", "<unk>"), extra_ids=0)


def qwen3(width: int, layers: int = 2, vocabulary: int = QWEN_VOCABULARY) -> Any:
    """The language model that Z-Image, Flux 2 Klein and Ovis read prompts with."""
    config = transformers.Qwen3Config(
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=vocabulary,
    )
    return transformers.Qwen3Model(config).eval()


def gemma(layers: int) -> Any:
    """The language model that Sana and Lumina 2 read prompts with, of width 8."""
    return transformers.Gemma2Model(
        transformers.Gemma2Config(
            vocab_size=len(_WORDS) + 4,
            hidden_size=8,
            intermediate_size=16,
            head_dim=4,
            num_attention_heads=2,
            num_hidden_layers=layers,
            num_key_value_heads=2,
            attn_implementation="eager",
        )
    )


def gemma_tokenizer() -> Any:
    """Knows a few words."""
    return transformers.GemmaTokenizer(tokenizer_object=_backend(_unigram("<pad>", "<eos>", "<bos>", "<unk>")))


def qwen_tokenizer() -> Any:
    """Each byte is a token, so that no text is too short for the words of the template that the pipeline leaves out."""
    tokens = [*sorted(ByteLevel.alphabet()), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = transformers.Qwen2Tokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
    return tokenizer


def changed(network: Any, **changes: Any) -> Any:
    """Another of its class, with new weights."""
    # What the configuration holds of defaults is not taken from it.
    config = {name: value for name, value in network.config.items() if not name.startswith("_")}
    return type(network).from_config({**config, **changes})


def _unigram(*special: str) -> list[tuple[str, float]]:
    return [(token, 0.0) for token in special] + [(f"▁{word}", -1.0 - rank) for rank, word in enumerate(_WORDS)]


def _backend(vocabulary: list[tuple[str, float]]) -> Tokenizer:
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=len(vocabulary) - len(_WORDS) - 1))
    tokenizer.pre_tokenizer = Metaspace()
    return tokenizer
