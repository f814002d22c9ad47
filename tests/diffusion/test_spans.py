"""The spans of requests, as OpenTelemetry's own SDK records them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from PIL import Image

from server.diffusion import Engine, PictureRequest, save, spans
from tests.conftest import ROOT

STAGES = ["darkroom.encode_text", "darkroom.denoise", "darkroom.decode"]


class Recorder:
    """Spans that have ended, and who makes them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        children = [
            span
            for span in self._exporter.get_finished_spans()
            if span.parent and span.parent.span_id == parent.context.span_id
        ]
        return sorted(children, key=lambda span: span.start_time or 0)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(spans, "_tracer", recorder.tracer)
    return recorder


def small(**changes: Any) -> PictureRequest:
    return PictureRequest(**{"prompt": "a kite", "seed": 1, "width": 64, "height": 64, **changes})


async def drawn(engine: Engine, tracer: trace.Tracer, requests: Sequence[PictureRequest]) -> None:
    async def draw(request: PictureRequest) -> None:
        with tracer.start_as_current_span("request"):
            async for _ in engine.generate(request):
                pass

    await asyncio.gather(*map(draw, requests))


def names(of: list[ReadableSpan]) -> list[str]:
    return [span.name for span in of]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# PNDM, the scheduler of the first, makes one more.
@pytest.mark.parametrize(("name", "passes"), [("stable-diffusion", 4), ("flux", 3)])
def test_the_stages_of_each_picture_are_spans_within_its_own(
    name: str, passes: int, engine: Callable[[str], Engine], recorder: Recorder
) -> None:
    request = small(prompt=f"for {name}", num_inference_steps=3, guidance_scale=1.0)
    asyncio.run(drawn(engine(name), recorder.tracer, [request]))
    [whole] = recorder.named("request")
    [picture] = recorder.below(whole)
    assert (picture.name, attributes(picture)) == ("darkroom.picture", {"darkroom.index": 0, "darkroom.steps": 3})
    stages = recorder.below(picture)
    assert names(stages) == STAGES
    denoise = attributes(stages[1])
    assert denoise.pop("darkroom.wait_seconds") >= 0
    assert denoise == {"darkroom.passes": passes, "darkroom.requests_per_pass": 1.0}
    assert all(one.end_time <= next_.start_time for one, next_ in pairwise(stages))  # type: ignore[operator]
    assert not any(span.status.status_code is trace.StatusCode.ERROR for span in stages)


def test_passes_that_are_shared_are_told(engine: Callable[[str], Engine], recorder: Recorder) -> None:
    asyncio.run(drawn(engine("stable-diffusion"), recorder.tracer, [small(num_outputs=2, num_inference_steps=20)]))
    assert [attributes(picture)["darkroom.index"] for picture in recorder.named("darkroom.picture")] == [0, 1]
    assert all(1 < attributes(span)["darkroom.requests_per_pass"] <= 2 for span in recorder.named("darkroom.denoise"))


def test_no_span_tells_an_input(engine: Callable[[str], Engine], recorder: Recorder) -> None:
    request = small(prompt="a secret kite", negative_prompt="frames", num_inference_steps=2, guidance_scale=3.0)
    asyncio.run(drawn(engine("stable-diffusion"), recorder.tracer, [request]))
    told = str([(span.name, span.attributes, span.events) for span in recorder._exporter.get_finished_spans()])
    assert "darkroom.denoise" in told
    assert "secret" not in told
    assert "frames" not in told


def test_pictures_that_are_sent_are_encoded_first(
    engine: Callable[[str], Engine], recorder: Recorder, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    request = small(image=tmp_path / "red.png", num_inference_steps=4, prompt_strength=0.5)
    asyncio.run(drawn(engine("stable-diffusion"), recorder.tracer, [request]))
    [picture] = recorder.named("darkroom.picture")
    assert attributes(picture)["darkroom.steps"] == 2
    assert "darkroom.encode_image" in names(recorder.below(picture))


async def test_what_is_canceled_is_no_error(engine: Callable[[str], Engine], recorder: Recorder) -> None:
    begun = asyncio.Event()

    async def draw() -> None:
        async for _ in engine("stable-diffusion").generate(
            small(prompt="to be left", num_inference_steps=500), on_progress=lambda *_: begun.set()
        ):
            pass

    with recorder.tracer.start_as_current_span("request"):
        task = asyncio.create_task(draw())
    async with asyncio.timeout(60):
        await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    # The next request tells that the device's thread has let go of the last.
    await drawn(engine("stable-diffusion"), recorder.tracer, [small(prompt="next", num_inference_steps=1)])
    canceled, *_ = recorder.named("darkroom.denoise")
    assert attributes(canceled)["darkroom.canceled"]
    assert canceled.status.status_code is trace.StatusCode.UNSET


async def test_an_error_fails_the_stage_that_it_comes_from(engine: Callable[[str], Engine], recorder: Recorder) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise KeyError("a secret kite")

    def work(pipeline: Any) -> None:
        pipeline.scheduler.step = broken
        pipeline("a secret kite", num_inference_steps=2, height=64, width=64)

    with recorder.tracer.start_as_current_span("request"), pytest.raises(KeyError):
        await engine("stable-diffusion").call(work)
    [denoise] = recorder.named("darkroom.denoise")
    assert denoise.status.status_code is trace.StatusCode.ERROR
    assert denoise.status.description is None
    assert attributes(denoise)["error.type"] == "KeyError"
    assert denoise.events == ()


def test_loading_and_writing_are_spans(tiny: Callable[[str], Path], recorder: Recorder, tmp_path: Path) -> None:
    Engine(str(tiny("stable-diffusion"))).close()
    [load] = recorder.named("darkroom.load")
    assert attributes(load) == {"darkroom.pipeline": "StableDiffusionPipeline"}
    save(Image.new("RGB", (8, 8)), tmp_path / "a.webp", 90)
    assert names(recorder.named("darkroom.encode_file")) == ["darkroom.encode_file"]


def test_without_a_span_around_it_none_is_made(engine: Callable[[str], Engine], recorder: Recorder) -> None:
    stages = spans.Stages()
    assert not stages._wanted
    stages.go(1)
    stages.end()
    assert recorder.named("darkroom.denoise") == []


def test_opentelemetry_may_be_missing(tmp_path: Path) -> None:
    probe = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from server.diffusion import save, spans\n"
        "from PIL import Image; from pathlib import Path\n"
        f"save(Image.new('RGB', (8, 8)), Path({str(tmp_path / 'a.webp')!r}), 90)\n"
        "spans.annotate(steps=1); print(spans.Stages()._wanted)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
