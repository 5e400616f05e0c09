"""Dagster as services with PostgreSQL: what deploy/ contains is started as its units say, or checked."""

import importlib.metadata
import importlib.util
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
import yaml
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import WorkerStatus
from dagster._grpc.types import GetCurrentRunsResult

from vision_assets import settings
from vision_assets_tests.cli.test_command_line import free_port
from vision_assets_tests.pipeline import ALL_ASSETS, WORDS, defs
from vision_assets_tests.systems.processes import until

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
INSTALLED = "/opt/vision_assets"
SERVICES = ("code", "webserver", "daemon")
PASSWORD = "no secret: of a server that lives for a test"
BIN = Path(sys.executable).parent


def missing() -> str:
    """Return what a server and Dagster's storage in it lack here."""
    if importlib.util.find_spec("dagster_postgres") is None:
        return "dagster-postgres is missing; install it with 'pip install -r deploy/requirements.lock'"
    if not postgresql_bin():
        return "PostgreSQL is missing; install it with 'sudo apt-get install postgresql'"
    return ""


def postgresql_bin() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: int(folder.parent.name), default=None)


def unprivileged() -> str | None:
    """Return the user to run PostgreSQL as, since it refuses root; None to keep a user who is not root."""
    if os.geteuid():
        return None
    return "postgres" if any(user.pw_name == "postgres" for user in pwd.getpwall()) else "nobody"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[dict[str, str]]:
    """Start a server with an empty database; return the environment that leads Dagster to it."""
    if lacks := missing():
        if os.environ.get("CI"):
            pytest.fail(lacks, pytrace=False)
        pytest.skip(lacks)
    commands, user, port = postgresql_bin(), unprivileged(), str(free_port())
    assert commands is not None
    # Not in pytest's folder, which is closed to others than the user of the tests.
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as folder:
        cluster, password, log = Path(folder, "cluster"), Path(folder, "password"), Path(folder, "log")
        password.write_text(PASSWORD)
        if user:
            for path in (Path(folder), password):
                shutil.chown(path, user)
        initdb = f"{commands}/initdb -D {cluster} -U dagster -A scram-sha-256 -N -E UTF8 --pwfile {password}"
        subprocess.run(initdb.split(), user=user, check=True, capture_output=True)
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off"}
        configured = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with log.open("wb") as stream:
            server = subprocess.Popen(
                [commands / "postgres", "-D", cluster, "-p", port, *configured],
                user=user,
                stdout=stream,
                stderr=stream,
            )
        try:
            ready = f"{commands}/pg_isready -q -h 127.0.0.1 -p {port}".split()
            until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL is ready")
            yield {
                "DAGSTER_PG_HOST": "127.0.0.1",
                "DAGSTER_PG_PORT": port,
                "DAGSTER_PG_USER": "dagster",
                "DAGSTER_PG_PASSWORD": PASSWORD,
                "DAGSTER_PG_DB": "postgres",
            }
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def entries(unit: Path, name: str) -> list[str]:
    """Return the values of a setting of a unit."""
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{name}=")]


def command(line: str, environment: dict[str, str] | None = None) -> list[str]:
    """Return a command line of a unit or container as it is here."""
    for name, value in (environment or {}).items():
        line = line.replace(f"${{{name}}}", value)
    here = line.replace(f"{INSTALLED}/.venv/bin", str(BIN)).replace(INSTALLED, str(ROOT))
    return shlex.split(here)


class Dagster(NamedTuple):
    """The three services, and the address of the page."""

    url: str
    home: Path
    data: Path
    environment: dict[str, str]
    logs: Path

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.url}/graphql", body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def log(self, name: str) -> str:
        return (self.logs / name).read_text()[-3000:]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def services(postgresql: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    """Start code server, webserver and daemon by the command lines of their units."""
    folder = tmp_path_factory.mktemp("deployed")
    home, data, logs, page = folder / "dagster", folder / "data", folder / "logs", free_port()
    for made in (home, logs):
        made.mkdir()
    (home / "dagster.yaml").symlink_to(DEPLOY / "dagster.yaml")
    environment = postgresql | {
        "DAGSTER_HOME": str(home),
        settings.DATA: str(data),
        settings.PICTURES: "no",
        "VISION_ASSETS_CODE_HOST": "127.0.0.1",
        "VISION_ASSETS_CODE_PORT": str(free_port()),
        # What tests themselves have installed elsewhere stays within reach.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(DEPLOY), os.environ.get("PYTHONPATH")))),
        "PYTHONWARNINGS": "ignore::FutureWarning",
    }
    processes = []
    try:
        for name in SERVICES:
            unit = DEPLOY / "systemd" / f"vision-assets-{name}.service"
            (line,) = entries(unit, "ExecStart")
            with (logs / name).open("wb") as stream:
                process = subprocess.Popen(
                    command(line.replace("3000", str(page)), environment),
                    cwd=folder,
                    env=os.environ | environment,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                )
            processes.append(process)
        url = f"http://127.0.0.1:{page}"
        until(lambda: answers(f"{url}/server_info"), "the page answers")
        yield Dagster(url, home, data, environment, logs)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                # The code server waits for its runs.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


LOCATION = """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
    ... on PythonError { message } ... on RepositoryLocation {
        repositories { name jobs { name } sensors { name } } } } } } } }"""
LAUNCH = """mutation($selector: JobOrPipelineSelector!, $config: RunConfigData!) {
    launchRun(executionParams: {selector: $selector, runConfigData: $config}) {
        __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
MATERIALIZED = "{ assetNodes { assetKey { path } assetMaterializations(limit: 1) { runId } } }"
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"


@pytest.mark.storage("PostgreSQL")
def test_the_workspace_names_the_code_server_of_the_unit(services: Dagster) -> None:
    def loaded() -> Any:
        entries_ = services.ask(LOCATION)["workspaceOrError"]["locationEntries"]
        return entries_ if (entries_[0]["locationOrLoadError"] or {}).get("repositories") else None

    (location,) = until(loaded, "the code location is loaded")
    assert location["name"] == "vision_assets"
    (repository,) = location["locationOrLoadError"]["repositories"]
    assert "bovw_pipeline" in {job["name"] for job in repository["jobs"]}
    assert {sensor["name"] for sensor in repository["sensors"]} == {
        sensor.name for sensor in defs.sensors or []
    }


@pytest.mark.storage("PostgreSQL")
def test_a_run_is_queued_started_and_kept_in_postgresql(services: Dagster, image_folder: Path) -> None:
    config = {
        "ops": {
            "image_seqfile": {"config": {"source": str(image_folder)}},
            "kmeans_dictionary": {"config": {"k": WORDS}},
            "image_classifier": {"config": {"splits": 1}},
        }
    }
    selector = {
        "repositoryLocationName": "vision_assets",
        "repositoryName": "__repository__",
        "jobName": "bovw_pipeline",
    }
    launched = services.ask(LAUNCH, selector=selector, config=config)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = launched["run"]["runId"]

    def ended() -> str:
        status = str(services.ask(STATUS, run=run)["runOrError"]["status"])
        return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else ""

    assert until(ended, "the run has ended", seconds=240) == "SUCCESS", services.log("code")
    # The run is a process of the code server; this one asks the webserver.
    nodes = services.ask(MATERIALIZED)["assetNodes"]
    made_by = {
        node["assetKey"]["path"][0]: [made["runId"] for made in node["assetMaterializations"]]
        for node in nodes
    }
    assert {asset: runs for asset, runs in made_by.items() if runs} == {asset: [run] for asset in ALL_ASSETS}
    statuses = services.ask(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert [status for status in statuses if status["required"] and not status["healthy"]] == []
    assert list(services.home.rglob("*.db")) == [], "nothing is in SQLite"
    assert sorted(path.name for path in services.data.iterdir()) == sorted(ALL_ASSETS)


@pytest.mark.storage("PostgreSQL")
def test_another_process_reads_what_the_run_has_left(services: Dagster) -> None:
    code = (
        "import dagster as dg, json\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    print(type(instance.event_log_storage).__name__)\n"
        "    made = filter(instance.get_latest_materialization_event, instance.all_asset_keys())\n"
        "    print(json.dumps([key.to_user_string() for key in made]))\n"
    )
    read = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | services.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    storage, keys = read.stdout.splitlines()
    assert storage == "PostgresEventLogStorage"
    assert sorted(json.loads(keys)) == sorted(ALL_ASSETS)


class Server:
    """A code server that knows of some runs, or does not answer."""

    def __init__(self, *runs: str, answers: bool = True) -> None:
        self.runs, self.answers = runs, answers

    def get_current_runs(self) -> str:
        if not self.answers:
            raise DagsterUserCodeUnreachableError("connection refused")
        return dg.serialize_value(GetCurrentRunsResult(current_runs=self.runs, serializable_error_info=None))


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (Server("another", "this"), WorkerStatus.RUNNING),
        (Server("another"), WorkerStatus.NOT_FOUND),
        (Server(answers=False), WorkerStatus.RUNNING),
        (None, WorkerStatus.RUNNING),
    ],
)
def test_a_run_is_dead_if_its_code_server_answers_and_does_not_know_it(
    server: Server | None, expected: WorkerStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DEPLOY))
    launcher: Any = importlib.import_module("run_launcher").MonitoredRunLauncher()
    monkeypatch.setattr(launcher, "_get_grpc_client_for_termination", lambda run_id: server)
    run = dg.DagsterRun(job_name="bovw_pipeline", run_id="this", status=dg.DagsterRunStatus.STARTED)
    assert launcher.supports_check_run_worker_health
    assert launcher.check_run_worker_health(run).status is expected


def example() -> dict[str, str]:
    """Return the settings of the example, those in comments too."""
    lines = (DEPLOY / "vision_assets.env.example").read_text().splitlines()
    pairs = [line.removeprefix("# ").partition("=") for line in lines if re.match(r"(# )?[A-Z_]+=", line)]
    return {name: value for name, _, value in pairs}


def asked_of_the_environment(file: str) -> set[str]:
    return set(re.findall(r"env: (\w+)", (DEPLOY / file).read_text()))


def check_command(words: list[str]) -> None:
    if words[:2] == ["sh", "-c"]:
        for part in words[2].replace("exec ", "").split(" && "):
            check_command(command(part))
        return
    program = Path(words[0]) if Path(words[0]).is_absolute() else BIN / words[0]
    assert program.is_file(), words[0]
    for word in words[1:]:
        if word.startswith(str(ROOT)):
            assert Path(word).is_file(), word
    if "-m" in words:
        module = words[words.index("-m") + 1]
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_names_what_exists(unit: Path) -> None:
    for line in (*entries(unit, "ExecStartPre"), *entries(unit, "ExecStart")):
        check_command(command(line))
    assert (DEPLOY / "run_launcher.py").is_file()
    assert f"PYTHONPATH={INSTALLED}/deploy" in entries(unit, "Environment")
    given = {entry.partition("=")[0] for entry in entries(unit, "Environment")} | set(example())
    assert asked_of_the_environment("dagster.yaml") | asked_of_the_environment("workspace.yaml") <= given
    names = {file.name for file in (DEPLOY / "systemd").iterdir()}
    for other in re.findall(r"vision-assets[\w-]*\.\w+", unit.read_text()):
        assert other in names
    assert {unit.stem.removeprefix("vision-assets-") for unit in UNITS} == set(SERVICES)


def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is missing")
    for file in (DEPLOY / "systemd").iterdir():
        text = file.read_text().replace(f"{INSTALLED}/.venv/bin", str(BIN)).replace(INSTALLED, str(ROOT))
        (tmp_path / file.name).write_text(text)
    verified = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    # Faults in other units of the machine are not this project's.
    lines = [line for line in verified.stderr.splitlines() if "vision-assets" in line]
    assert lines == []


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def test_the_compose_file_names_what_exists() -> None:
    file = compose()
    services = file["services"]
    assert set(services) == {"postgres", *SERVICES}
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert other == "code" or "healthcheck" in services[other], (
                "the code server's is in the Dockerfile"
            )
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in file["volumes"] or source.startswith("${"), volume
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        if name in SERVICES:
            context = DEPLOY / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).is_file()
            assert (DEPLOY / f"{service['env_file']}.example").is_file()
            if "command" in service:
                check_command([word.replace(INSTALLED, str(ROOT)) for word in service["command"]])
            given = set(service["environment"]) | set(example())
            assert (
                asked_of_the_environment("dagster.yaml") | asked_of_the_environment("workspace.yaml") <= given
            )
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", text)) <= set(example())


def test_the_dockerfile_names_what_exists() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    let_through = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in let_through, source
    (words,) = re.findall(r"^HEALTHCHECK .* CMD (\[.+\])$", text, re.MULTILINE)
    check_command(json.loads(words))
    (words,) = re.findall(r"^CMD (\[.+\])$", text, re.MULTILINE)
    check_command(json.loads(words))


def test_the_locked_storage_is_of_the_installed_dagster() -> None:
    lock = (DEPLOY / "requirements.lock").read_text()
    (locked,) = re.findall(r"^dagster-postgres==(\S+) ", lock, re.MULTILINE)
    _, minor, patch = importlib.metadata.version("dagster").split(".")
    # Libraries of Dagster have its number with 0 for 1, and 16 more in the middle.
    assert locked == f"0.{int(minor) + 16}.{patch}"
