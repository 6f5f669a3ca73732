"""`selfdrive doctor`: each need fine, degraded or missing, and what mends it."""

import io
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from fakes.made_repository import MadeRepository
from fakes.selfdrive_program import selfdrive
from fakes.signers import key_of, line
from rich.console import Console

from selfdrive_dagster.cli.doctor import loop, machine, product, show
from selfdrive_dagster.cli.doctor.findings import Answer, Check, Finding, Patient, State, examine
from selfdrive_dagster.config import open_home
from selfdrive_dagster.errors import MissingTool, Refused


def patient(repo: Path, home: Path | None = None, **environ: str) -> Patient:
    found: Mapping[str, str] = {"SELFDRIVE_HOME": str(home or repo / "home"), **environ}
    return Patient.of(repo, found)


def look(need: str, whom: Patient) -> Answer:
    checks = (*machine.CHECKS, *product.CHECKS, *loop.CHECKS)
    found = examine(next(check for check in checks if check.need == need), whom)
    return Answer(found.state, found.says, found.mend)


@pytest.fixture
def shop(tmp_path: Path) -> MadeRepository:
    made = MadeRepository(tmp_path / "shop")
    made.write("tests/test_shop.py", "")
    made.write("selfdrive.toml", "")
    made.commit("Begin", shop__py="")
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all runs: the sandbox is tried out once."""
    return tmp_path_factory.mktemp("home")


def test_it_names_every_need_and_exits_by_the_worst(shop: MadeRepository, home: Path) -> None:
    said = selfdrive("doctor", "--json", cwd=shop.path, SELFDRIVE_HOME=str(home))
    told = {finding["need"]: finding for finding in said.json()}
    needs = ("python", "git", "sandbox", "home", "settings", "interpreter", "history", "dagster")
    assert all(told[need]["says"] for need in needs)
    worst = any(finding["state"] == "missing" for finding in told.values())
    assert said.code == (3 if worst else 0)


def test_a_missing_need_is_told_with_what_mends_it(shop: MadeRepository, home: Path) -> None:
    shop.write("selfdrive.toml", "[service]\nnmae = 1\n")
    said = selfdrive("doctor", cwd=shop.path, SELFDRIVE_HOME=str(home))
    assert said.code == 3
    assert "did you mean name?" in " ".join(said.out.split())


def test_settings(shop: MadeRepository) -> None:
    assert look("settings", patient(shop.path)).state is State.FINE
    (shop.path / "selfdrive.toml").unlink()
    assert look("settings", patient(shop.path)).mend == "selfdrive init"


def test_settings_without_effect_are_named(shop: MadeRepository) -> None:
    assert look("unused settings", patient(shop.path)).state is State.FINE
    shop.write("selfdrive.toml", '[service]\nsetup = "make"\n[notify]\nurls = ["mailto://a"]\n')
    found = look("unused settings", patient(shop.path))
    assert found.state is State.DEGRADED
    assert "not acted on yet: [service] setup, [notify] urls" in found.says


def test_code_and_tests(shop: MadeRepository, tmp_path: Path) -> None:
    assert look("code", patient(shop.path)).says == "shop.py"
    assert look("tests", patient(shop.path)).says == "tests"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert look("code", patient(empty)).state is State.DEGRADED
    assert look("tests", patient(empty)).state is State.DEGRADED


def test_source_files_that_do_not_parse_are_named(shop: MadeRepository) -> None:
    assert look("source files", patient(shop.path)).says == "1 parsed"
    shop.write("shop.py", "def price(:\n")
    shop.write("bag.py", "x = 1\0")
    found = look("source files", patient(shop.path))
    assert found.state is State.DEGRADED
    assert "2 of 2 do not parse: bag.py (" in found.says
    assert "shop.py (line 1: " in found.says


DRIVES = '[autonomy]\nlevel = "L3"\n'


def test_who_may_approve_is_read_at_the_head(shop: MadeRepository, tmp_path: Path) -> None:
    found = look("approvals", patient(shop.path))
    assert found.state is State.FINE
    assert "at level L1 your merge does" in found.says
    shop.write("selfdrive.toml", DRIVES)
    found = look("approvals", patient(shop.path))
    assert found.state is State.DEGRADED
    assert ".selfdrive/allowed_signers" in found.mend
    (tmp_path / ".ssh").mkdir()
    key = key_of(tmp_path / ".ssh", "id_ed25519")
    shop.write(".selfdrive/allowed_signers", line("ada@example.org", key))
    assert "no signature can approve" in look("approvals", patient(shop.path)).says
    shop.commit("Let Ada approve")
    assert "no key of this account" in look("approvals", patient(shop.path)).says
    found = look("approvals", patient(shop.path, HOME=str(tmp_path)))
    assert found.state is State.DEGRADED
    assert "ada@example.org may approve" in found.says
    assert "proves no person" in found.says


VERDICTS = {
    "all is there": ({}, "Ready for repair and up."),
    "less, but enough": ({"tests": State.DEGRADED}, "Ready for repair and up."),
    "the loop lacks something": (
        {"database": State.MISSING, "ports": State.DEGRADED},
        "Ready for repair; mend database, ports for up.",
    ),
    "both lack something": (
        {"git": State.MISSING},
        "Not ready; mend git for repair; mend git for up.",
    ),
}


@pytest.mark.parametrize(("states", "words"), VERDICTS.values(), ids=VERDICTS)
def test_the_last_line_is_a_verdict(states: Mapping[str, State], words: str) -> None:
    needs = ("git", "tests", "database", "ports")
    found = [Finding(need=n, state=states.get(n, State.FINE), says="a " * 60) for n in needs]
    console = Console(width=80, record=True, file=io.StringIO())
    show(found, console)
    lines = console.export_text().splitlines()
    assert lines[-1] == words
    assert max(map(len, lines)) <= 80


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    nowhere = patient(tmp_path / "nowhere", home=tmp_path)
    for check in product.CHECKS:
        assert examine(check, nowhere).state is not State.FINE


def test_the_interpreter_runs_and_has_pytest(shop: MadeRepository) -> None:
    found = look("interpreter", patient(shop.path))
    assert found.state is State.FINE
    assert "with pytest 9" in found.says
    assert sys.executable in found.says


@pytest.mark.parametrize(
    ("script", "words"),
    [("#!/bin/sh\nexit 1\n", "has no pytest"), ("#!/nowhere\n", "does not start")],
)
def test_an_interpreter_that_does_not_do(script: str, words: str, shop: MadeRepository) -> None:
    shop.write(".venv/bin/python", script).chmod(0o755)
    found = look("interpreter", patient(shop.path))
    assert found.state is State.MISSING
    assert words in found.says
    assert found.mend


@pytest.mark.parametrize("points_to", ["python3", "x" * 300], ids=["no x bit", "no look at it"])
def test_an_interpreter_that_may_not_be_run_is_one_row(
    points_to: str, shop: MadeRepository
) -> None:
    shop.write(".venv/bin/python3", "#!/bin/sh\n").chmod(0o644)
    (shop.path / ".venv/bin/python").symlink_to(points_to)
    whom = patient(shop.path)
    found = look("interpreter", whom)
    assert found.state is State.MISSING
    assert ".venv/bin/python does not start" in found.says
    assert "[service] python" in found.mend
    assert look("settings", whom).state is State.FINE
    assert look("in the sandbox", whom).state is State.MISSING


REMOTES = {
    "no origin": ("", State.FINE, "stay branches of this repository"),
    "an address": ("https://bot:hunter2@forge.example/x.git", State.FINE, "to https://forge"),
    "a path": ("./vendor/cache.git", State.MISSING, "is a path of this machine"),
    "a name nobody gave": ("up", State.MISSING, "no remote named 'up'"),
}


@pytest.mark.parametrize(("setting", "state", "words"), REMOTES.values(), ids=REMOTES)
def test_where_proposals_go(setting: str, state: State, words: str, shop: MadeRepository) -> None:
    shop.write("selfdrive.toml", f'[service]\nrepository = "{setting}"\n')
    found = look("remote", patient(shop.path))
    assert found.state is state
    assert words in found.says
    assert "hunter2" not in found.says + found.mend


def test_history(shop: MadeRepository, tmp_path: Path) -> None:
    assert look("history", patient(shop.path)).says == "main, all committed"
    shop.write("shop.py", "changed\n")
    assert "1 changed file is not seen" in look("history", patient(shop.path)).says
    (shop.path / ".git" / "index").write_bytes(b"junk")
    assert "unknown" in look("history", patient(shop.path)).says
    plain = tmp_path / "plain"
    plain.mkdir()
    assert look("history", patient(plain)).mend == "git init"
    MadeRepository(plain)
    assert look("history", patient(plain)).state is State.MISSING


def test_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert "will be made" in look("home", patient(tmp_path, home)).says
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    found = look("home", patient(tmp_path, home))
    assert found.state is State.MISSING
    assert found.mend.startswith(f"chmod 700 {home}")
    home.chmod(0o700)
    assert look("home", patient(tmp_path, home)).state is State.FINE


def test_the_home_of_somebody_else_is_not_theirs_to_close(tmp_path: Path) -> None:
    home = Path("/")  # who is not root finds it another's already
    if os.geteuid() == 0:
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        os.chown(home, 12_345, 12_345)
    found = look("home", patient(tmp_path, home))
    assert "belongs to another user" in found.says
    assert found.mend == "set SELFDRIVE_HOME to a folder of your own"
    with pytest.raises(Refused) as told:
        open_home({"SELFDRIVE_HOME": str(home)})
    assert told.value.remedy == found.mend


def test_ports_in_use(shop: MadeRepository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        shop.write("selfdrive.toml", f'[telemetry]\nlisten = "127.0.0.1:{port}"\n')
        assert f"127.0.0.1:{port} is in use" in look("ports", patient(shop.path)).says
    assert f":{port} is in use" not in look("ports", patient(shop.path)).says


def test_the_embedded_database(shop: MadeRepository) -> None:
    assert look("database", patient(shop.path)).state is State.FINE


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/x", "does not answer"),
        ("mysql://u:hunter2@h/x", "no PostgreSQL"),
        ("postgresql://u:hunter2@h:port/x", "no address"),
    ],
)
def test_a_named_database_that_does_not_do(url: str, words: str, shop: MadeRepository) -> None:
    found = look("database", patient(shop.path, SELFDRIVE_DATABASE_URL=url))
    assert found.state is State.MISSING
    assert words in found.says
    assert "hunter2" not in found.says + found.mend


def test_a_named_database_that_answers(shop: MadeRepository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql+psycopg2://u@127.0.0.1:{server.getsockname()[1]}/x"
        assert look("database", patient(shop.path, SELFDRIVE_DATABASE_URL=url)).state is State.FINE


def test_dagsters_packages_agree(shop: MadeRepository) -> None:
    assert look("dagster", patient(shop.path)).state is State.FINE


def test_a_key_for_claude_is_needed_only_when_chosen(shop: MadeRepository) -> None:
    assert look("claude", patient(shop.path)).state is State.FINE
    shop.write("selfdrive.toml", '[patches]\ngenerators = ["builtin", "claude"]\n')
    assert look("claude", patient(shop.path)).state is State.MISSING


CLAUDES = {
    "no money": ("", State.DEGRADED, "budget_usd_per_day is 0"),
    "no price": (
        'budget_usd_per_day = 1\nmodel = "claude-nobody"\n', State.MISSING, "price of claude-nobody"
    ),
    "own price": (
        'budget_usd_per_day = 1.5\nmodel = "mine"\nprices = {mine = {input = 1, output = 2}}\n',
        State.FINE,
        "mine at api.anthropic.com for at most $1.5 a day",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "state", "says"), CLAUDES.values(), ids=CLAUDES)
def test_a_key_alone_does_not_make_claude_draft(
    shop: MadeRepository, lines: str, state: State, says: str
) -> None:
    shop.write("selfdrive.toml", f'[patches]\ngenerators = ["builtin", "claude"]\n{lines}')
    found = look("claude", patient(shop.path, ANTHROPIC_API_KEY="hunter2"))
    assert (found.state, says in found.says) == (state, True), found
    assert "hunter2" not in found.says


def test_a_proxy_is_needed_only_when_chosen(shop: MadeRepository) -> None:
    assert "none needed" in look("proxy", patient(shop.path)).says
    shop.write("selfdrive.toml", '[rollout]\nactuator = "traefik"\nrun = "serve {port}"\n')
    assert "Traefik at /" in look("proxy", patient(shop.path)).says


def test_a_thrown_kill_switch_is_told(shop: MadeRepository, tmp_path: Path) -> None:
    assert look("kill switch", patient(shop.path, tmp_path)).state is State.FINE
    (tmp_path / "STOP").symlink_to("nowhere")
    found = look("kill switch", patient(shop.path, tmp_path))
    assert (found.state, found.mend) == (State.DEGRADED, f"rm {tmp_path / 'STOP'}")


def test_an_error_inside_a_check_is_its_answer(shop: MadeRepository) -> None:
    def fail(whom: Patient) -> Answer:
        raise MissingTool(f"nothing at {whom.home}", remedy="get it")

    found = examine(Check("a need", fail), patient(shop.path))
    assert (found.state, found.mend) == (State.MISSING, "get it")


def test_a_refusal_of_the_system_inside_a_check_is_its_answer(shop: MadeRepository) -> None:
    def fail(whom: Patient) -> Answer:
        raise PermissionError(13, "Permission denied", str(whom.repo))

    found = examine(Check("a need", fail), patient(shop.path))
    assert found.state is State.MISSING
    assert f"Permission denied: {shop.path}" in found.says


ENGINES = {
    "DuckDB is always there": ("", {}, State.FINE, "duckdb"),
    "no Java": ("spark", {"PATH": "/nowhere"}, State.MISSING, "Java 17 or newer: there is none"),
    "JAVA_HOME of a Java that is gone": (
        "spark",
        {"JAVA_HOME": "/nowhere"},
        State.MISSING,
        "holds no bin/java",
    ),
    "a Java that is too old": ("spark", {"JAVA_HOME": "{old}"}, State.MISSING, 'version "11.0.2"'),
}


@pytest.mark.parametrize("name", ENGINES)
def test_the_engine_of_the_models_is_looked_for(
    name: str, shop: MadeRepository, tmp_path: Path
) -> None:
    engine, environ, state, says = ENGINES[name]
    if engine:
        shop.write("selfdrive.toml", f'[warehouse]\nengine = "{engine}"\n')
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    told = {key: value.format(old=tmp_path) for key, value in environ.items()}
    answer = look("engine", patient(shop.path, tmp_path / "home", **told))
    assert answer.state is state
    assert says in answer.says
    assert (answer.mend == "") == (state is State.FINE)


def test_a_recorder_that_wrote_nothing_is_told(shop: MadeRepository) -> None:
    assert look("good calls", patient(shop.path)).state is State.FINE
    shop.write("selfdrive.toml", '[telemetry]\ngood_calls = "calls.jsonl"\n')
    empty = look("good calls", patient(shop.path))
    assert empty.state is State.DEGRADED
    assert "calls.jsonl holds no call" in empty.says
    shop.write("calls.jsonl", '{"method": "GET", "path": "/", "status": 200}\n')
    assert (
        look("good calls", patient(shop.path)).says == "1 of calls.jsonl are sent to base and patch"
    )
