"""Every option of Darkroom, declared once: the command line, the environment and `docs/settings.md` come from here."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.variables import COG_DEFAULTS, PREFIX, environment_variables, variable_in_use
from server.worker.devices import is_device

logger = logging.getLogger(__name__)


def _seconds_or_never(value: Any) -> Any:
    # Cog takes 0, and anything that is no number, for "no limit"; we say so.
    try:
        seconds = float(value or 0)
    except (TypeError, ValueError):
        logger.warning("The setup timeout %r is not a number of seconds: no limit is set.", value)
        return None
    return seconds if seconds > 0 else None


def _http_url(value: str | None) -> str | None:
    parts = urlsplit(value or "http://none")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("Input should be an http or https URL")
    return value


def _header(value: str | None) -> str | None:
    # Blanks around a header's value are none of it; a token that was read from a file often ends with a line break.
    stripped = value and value.strip()
    if stripped and not (stripped.isascii() and stripped.isprintable()):
        raise ValueError("Input should be a line of printable ASCII characters, since it is sent as an HTTP header")
    return stripped or None


def _devices(value: str | None) -> str | None:
    if value is None or value.strip() == "all":
        return value and "all"
    names = [name.strip() for name in value.split(",")]
    names = [str(int(name)) if name.isascii() and name.isdigit() else name for name in names]
    if len(set(names)) < len(names) or not all(is_device(name) for name in names):
        raise ValueError("Input should be `all`, or GPUs by number or UUID with commas between, each of them once")
    return ",".join(names)


def _level(value: Any) -> Any:
    # Cog's runtime has the names of Rust's levels, its documents those of Python's.
    name = str(value).lower()
    return {"warn": "warning", "trace": "debug"}.get(name, name)


class ModelSettings(BaseSettings):
    """What is loaded, and how.

    Raises:
        pydantic.ValidationError: a value breaks its rule.
    """

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda option: AliasChoices(*environment_variables(option))),
        populate_by_name=True,
        env_ignore_empty=True,
        extra="forbid",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _forgive_what_cog_does(cls, data: dict[str, Any], handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as invalid:
            # In lower case are those that were given as flags.
            keys = [str(key) for error in invalid.errors() for key in error["loc"][:1] if str(key).isupper()]
            used = {key: variable_in_use(key) for key in keys if variable_in_use(key) in COG_DEFAULTS}
            if not used:
                raise
            for key, name in used.items():
                logger.warning("%s is %r, which cannot be used: %s it is.", name, data[key], COG_DEFAULTS[name])
            return handler(data | {key: COG_DEFAULTS[name] for key, name in used.items()})

    predictor: str | None = Field(
        None, description="What predicts, as file:name. Default: `predict` or `run` of cog.yaml."
    )
    trainer: str | None = Field(None, description="What trains, as file:name. Default: `train` of cog.yaml.")
    x_mode: Literal["predict", "train"] = Field(
        "predict", description="What runs: the predictor, or the trainer. One server does not do both."
    )
    model_id: str | None = Field(
        None,
        description="The model that predict.py loads: a folder, an id on the Hugging Face Hub, or a .safetensors file "
        "with a whole model (a path, owner/name/file.safetensors, or a URL). "
        "Default: predict.py decides; ours takes the model that ships inside.",
    )
    model_revision: str | None = Field(
        None,
        description="The commit, branch or tag of a model on the Hub. Default: what script/download-weights fetched.",
    )
    compile: Literal["off", "background", "wait"] = Field(
        "background",
        description="Whether predict.py compiles the model, on an NVIDIA GPU. background: while the first pictures are "
        "made without it; wait: before the server is ready.",
    )
    quantize: Literal["none", "int8", "fp8"] = Field(
        "none",
        description="How predict.py keeps the weights that take most memory. int8: half of it or less, a little less "
        "exact; fp8: as little, and multiplied so. Both need torchao, fp8 an NVIDIA GPU such as an L40S or H100.",
    )
    compile_cache: str | None = Field(
        None,
        description="The folder in which predict.py keeps compiled code for the next start. "
        "Default: predict.py decides; ours takes ~/.cache/darkroom.",
    )
    controlnet_id: str | None = Field(
        None,
        description="A ControlNet that predict.py loads beside the model: a folder, or an id on the Hugging Face Hub. "
        "Default: none.",
    )
    lora_cache: str | None = Field(
        None,
        description="The folder in which predict.py keeps the LoRAs that requests name, 20 GB at most. "
        "Default: predict.py decides; ours takes ~/.cache/darkroom/loras.",
    )
    strict: bool = Field(
        False,
        description="Whether predict.py refuses an input that it would otherwise round, shorten, convert or ignore "
        "with a warning.",
    )
    require_safety_checker: bool = Field(
        False, description="Whether predict.py refuses a request to turn the model's safety checker off."
    )
    devices: Annotated[str | None, AfterValidator(_devices)] = Field(
        None,
        description="The GPUs that get a process with the model each: `all`, or some by number or UUID, such as 0,1. "
        "`darkroom predict` takes the first. Default: one process, which sees what CUDA_VISIBLE_DEVICES says.",
    )
    setup_timeout: Annotated[float | None, BeforeValidator(_seconds_or_never)] = Field(
        None, description="Seconds that loading the model may take; 0 is no limit. Default: no limit."
    )
    max_concurrency: int | None = Field(
        None,
        ge=1,
        description="Predictions that run at once, on each device. Default: `concurrency.max` of cog.yaml, else what "
        "`@concurrent(max=N)` says, else 1.",
    )
    cancel_grace: float = Field(
        10.0,
        ge=0,
        description="Seconds that a canceled prediction may take to end; then its process is killed and replaced.",
    )
    max_file_bytes: int = Field(1 << 30, ge=1, description="The largest file that an input may point to, in bytes.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_level)] = Field(
        "info", description="The least severe message to log."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How to log, on standard error: lines to read, or a JSON object on each line."
    )


class Settings(ModelSettings):
    """How the HTTP server listens, waits and stops, and what it serves.

    Raises:
        pydantic.ValidationError: a value breaks its rule.
    """

    host: str = Field("127.0.0.1", description="The address to listen on; 0.0.0.0 is every address of this machine.")
    port: int = Field(5000, ge=0, le=65535, description="The port to listen on; 0 is any free one.")
    queue_size: int = Field(
        100,
        ge=0,
        description="Predictions that may wait for their turn. 0: none, and a busy server answers 409 as Cog does.",
    )
    max_request_bytes: int = Field(100 << 20, ge=1, description="The largest request body, in bytes.")
    data_dir: str | None = Field(
        None,
        description="The folder in which predictions are kept, in a file for each port. Default: .darkroom in the "
        "model's folder; with --port 0, they are forgotten when the server stops.",
    )
    history_seconds: float = Field(
        86400.0,
        ge=0,
        description="Seconds for which a prediction can be asked for after its end. 0: nothing is kept, and nothing "
        "written to disk.",
    )
    history_bytes: int = Field(
        1 << 30,
        ge=1 << 20,
        description="The most that is kept of predictions, in bytes; when it is more, what ended first goes first.",
    )
    shutdown_grace: float = Field(
        8.0,
        ge=0,
        description="Seconds that the end may take once the server is told to stop: seven tenths are for running "
        "predictions to end by themselves, the rest is for canceling them and ending the model.",
    )
    await_explicit_shutdown: bool = Field(
        False, description="Take no notice of SIGTERM: only `POST /shutdown` and Ctrl-C end the server."
    )
    ready_file: str | None = Field(
        None,
        description="A file that is there while the model is ready, for probes that look for one. Default: none; in "
        "Kubernetes /var/run/cog/ready, as in Cog.",
    )
    upload_url: Annotated[str | None, AfterValidator(_http_url)] = Field(
        None,
        description="Where files that the model puts out go: each is PUT below this URL, and the answer holds its "
        "address. Default: they come back inside the answer, as data URLs.",
    )
    user_agent: Annotated[str | None, AfterValidator(_header)] = Field(
        None,
        description="What the server calls itself when it fetches, uploads and delivers. Default: darkroom/VERSION.",
    )
    webhook_auth_token: Annotated[str | None, AfterValidator(_header)] = Field(
        None, description="Sent with every webhook, as `Authorization: Bearer TOKEN`. Better set by its variable."
    )
    webhook_interval: float = Field(
        0.5, ge=0, description="Seconds that have to pass between a webhook and the next one that only tells of logs."
    )
    stream_history: int = Field(
        1024, ge=0, description="Events of a prediction that are kept for a reader of its stream who comes late."
    )
    stream_any: bool = Field(
        True,
        description="Stream every model to clients that ask for it. False: as in Cog, only those marked @streaming.",
    )
    log_prompts: bool = Field(
        False,
        description="Whether the log may hold prompts: the inputs of each prediction, secrets excepted, and what "
        "errors and warnings quote of them.",
    )
    threads: int | None = Field(
        None, description="Accepted because Cog does; it has no effect here either. See max-concurrency."
    )


def unknown_variables(environment: dict[str, str]) -> list[str]:
    """The names in `environment` that look like options and are none, so that a typing error does not pass unseen."""
    known = {variable for option in Settings.model_fields for variable in environment_variables(option)}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


if __name__ == "__main__":
    from server.reference import reference

    print(reference(Settings, ModelSettings), end="")
