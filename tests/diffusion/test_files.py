"""Which files of a repository are needed."""

from pathlib import Path

import pytest

from server.diffusion.errors import ModelError
from server.diffusion.files import check_folder, default_variant, needed_files, variants

INDEX: dict[str, object] = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
    "scheduler": ["diffusers", "PNDMScheduler"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "unet": ["diffusers", "UNet2DConditionModel"],
}

SMALL = {
    "model_index.json",
    "README.md",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
}

# What repositories on the Hub really hold beside it.
ELSEWHERE = {
    ".gitattributes",
    "LICENSE.md",
    "feature_extractor/preprocessor_config.json",
    "sample.png",
    "sd_xl_base_1.0.safetensors",
    "text_encoder/flax_model.msgpack",
    "text_encoder/model.onnx",
    "text_encoder/pytorch_model.bin",
    "tokenizer/tokenization_mine.py",
    "unet/deeper/model.safetensors",
    "unet/diffusion_pytorch_model.bin",
    "unet/model.onnx_data",
    "vae_1_0/diffusion_pytorch_model.safetensors",
}

PLAIN = {"text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors"}
HALF = {"text_encoder/model.fp16.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"}
OTHER = {"unet/diffusion_pytorch_model.non_ema.safetensors"}


def test_only_what_the_pipeline_loads() -> None:
    listing = SMALL | ELSEWHERE | PLAIN | HALF | OTHER
    assert set(needed_files(INDEX, listing)) == SMALL | PLAIN
    assert set(needed_files(INDEX, listing, "fp16")) == SMALL | HALF
    assert variants(INDEX, listing) == {None, "fp16", "non_ema"}
    assert default_variant(INDEX, listing) is None


def test_a_component_without_the_variant_comes_without_it() -> None:
    listing = SMALL | PLAIN | {"unet/diffusion_pytorch_model.fp16.safetensors"}
    expected = {"text_encoder/model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"}
    assert set(needed_files(INDEX, listing, "fp16")) == SMALL | expected


def test_the_only_variant_is_the_default() -> None:
    assert default_variant(INDEX, SMALL | HALF) == "fp16"
    assert default_variant(INDEX, SMALL | HALF | OTHER) == "fp16"


def test_variants_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ModelError, match="no kind fits them all"):
        default_variant(INDEX, SMALL | {"text_encoder/model.fp16.safetensors"} | OTHER)


def test_shards_come_with_their_index() -> None:
    shards = {
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
    }
    half = {
        "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
    }
    bins = {"unet/diffusion_pytorch_model.bin.index.json", "unet/diffusion_pytorch_model-00001-of-00002.bin"}
    assert set(needed_files(INDEX, SMALL | shards | half | bins)) == SMALL | shards
    expected = half | {"text_encoder/model.safetensors"}
    assert set(needed_files(INDEX, SMALL | shards | half | bins, "fp16")) == SMALL | expected


def test_the_older_names_of_shards_are_known() -> None:
    shards = {
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
        "unet/diffusion_pytorch_model-00002-of-00002.fp16.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
    }
    assert default_variant(INDEX, SMALL | shards) == "fp16"
    assert set(needed_files(INDEX, SMALL | shards, "fp16")) == SMALL | shards


def test_a_whole_file_is_taken_before_shards() -> None:
    shards = {
        "unet/diffusion_pytorch_model-00001-of-00001.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
    }
    assert set(needed_files(INDEX, SMALL | PLAIN | shards)) == SMALL | PLAIN


def test_a_component_may_be_at_the_top() -> None:
    flat = {"config.json", "model.safetensors", "pytorch_model.bin"}
    listing = SMALL - {"text_encoder/config.json"} | flat | {"unet/diffusion_pytorch_model.safetensors"}
    assert set(needed_files(INDEX, listing)) == listing - {"pytorch_model.bin"}


def test_a_component_that_is_missing_is_told() -> None:
    listing = (SMALL | PLAIN) - {"tokenizer/merges.txt", "tokenizer/vocab.json"}
    with pytest.raises(ModelError, match="no files of its 'tokenizer'"):
        needed_files(INDEX, listing)


def test_weights_that_may_run_code_are_refused() -> None:
    with pytest.raises(ModelError, match=r"'text_encoder' are not there as safetensors, only as pytorch_model\.bin"):
        needed_files(INDEX, SMALL | {"text_encoder/pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no diffusers pipeline: it has no model_index.json"),
        ("{", "is not JSON"),
        ("[]", "should hold a JSON object"),
    ],
)
def test_a_folder_that_is_no_pipeline_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        check_folder(tmp_path)
