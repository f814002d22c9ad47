"""`darkroom` as a person at a terminal meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import PREDICTORS, ROOT, Serve
from tests.worker.test_narrowing import write


def darkroom(
    *arguments: str, cwd: Path = PREDICTORS, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def predict(
    predictor: str, *arguments: str, cwd: Path = PREDICTORS, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    reference = str(PREDICTORS / f"{predictor}.py:Predictor")
    return darkroom("predict", "--predictor", reference, *arguments, cwd=cwd, stdin=stdin)


@pytest.mark.parametrize("command", [(), ("serve",), ("predict",), ("reproduce",), ("schema",)])
def test_help_is_readable_at_eighty_columns(command: tuple[str, ...]) -> None:
    result = darkroom(*command, "--help", COLUMNS="80")
    assert result.returncode == 0
    assert "Usage: darkroom" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines() if "curl" not in line) <= 80


def test_help_names_the_environment_variables() -> None:
    assert "[DARKROOM_PORT, PORT]" in darkroom("serve", "--help").stdout


def test_an_option_that_breaks_its_rule_is_a_usage_error() -> None:
    result = darkroom("serve", "--predictor", "greet.py:Predictor", "--queue-size", "-1")
    assert result.returncode == 2
    assert "--queue-size: Input should be greater than or equal to 0, not '-1'" in result.stderr


@pytest.mark.parametrize("variable", ["DARKROOM_PORT", "PORT"])
def test_a_variable_that_breaks_its_rule_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "tcp://10.0.0.1:5000")
    result = darkroom("serve")
    assert result.returncode == 2
    assert f" {variable}: Input should be a valid integer" in result.stderr


def test_a_token_that_breaks_its_rule_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_AUTH_TOKEN", "hush\nhush")
    result = darkroom("serve")
    assert result.returncode == 2
    assert " WEBHOOK_AUTH_TOKEN: Value error, Input should be a line of printable ASCII characters" in result.stderr
    assert "hush" not in result.stderr


def test_an_option_may_be_a_variable_of_cog_yaml(tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_text(
        f"predict: {PREDICTORS / 'greet.py'}:Predictor\nenvironment:\n  - COG_MAX_CONCURRENCY=2\n"
    )
    result = darkroom("predict", "-i", "name=you", cwd=tmp_path)
    assert result.returncode == 1
    assert "A concurrency of 2" in result.stderr
    assert darkroom("predict", "-i", "name=you", cwd=tmp_path, COG_MAX_CONCURRENCY="1").returncode == 0


def test_the_environment_of_cog_yaml_reaches_the_model(tmp_path: Path) -> None:
    code = "import os\ndef predict() -> str:\n    return os.environ['GREETING']\n"
    (tmp_path / "predict.py").write_text(code)
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\nenvironment: [GREETING=hello]\n")
    assert darkroom("predict", cwd=tmp_path).stdout == "hello\n"
    assert darkroom("predict", cwd=tmp_path, GREETING="good evening").stdout == "good evening\n"


@pytest.mark.parametrize("command", ["serve", "predict", "schema"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("environment: [A]", "`environment` holds 'A'. Write each entry as NAME=value."),
        ("run: a.py:A", "has both `predict: greet.py:Predictor` and `run: a.py:A`"),
        ("concurrency: 2", "`concurrency` is 2. Write `concurrency:` and below it `max: N`, N from 1 on."),
        ("train: 5", "`train` is 5, not a Python file and a class or function in it."),
    ],
)
def test_a_cog_yaml_that_cannot_be_used_is_an_error_of_one_line(
    command: str, text: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "cog.yaml").write_text(f"predict: greet.py:Predictor\n{text}\n")
    result = darkroom(command, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("darkroom: ")
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_serving_ignores_of_cog_yaml_is_one_line_of_the_log(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text("def predict() -> str:\n    return ''\n")
    (tmp_path / "cog.yaml").write_text(
        "predict: predict.py:predict\nimage: a/b\nbuild: {gpu: true, run: [a]}\nweights: []\ntrian: train.py:train\n"
    )
    server = serve(tmp_path)
    server.stop()
    told = re.findall(r"\[(\w+) *\] \S+cog\.yaml: (.+)", "".join(server.lines))
    [(level_of_ignored, ignored), (level_of_unknown, unknown)] = sorted(told)
    assert (level_of_ignored, level_of_unknown) == ("info", "warning")
    assert ignored.startswith("not for serving, and ignored: image, build, weights.")
    assert unknown.startswith(
        "`trian` is no key that Cog knows, and is ignored. Did you mean `train`? The keys are build"
    )
    result = darkroom("predict", cwd=tmp_path)
    assert "`trian` is no key" in result.stderr
    assert "not for serving" not in result.stderr


def test_a_misspelt_variable_is_reported() -> None:
    result = darkroom("schema", "--predictor", "greet.py:Predictor", DARKROOM_PROT="80")
    assert result.returncode == 0
    assert "DARKROOM_PROT is not an option of Darkroom" in result.stderr


def test_a_folder_without_a_model_is_an_error_of_one_line(tmp_path: Path) -> None:
    result = darkroom("serve", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("darkroom: There is no cog.yaml in ")
    assert len(result.stderr.splitlines()) == 1


def test_text_goes_to_standard_output_and_nothing_else_does() -> None:
    result = predict("greet", "-i", "name=you", "-i", "times=2")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "hello you hello you\n"
    assert "predict_time" in result.stderr


def test_text_goes_to_the_file_named(tmp_path: Path) -> None:
    result = predict("greet", "-i", "name=you", "-o", str(tmp_path / "greeting.txt"))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "greeting.txt").read_text() == "hello you\n"
    assert result.stdout == ""


def test_values_are_read_as_their_types(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("content")
    inputs = ["flag=true", "scale=2", "words=a", "words=b=c", "sizes=[1,2]", "sizes=3", "either=x", 'options={"a":1}']
    result = predict("describe", *(f"-i{text}" for text in [*inputs, "file=@in.txt"]), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        "flag": True,
        "scale": 2,
        "words": ["a", "b=c"],
        "sizes": [1, 2, 3],
        "either": "x",
        "options": {"a": 1},
        "file": "content",
    }


def test_files_keep_their_names_in_this_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    (tmp_path / "b.bin").write_bytes(b"B")
    result = predict("copy_files", "-i", "files=@a.txt", "-i", f"files=@{tmp_path / 'b.bin'}", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "copy-0.txt").read_text() == "A"
    assert (tmp_path / "copy-1.bin").read_bytes() == b"B"
    assert "Wrote copy-0.txt\nWrote copy-1.bin" in result.stderr


def test_files_are_numbered_after_the_name_given(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    output = tmp_path / "new" / "out.txt"
    result = predict("copy_files", "-i", "files=@a.txt", "-i", "files=@a.txt", "-o", str(output), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in output.parent.iterdir()) == ["out-1.txt", "out.txt"]


def test_a_name_that_contradicts_the_format_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    result = predict("copy_files", "-i", "files=@a.txt", "-o", "out.png", cwd=tmp_path)
    assert result.returncode == 0
    assert "the model made .txt" in result.stderr


def test_text_goes_into_the_folder_named(tmp_path: Path) -> None:
    result = predict("greet", "-i", "name=you", "-o", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "output.txt").read_text() == "hello you\n"


def test_a_model_that_puts_nothing_out_leaves_nothing(tmp_path: Path) -> None:
    result = predict("run_code", "-i", "code=result = None", "-o", str(tmp_path / "output.txt"))
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert "No output generated" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["text", "file", "-", "@-"])
def test_inputs_as_one_json_object_give_the_whole_prediction(source: str, tmp_path: Path) -> None:
    inputs = '{"name": "you", "times": 2}'
    (tmp_path / "inputs.json").write_text(inputs)
    argument = {"text": inputs, "file": "@inputs.json"}.get(source, source)
    result = predict("greet", "--json", argument, cwd=tmp_path, stdin=inputs)
    assert result.returncode == 0, result.stderr
    prediction = json.loads(result.stdout)
    assert prediction["metrics"].pop("predict_time") >= 0
    assert prediction == {"status": "succeeded", "output": "hello you hello you", "error": "", "metrics": {}}


def test_the_whole_prediction_goes_to_the_file_named_and_the_models_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    target = tmp_path / "new" / "prediction.json"
    result = predict("copy_files", "--json", '{"files": ["@a.txt"]}', "-o", str(target), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert json.loads(target.read_text())["output"] == [str(target.parent / "copy-0.txt")]
    assert (target.parent / "copy-0.txt").read_text() == "A"


def test_the_whole_prediction_goes_into_the_folder_named(tmp_path: Path) -> None:
    assert predict("greet", "--json", '{"name": "you"}', "-o", str(tmp_path)).returncode == 0
    assert json.loads((tmp_path / "output.json").read_text())["output"] == "hello you"


def test_a_prediction_that_failed_is_put_out_too() -> None:
    result = predict("raise_error", "--json", '{"message": "no luck"}')
    assert result.returncode == 1
    prediction = json.loads(result.stdout)
    assert (prediction["status"], prediction["output"]) == ("failed", None)
    assert "no luck" in prediction["error"]
    assert "no luck" in result.stderr


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("{", "--json: it is no JSON"),
        ("[]", "--json: it is no JSON object"),
        ("@absent.json", "--json @absent.json cannot be read"),
        ('{"name": "you", "nmae": 1}', "input.nmae: the model has no such input; it takes name, times"),
        ('{"name": "you", "times": "2"}', 'input.times: "2" is not of type "integer"'),
        ("{}", "input.name: Field required"),
    ],
)
def test_a_json_object_that_cannot_be_used_is_an_error_of_one_line(argument: str, reason: str) -> None:
    result = predict("greet", "--json", argument)
    assert result.returncode == 1
    assert reason in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_inputs_are_given_in_one_way() -> None:
    result = predict("greet", "-i", "name=you", "--json", "{}")
    assert result.returncode == 2
    assert "use one of them" in result.stderr


def test_the_models_own_logs_are_shown() -> None:
    result = predict("draw_bar")
    assert result.returncode == 0, result.stderr
    assert "before the bar" in result.stderr
    assert "after the bar" in result.stderr


@pytest.mark.parametrize(
    ("predictor", "arguments", "reason"),
    [
        ("greet", ["-i", "name"], "there is no `=`"),
        ("greet", ["-i", "name=a", "-i", "nmae=b"], "input.nmae: the model has no such input; it takes name, times"),
        ("greet", ["-i", "name=a", "-i", "name=b"], "input.name: it is given twice"),
        ("greet", [], "input.name: Field required"),
        ("greet", ["-i", "name=a", "-i", "times=9"], "input.times: 9 is greater than the maximum of 3"),
        ("greet", ["-i", "name=a", "-i", "times=two"], 'input.times: "two" is not of type "integer"'),
        ("copy_files", ["-i", "files=@missing.png"], "there is no file"),
        ("copy_files", ["-i", "files=/dev/null", "-i", f"files={__file__}"], f"Write files=@{__file__}."),
        ("raise_error", ["-i", "message=no luck"], "ValueError: no luck"),
        ("raise_in_setup", [], "RuntimeError: the weights are gone"),
        ("absent", [], "absent.py"),
    ],
)
def test_a_failure_exits_with_the_reason_and_no_traceback_of_ours(
    predictor: str, arguments: list[str], reason: str
) -> None:
    result = predict(predictor, *arguments)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "server/oneoff.py" not in result.stderr
    assert result.stdout == ""


def test_a_failure_shows_what_the_model_logged() -> None:
    assert "about to fail" in predict("raise_error").stderr


def test_schema_prints_openapi_without_setting_up() -> None:
    result = darkroom("schema", "--predictor", "raise_in_setup.py:Predictor")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["components"]["schemas"]["Output"] == {"title": "Output", "type": "string"}


NARROWED = {"mask": "it has no form for inpainting", "steps": {"default": 4, "le": 8}}


def test_schema_is_that_of_the_source_unless_the_loaded_model_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDER", write(tmp_path, NARROWED)["FOLDER"])
    arguments = ("schema", "--predictor", "narrow.py:Predictor")
    source, narrowed = (
        json.loads(darkroom(*arguments, *flags).stdout)["components"]["schemas"]["Input"]["properties"]
        for flags in ((), ("--narrowed",))
    )
    assert source.keys() - narrowed.keys() == {"mask"}
    assert [schema["steps"]["maximum"] for schema in (source, narrowed)] == [500, 8]


def test_a_schema_of_a_model_that_cannot_be_loaded_is_none() -> None:
    result = darkroom("schema", "--narrowed", "--predictor", "raise_in_setup.py:Predictor")
    assert result.returncode == 1
    assert "RuntimeError: the weights are gone" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-i", "steps=9"], "body.input.steps: 9 is greater than the maximum of 8"),
        (
            ["-i", "mask=@cog.png"],
            "body.input.mask: the loaded model cannot take it: it has no form for inpainting. Leave it out.",
        ),
    ],
)
def test_predict_refuses_what_the_loaded_model_cannot_take(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDER", write(tmp_path, NARROWED)["FOLDER"])
    (tmp_path / "cog.png").write_text("a mask")
    result = predict("narrow", "-i", "prompt=a", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.strip().splitlines()[-1] == f"darkroom: {line}"


def test_predict_runs_with_the_defaults_of_the_loaded_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER", write(tmp_path, NARROWED)["FOLDER"])
    result = predict("narrow", "-i", "prompt=a")
    assert json.loads(result.stdout)["steps"] == 4


@pytest.mark.parametrize("given", [("-i", "width=70"), ("--json", '{"width": 70}')])
def test_an_input_that_predict_refuses_is_told_as_those_that_the_schema_does(given: tuple[str, ...]) -> None:
    result = predict("refuse_input", *given)
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        "darkroom: body.input.width: 70 is no multiple of 8. The nearest is 64."
    )
    if given[0] == "--json":
        assert json.loads(result.stdout)["status"] == "failed"


@pytest.mark.parametrize(
    ("flags", "environment", "seen"),
    [
        ((), {}, ["false", "false"]),
        (("--strict", "true"), {}, ["true", "false"]),
        ((), {"STRICT": "1", "REQUIRE_SAFETY_CHECKER": "yes"}, ["true", "true"]),
        (("--strict", "false"), {"DARKROOM_STRICT": "true", "DARKROOM_REQUIRE_SAFETY_CHECKER": "1"}, ["false", "true"]),
    ],
)
def test_how_strict_the_model_is_to_be_reaches_it(
    flags: tuple[str, ...], environment: dict[str, str], seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STRICT", "REQUIRE_SAFETY_CHECKER"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"DARKROOM_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = "import os; result = [os.environ[name] for name in ('STRICT', 'REQUIRE_SAFETY_CHECKER')]"
    arguments = ("predict", "--predictor", "run_code.py:Predictor", "-i", f"code={code}", *flags)
    assert json.loads(darkroom(*arguments).stdout) == seen


def test_schema_shows_the_training_parts_in_either_mode() -> None:
    trainer = ("--predictor", "raise_in_setup.py:Predictor", "--trainer", "trainers.py:Trainer")
    results = [darkroom("schema", *trainer, "--x-mode", mode) for mode in ("predict", "train")]
    assert [result.returncode for result in results] == [0, 0], results
    documents = [json.loads(result.stdout) for result in results]
    assert documents[1]["info"].pop("x-darkroom-mode") == "train"
    assert documents[0] == documents[1]
    assert documents[0]["components"]["schemas"]["TrainingOutput"] == {"title": "Output", "type": "string"}


def test_predict_trains_where_that_is_the_mode() -> None:
    result = darkroom("predict", "-i", "data=x", DARKROOM_X_MODE="train", COG_TRAIN_TYPE_STUB="trainers.py:Trainer")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "base trained on x\n"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--x-mode", "train"], "so nothing says what to serve"),
        (["--x-mode", "dream"], "--x-mode: Input should be 'predict' or 'train', not 'dream'"),
        (
            ["--predictor", "greet.py:Predictor", "--trainer", "trainers.py:train_bytes"],
            ": data: the type bytes cannot",
        ),
        (["--predictor", "greet.py:Predictor", "--trainer", "absent.py:train"], "Write the name of one in `train:`"),
    ],
)
def test_a_trainer_that_cannot_be_served_is_refused(flags: list[str], reason: str) -> None:
    result = darkroom("schema", *flags)
    assert result.returncode in (1, 2)
    assert reason in result.stderr
    assert "Traceback" not in result.stderr or "server/cli.py" not in result.stderr


def test_schema_reports_a_signature_that_cannot_be_served(tmp_path: Path) -> None:
    (tmp_path / "predict.py").write_text("def predict(x: bytes) -> str:\n    return ''\n")
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    result = darkroom("schema", cwd=tmp_path)
    assert result.returncode == 1
    assert "predict.py:1: x: " in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_cleanly(number: signal.Signals, serve: Serve) -> None:
    server = serve("greet")
    child = int(subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True).stdout)
    server.process.send_signal(number)
    assert server.wait() == 0
    assert "Traceback" not in "".join(server.lines)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_port_in_use_is_an_error_of_one_line(serve: Serve) -> None:
    port = httpx.URL(serve("greet").url).port
    result = darkroom("serve", "--predictor", "greet.py:Predictor", "--port", str(port))
    assert result.returncode == 1
    assert result.stderr.startswith(f"darkroom: Cannot listen on port {port} of 127.0.0.1")
    assert "Traceback" not in result.stderr
