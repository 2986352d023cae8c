"""What a worker refuses before it runs, and how it words things. How it works is under `e2e`."""

import functools
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from driftq import BlockingRun, NewMessage, NonRetryable, Run, Worker
from driftq import _tracing as tracing
from driftq.__main__ import main
from driftq._reload import without_reload
from driftq._run import MESSAGE_CHARS_MAX, STACK_CHARS_MAX, _restore, _restored, as_result, describe


class Doc(BaseModel):
    url: str


def test_a_workflow_takes_one_run_of_its_kind() -> None:
    worker = Worker()

    def not_async(run: Run[Any]) -> None: ...

    async def blocking(run: BlockingRun[Any]) -> None: ...

    async def two(run: Run[Any], more: int) -> None: ...

    async def no_run(document: dict[str, Any]) -> None: ...

    with pytest.raises(TypeError, match="make it an `async def`, or take a BlockingRun"):
        worker.workflow("w")(not_async)
    with pytest.raises(TypeError, match="an `async def` takes a Run"):
        worker.workflow("w")(blocking)
    with pytest.raises(TypeError, match="exactly one argument"):
        worker.workflow("w")(two)
    with pytest.raises(TypeError, match="must take a Run"):
        worker.workflow("w")(no_run)


def test_a_bare_run_takes_any_input() -> None:
    async def bare(run) -> None: ...  # type: ignore[no-untyped-def]

    async def typed(run: Run[Doc]) -> None: ...

    worker = Worker()
    assert worker.workflow("bare")(bare) is bare
    assert worker.workflow("typed")(typed) is typed


def test_names_are_registered_once() -> None:
    worker = Worker()

    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None: ...

    with pytest.raises(ValueError, match="registered twice"):
        worker.workflow("w")(workflow)

    @worker.handler("orders")
    def handler(message: Any) -> None: ...

    with pytest.raises(ValueError, match="has a handler"):
        worker.handler("orders")(handler)


async def test_a_worker_without_work_does_not_start() -> None:
    with pytest.raises(ValueError, match="no workflow and no handler"):
        await Worker().run()
    with pytest.raises(ValueError, match="at least 1"):
        Worker(concurrency=0)


def test_two_workers_of_one_process_are_two_owners() -> None:
    assert Worker().owner != Worker().owner


def test_an_error_is_described_within_bounds() -> None:
    def deep(level: int) -> None:
        if level:
            # Two names, so that the traceback is not folded.
            (deep if level % 2 else lambda rest: deep(rest))(level - 1)
        else:
            raise KeyError("x" * 10_000)

    with pytest.raises(KeyError) as caught:
        deep(200)
    said = describe(caught.value)
    assert said.type == "KeyError"
    assert len(said.message) == MESSAGE_CHARS_MAX
    assert said.stack is not None
    assert len(said.stack) == STACK_CHARS_MAX
    assert describe(NonRetryable("no")).type == "driftq.NonRetryable"
    assert describe(ValueError()).message == "ValueError"


def test_a_stored_result_comes_back_as_its_annotation_promises() -> None:
    def pair() -> tuple[int, str]: ...  # type: ignore[empty-body]

    def doc() -> Doc: ...  # type: ignore[empty-body]

    def untyped(): ...  # type: ignore[no-untyped-def]

    def untrue() -> int: ...  # type: ignore[empty-body]

    assert _restore(pair, [1, "a"]) == (1, "a")
    assert _restore(doc, {"url": "u"}) == Doc(url="u")
    assert _restore(untyped, [1]) == [1]
    assert _restore(untrue, "not a number") == "not a number"
    assert _restore(lambda: 1, 1) == 1


def test_a_result_must_be_json() -> None:
    assert as_result({"doc": Doc(url="u")}) == {"doc": {"url": "u"}}
    with pytest.raises(NonRetryable, match="the workflow returned object"):
        as_result(object())
    with pytest.raises(NonRetryable, match=r"the workflow returned dict, .* not JSON compliant"):
        as_result({"share": float("nan")})


class Place(NamedTuple):
    row: int


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({1, 2}, "set would come back as list"),
        ({"tags": [{"a"}]}, r"set would come back as list \(in 'tags'\)"),
        (datetime(2026, 1, 2), "datetime would come back as str"),
        (b"text", "bytes would come back as str"),
        ({1: "a"}, "a key of type int would come back as str"),
        (Place(1), "Place would come back as list"),
    ],
)
def test_a_steps_value_that_would_come_back_as_another_type_is_refused(value: Any, named: str) -> None:
    with pytest.raises(NonRetryable, match=f"step 'tag' returned .*{named}"):
        _restored(lambda: value, "tag", value, as_result(value))


def test_an_annotation_lets_a_step_return_any_type() -> None:
    def tags() -> set[int]: ...  # type: ignore[empty-body]

    def when() -> dict[int, datetime]: ...  # type: ignore[empty-body]

    def place(row: int) -> Place: ...  # type: ignore[empty-body]

    at = datetime(2026, 1, 2)
    functions: list[tuple[Callable[..., Any], Any]] = [
        (tags, {1, 2}),
        (when, {1: at}),
        (place, Place(1)),
        (functools.partial(place, 1), Place(1)),
    ]
    for function, value in functions:
        assert _restored(function, "s", value, as_result(value)) == value


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ((1, "a"), [1, "a"]),
        (Doc(url="u"), {"url": "u"}),
        ({"docs": (Doc(url="u"),)}, {"docs": [{"url": "u"}]}),
    ],
)
def test_without_an_annotation_tuples_are_lists_and_models_are_dicts(value: Any, seen: Any) -> None:
    assert _restored(lambda: value, "s", value, as_result(value)) == seen


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("jobs", "module:name"),
        ("no_such_module_here:worker", "no_such_module_here"),
        ("jobs:other", "other"),
        ("jobs:Path", "no driftq.Worker"),
    ],
)
def test_the_command_says_what_is_wrong(
    place: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jobs.py").write_text("from pathlib import Path\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "jobs", raising=False)
    assert main(["worker", place]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", [["worker", "jobs:worker"], ["outbox", "status"]])
@pytest.mark.parametrize(
    ("flag", "variable", "said"),
    [
        ("--log-level", "DRIFTQ_LOG_LEVEL", "'bogus' is no level: say debug, info,"),
        ("--log-format", "DRIFTQ_LOG_FORMAT", "'bogus' is no format: say text or json"),
    ],
)
def test_a_log_level_or_format_that_is_none_is_refused_in_a_sentence(
    command: list[str],
    flag: str,
    variable: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, flag, "bogus"])
    assert (ended.value.code, said in capsys.readouterr().err) == (2, True)
    monkeypatch.setenv(variable, "bogus")
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert (ended.value.code, said in capsys.readouterr().err) == (2, True)


def test_reload_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["worker", "jobs:worker", "--reload", "--reload-dir", str(tmp_path / "nowhere")]) == 1
    assert "nowhere does not exist" in capsys.readouterr().err
    assert main(["worker", "jobs:worker", "--reload-dir", str(tmp_path)]) == 1
    assert "nothing without --reload" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert main(["worker", "jobs:worker", "--reload"]) == 1
    assert "pip install 'driftq[reload]'" in capsys.readouterr().err


def test_the_worker_that_is_reloaded_is_started_without_reload() -> None:
    given = ["worker", "a:b", "--reload", "--reload-dir", "src", "--reload-dir=lib", "--log-level", "debug"]
    assert without_reload(given) == ["worker", "a:b", "--log-level", "debug"]


async def test_without_opentelemetry_nothing_is_traced_and_all_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "_otel", None)
    message = NewMessage("t", 1, headers={"a": "b"})
    with tracing.producing([message]) as same, tracing.starting_run("w", ["x"]) as tags, tracing.step("s"):
        assert (same, tags) == ([message], ["x"])
    assert (tracing.carrier(), tracing.configured(), tracing.injected({"a": "b"})) == ({}, False, {"a": "b"})
