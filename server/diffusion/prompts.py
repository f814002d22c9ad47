"""Prompts: several in one text, and what of one the model does not see."""

from __future__ import annotations

import copy
from typing import Any

from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from transformers import PreTrainedTokenizerBase

from server.diffusion import notices
from server.diffusion.defaults import accepted_arguments
from server.diffusion.errors import InputError
from server.diffusion.warnings import WarningCode

_LONGEST_SHOWN = 400


def split_prompts(text: str, delimiter: str | None) -> tuple[str, ...]:
    """The prompts in a text: what stands between delimiters, without the blanks around it; what is blank is none.

    Args:
        text: of one prompt or more.
        delimiter: what stands between two, in which `\\n` may be written for a newline; `None` takes the text as one.

    Raises:
        InputError: nothing is left.
    """
    if not delimiter:
        return (text,)
    between = delimiter.replace("\\n", "\n")
    prompts = tuple(part for piece in text.split(between) if (part := piece.strip()))
    if not prompts:
        raise InputError("prompt", f"there is nothing in it beside prompt_delimiter, {delimiter!r}. Give it some text.")
    return prompts


def watch_length(pipeline: DiffusionPipeline, prompt: str, negative_prompt: str | None) -> None:
    """Let a pipeline, which belongs to one request, tell of the words that its text encoder does not see.

    Of several text encoders it is the one that sees most which counts: what another misses is not lost.

    Args:
        pipeline: not shared with other requests.
        prompt, negative_prompt: by which it is told which of the inputs is too long.
    """
    tokenizers = {name: part for name, part in pipeline.components.items() if isinstance(part, PreTrainedTokenizerBase)}
    if not tokenizers:
        return
    name = max(tokenizers, key=lambda name: tokenizers[name].model_max_length)
    twin = copy.copy(tokenizers[name])
    twin.__class__ = _watching(type(twin))
    twin.original, twin.prompt, twin.negative_prompt = tokenizers[name], prompt, negative_prompt
    twin.most_tokens = _most_tokens(pipeline)
    setattr(pipeline, name, twin)


def _most_tokens(pipeline: DiffusionPipeline) -> int | None:
    """How many tokens a pipeline goes on with, where it drops some that its text encoder has seen."""
    template: Any = getattr(pipeline, "prompt_template_encode_start_idx", None)
    most: Any = accepted_arguments(pipeline).get("max_sequence_length")
    return template + most if isinstance(template, int) and isinstance(most, int) else None


def _watching(tokenizer_class: type[Any]) -> type[Any]:
    class Watching(tokenizer_class):  # type: ignore[misc]
        """Cuts texts to length as its base class does, and says so."""

        original: Any
        prompt: str
        negative_prompt: str | None
        most_tokens: int | None

        def __call__(self, text: Any = None, *args: Any, **kwargs: Any) -> Any:
            encoded = super().__call__(text, *args, **kwargs)
            if kwargs.get("truncation") is True:
                whole = {"truncation": False, "padding": False, "max_length": None, "return_tensors": None}
                texts = [text] if isinstance(text, str) else list(text or ())
                for one, row in zip(texts, encoded["input_ids"], strict=False):
                    kept = row if isinstance(text, list) or bool(getattr(row, "ndim", 0)) else encoded["input_ids"]
                    self._compare(
                        one,
                        list(map(int, kept))[: self.most_tokens],
                        super().__call__(one, *args, **{**kwargs, **whole}),
                    )
            return encoded

        def _compare(self, text: str, kept: list[int], whole: Any) -> None:
            tokens = whole["input_ids"]
            if len(tokens) <= len(kept):
                return
            same = next(
                (i for i, (one, other) in enumerate(zip(kept, tokens, strict=False)) if one != other), len(kept)
            )
            name, behind = self._place(text)
            lost, end = self._words(tokens[same:]), self._words(super().__call__(behind, add_special_tokens=False))
            if behind and end.endswith(lost):
                return
            lost = lost.removesuffix(end).strip()
            shown = lost if len(lost) <= _LONGEST_SHOWN else f"{lost[:_LONGEST_SHOWN]}..."
            message = (
                f"it is too long: the model reads the first {len(kept)} tokens (pieces of words) of {len(tokens)}, and "
                f"did not see {shown!r}. Shorten it, or put first what matters."
            )
            notices.tell(notices.Notice(message, WarningCode.TRUNCATED, name))

        def _place(self, text: str) -> tuple[str, str]:
            """The input that a text is made of, and what a template has behind it."""
            prompt, negative = self.prompt.strip(), (self.negative_prompt or "").strip()
            # Some pipelines write all in small letters.
            whole = text.lower()
            is_negative = negative and negative.lower() in whole
            if is_negative and (prompt.lower() not in whole or len(negative) > len(prompt)):
                return "negative_prompt", text.rpartition(negative)[2] if negative in text else ""
            return "prompt", text.rpartition(prompt)[2] if prompt and prompt in text else ""

        def _words(self, encoded: Any) -> str:
            tokens = encoded if isinstance(encoded, list) else encoded["input_ids"]
            return str(self.decode(tokens, skip_special_tokens=True)).strip()

    Watching.__name__, Watching.__qualname__ = tokenizer_class.__name__, tokenizer_class.__qualname__
    return Watching
