"""What a run prints on the terminal, and where the UI shows it."""

import logging
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
import yaml

from vision_assets import settings
from vision_assets.collection import DEFAULT_LOCATION
from vision_assets.definitions import defs
from vision_assets.defs.console import console_logger, hide_what_the_last_line_repeats
from vision_assets.defs.failures import failures
from vision_assets.defs.history import show_under_its_job
from vision_assets.errors import UserError

ROOT = Path(__file__).parents[2]
CAUSE = "source '/none' does not exist. Is the path right?"
ATTEMPTS = 2


@dg.asset
def sound(context: dg.AssetExecutionContext) -> None:
    context.log.debug("a detail")
    context.log.info("240 images, 11.5 MB")
    context.log.warning("half of them are grey")


@dg.asset
def broken() -> None:
    with failures():
        raise UserError(CAUSE)


@dg.asset(deps=[broken])
def after_broken() -> None: ...


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=ATTEMPTS - 1))
def unlucky() -> None:
    with failures():
        raise TimeoutError("timed out")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Terminal:
    """What a run prints."""

    def __init__(self, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]) -> None:
        self._instance = instance
        self._capsys = capsys

    def lines(self, *assets: Any) -> list[str]:
        """Materialize assets; return the lines."""
        self._capsys.readouterr()
        dg.materialize(assets, instance=self._instance, raise_on_error=False)
        return self._capsys.readouterr().err.splitlines()

    def messages(self, *assets: Any) -> list[str]:
        """Materialize assets; return the lines without their times."""
        lines = self.lines(*assets)
        assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
        return [line[9:] for line in lines]


@pytest.fixture
def terminal(instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(instance, capsys)


def test_a_line_has_time_asset_and_message(terminal: Terminal) -> None:
    assert terminal.messages(sound) == [
        "sound                  240 images, 11.5 MB",
        "sound                  warning: half of them are grey",
    ]


def test_a_failure_is_one_line_without_its_stack_and_without_what_follows_from_it(terminal: Terminal) -> None:
    assert terminal.messages(broken, after_broken) == [f"broken                 error: {CAUSE}"]


@dg.asset(check_specs=[dg.AssetCheckSpec(name, asset="judged") for name in ("kept", "whole", "near")])
def judged() -> Iterator[Any]:
    yield dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(check_name="kept", passed=True),
            dg.AssetCheckResult(check_name="whole", passed=False, description="a row is missing"),
            dg.AssetCheckResult(check_name="near", passed=False, severity=dg.AssetCheckSeverity.WARN),
        ]
    )


def test_a_check_that_fails_is_a_line(terminal: Terminal) -> None:
    assert terminal.messages(judged) == [
        "judged                 error: check whole: a row is missing",
        "judged                 warning: check near: failed",
    ]


def test_each_attempt_says_why_and_when_the_next_begins(terminal: Terminal) -> None:
    cause = "No answer came in time (TimeoutError: timed out)."
    first, last = terminal.messages(unlucky)
    assert first == f"unlucky                warning: {cause} Another attempt begins in 0 s."
    assert last.endswith(cause)


def test_the_variable_chooses_the_level(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.LOG, "warning")
    assert terminal.messages(sound) == ["sound                  warning: half of them are grey"]
    monkeypatch.setenv(settings.LOG, "debug")
    lines = terminal.lines(broken)
    assert "Stack Trace:" in lines
    assert [line for line in lines if "Started execution of run for" in line]


def test_the_configuration_of_a_run_chooses_the_level(
    instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dict(defs.loggers or {}) == {"console": console_logger}
    job = dg.Definitions([sound], jobs=[dg.define_asset_job("job")], loggers=defs.loggers).resolve_job_def(
        "job"
    )
    config = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    job.execute_in_process(run_config=config, instance=instance)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("sound                  warning: half of them are grey")


@pytest.mark.parametrize("cause", [UserError("a.yaml: k is 0.\nb.yaml: k is 1.")])
def test_an_error_of_the_user_that_ends_the_process_has_no_stack(
    cause: UserError, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RuntimeError("cannot load the definitions")
    error.__cause__ = cause
    sys.excepthook(RuntimeError, error, None)
    assert capsys.readouterr().err == "Error: a.yaml: k is 0.\nError: b.yaml: k is 1.\n"


def test_the_result_of_a_run_is_not_said_after_its_cause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(click.ClickException, "show", click.ClickException.show)
    hide_what_the_last_line_repeats()
    click.ClickException("Run 1b9e8a4c resulted in failure.").show()
    click.ClickException("no such file").show()
    assert capsys.readouterr().err == "Error: no such file\n"


def test_what_py4j_logs_at_an_interrupt_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger().error("KeyboardInterrupt while sending command.")
    logging.getLogger().error("another error")
    assert caplog.messages == ["another error"]


def test_a_run_of_a_command_is_shown_under_its_job_and_in_the_timeline(
    instance: dg.DagsterInstance,
) -> None:
    """As Dagster's UI asks for them: by the tag of the repository, and by the origin."""
    run = instance.create_run_for_job(defs.resolve_job_def("bovw_pipeline"))
    assert run.remote_job_origin is None
    show_under_its_job(instance, run, DEFAULT_LOCATION)
    filters = dg.RunsFilter(
        job_name="bovw_pipeline", tags={".dagster/repository": "__repository__@vision_assets"}
    )
    (stored,) = instance.get_runs(filters)
    assert stored.run_id == run.run_id
    assert stored.remote_job_origin
    assert stored.remote_job_origin.location_name == "vision_assets"
    assert stored.remote_job_origin.repository_origin.repository_name == "__repository__"


def test_the_code_location_has_the_same_name_everywhere() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert (
        tool["dagster"]["code_location_name"]
        == tool["dg"]["project"]["code_location_name"]
        == DEFAULT_LOCATION
    )
    for file, kind in (("workspace.yaml", "python_module"), ("deploy/workspace.yaml", "grpc_server")):
        (location,) = yaml.safe_load((ROOT / file).read_text())["load_from"]
        assert location[kind]["location_name"] == DEFAULT_LOCATION
