"""`selfdrive.toml` and the home: what is read, what is refused, and how it is told."""

import sys
from pathlib import Path

import pytest

from selfdrive_dagster.config import (
    Found,
    Settings,
    Telemetry,
    discover,
    home_path,
    load,
    not_acted_on,
    open_home,
    parse,
)
from selfdrive_dagster.errors import BadInput, Refused, SettingsError

CASES = Path(__file__).parent / "cases" / "settings"


def make(repo: Path, *files: str) -> Path:
    for name in files:
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).touch()
    return repo


@pytest.mark.parametrize("case", sorted(CASES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_fault_is_told_at_once(case: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(case.read_text(), tmp_path / "selfdrive.toml")
    assert list(caught.value.faults) == case.with_suffix(".faults").read_text().splitlines()
    assert str(tmp_path / "selfdrive.toml") in str(caught.value)


def test_a_secret_in_a_faulty_address_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        parse('[notify]\nurls = ["hunter2"]\n[telemetry]\nforward = "hunter3"', tmp_path / "s")
    assert "hunter" not in str(caught.value)


ROLLOUTS = {
    'actuator = "traefik"': '[rollout] run is not set; it wants a command, like "python -m shop',
    'run = "python -m shop"': "[rollout] run is 'python -m shop'; it wants {port} where",
    'run = "shop \'{port}"': "it wants quotes that are closed",
    'health = "health"': "[rollout] health is 'health'; it wants a path, like \"/health\"",
    'listen = "8000"': "[rollout] listen is '8000'; it wants \"host:port\"",
    "environment = {RELEASE = 1}": "it wants a table of texts, like {RELEASE =",
}


@pytest.mark.parametrize(("line", "fault"), ROLLOUTS.items())
def test_a_rollout_that_could_not_serve_is_told(line: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(f"[rollout]\n{line}", tmp_path / "selfdrive.toml")
    (told,) = caught.value.faults
    assert fault in told


UNUSED = {
    '[service]\nsetup = "make"': ("[service] setup",),
    '[autonomy]\nlevel = "L3"': ('[autonomy] level "L3" without a [rollout] actuator',),
    '[autonomy]\nlevel = "L4"': (
        '[autonomy] level above "L3"',
        '[autonomy] level "L3" without a [rollout] actuator',
    ),
    '[patches]\ngenerators = ["claude"]\nbudget_usd_per_day = 0.5\nmodel = "x"': (),
    '[notify]\nurls = ["mailto://a"]': ("[notify] urls",),
    '[telemetry]\naccept = ["otlp"]\ncapture_arguments = false\n[autonomy]\nlevel = "L2"': (),
    "": (),
}


@pytest.mark.parametrize(("text", "names"), UNUSED.items())
def test_settings_that_nothing_acts_on_are_known(text: str, names: object, tmp_path: Path) -> None:
    assert not_acted_on(parse(text, tmp_path / "selfdrive.toml")) == names


FORWARDS = [
    ("https://hunter2@sentry.example/sub/7", "https://sentry.example/sub/7"),
    ("http://k:hunter2@localhost:9000/1", "http://localhost:9000/1"),
    ("", ""),
]


@pytest.mark.parametrize(("dsn", "shown"), FORWARDS)
def test_where_telemetry_goes_on_to_is_shown_without_the_key(dsn: str, shown: str) -> None:
    assert Telemetry(forward=dsn).forwards_to() == shown


def test_broken_toml_names_file_and_place(tmp_path: Path) -> None:
    (tmp_path / "selfdrive.toml").write_text("[service\nname = 3")
    with pytest.raises(SettingsError, match=r"selfdrive\.toml.*\n.*line 1"):
        load(tmp_path)


def test_bytes_that_are_no_text_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "selfdrive.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="UTF-8"):
        load(tmp_path)


@pytest.mark.parametrize("missing", ["nowhere", "a_file"])
def test_a_repository_that_is_no_folder_is_told(missing: str, tmp_path: Path) -> None:
    make(tmp_path, "a_file")
    with pytest.raises(BadInput, match=missing):
        load(tmp_path / missing)


def test_without_a_file_the_repository_speaks(tmp_path: Path) -> None:
    make(tmp_path, "shop/__init__.py", "tests/test_shop.py")
    settings = load(tmp_path, {})
    assert settings.service.source == ("shop",)
    assert settings.service.name == tmp_path.name
    assert settings.service.python == sys.executable
    assert settings.autonomy.level == "L1"
    assert settings == Settings.default_for(discover(tmp_path, {}))


def test_the_file_wins_and_leaves_the_rest_to_the_repository(tmp_path: Path) -> None:
    make(tmp_path, "shop/__init__.py", "other/__init__.py")
    (tmp_path / "selfdrive.toml").write_text('[service]\nsource = ["other"]\n')
    settings = load(tmp_path)
    assert settings.service.source == ("other",)
    assert settings.service.name == tmp_path.name


def test_the_isolated_tests_are_the_ones_that_run_in_the_sandbox(tmp_path: Path) -> None:
    text = "[service]\ntests = 'pytest -q'\ntests_isolated = \"python -m pytest -m 'not db' t\""
    assert parse(text, tmp_path / "s").service.test_arguments() == ("-m", "not db", "t")


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_addresses(listen: str, address: tuple[str, int], tmp_path: Path) -> None:
    assert parse(f'[telemetry]\nlisten = "{listen}"', tmp_path / "s").telemetry.address() == address


LAYOUTS = [
    (
        "package_at_the_top",
        ["shop/__init__.py", "tests/__init__.py", "docs/__init__.py"],
        ("shop",),
    ),
    ("src_layout", ["src/shop/__init__.py", "setup.py"], ("src/shop",)),
    ("single_module", ["parse.py", "setup.py", "test_parse.py", "conftest.py"], ("parse.py",)),
    ("package_and_module", ["shop/__init__.py", "manage.py"], ("manage.py", "shop")),
    ("one_folder_down", ["back-end/app/__init__.py", "front/index.js"], ("back-end/app",)),
    ("loose_code", ["service/main.py", "service/util.py"], ("service",)),
    ("hidden_environment", [".venv/lib/site.py", ".git/hook.py"], ()),
    ("nothing", ["readme.md"], ()),
]


@pytest.mark.parametrize(("files", "source"), [c[1:] for c in LAYOUTS], ids=[c[0] for c in LAYOUTS])
def test_source_is_found(files: list[str], source: tuple[str, ...], tmp_path: Path) -> None:
    found = discover(make(tmp_path, *files), {})
    assert found.source == source
    assert any("[service] source" in gap for gap in found.missing) == (not source)


@pytest.mark.parametrize(
    ("files", "tests"),
    [
        (["tests/unit/test_a.py", "test_b.py"], ("test_b.py", "tests")),
        (["shop/__init__.py", "shop/tests/test_a.py"], ("shop/tests",)),
        (["tests/readme.md"], ()),
    ],
)
def test_tests_are_found(files: list[str], tests: tuple[str, ...], tmp_path: Path) -> None:
    found = discover(make(tmp_path, *files), {})
    assert found.tests == tests
    assert any("No tests" in gap for gap in found.missing) == (not tests)


def fake_python(folder: Path) -> Path:
    python = make(folder, "bin/python") / "bin" / "python"
    python.chmod(0o755)
    return python


def test_the_products_own_interpreter_comes_before_the_active_one(tmp_path: Path) -> None:
    repo, active = tmp_path / "repo", tmp_path / "active"
    environ = {"VIRTUAL_ENV": str(active)}
    own, other = fake_python(repo / "venv"), fake_python(active)
    assert discover(repo, environ).python == str(own)
    own.chmod(0o644)  # not to be run is no reason to judge the product with another one
    assert discover(repo, environ).python == str(own)
    own.unlink()
    assert discover(repo, environ).python == str(other)
    assert discover(repo, {}).python_from == "this program"


def test_a_relative_interpreter_starts_at_the_repository(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "env311")
    (tmp_path / "selfdrive.toml").write_text('[service]\npython = "env311/bin/python"')
    assert load(tmp_path).service.python == str(python)


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings.default_for(
            Found(name="x", source=(), tests=(), python="p", python_from="")
        ).path = "changed"  # type: ignore[misc]


def test_home_follows_the_environment(tmp_path: Path) -> None:
    assert home_path({"SELFDRIVE_HOME": str(tmp_path)}) == tmp_path
    assert home_path({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "selfdrive"
    assert home_path({"XDG_DATA_HOME": "relative"}) == home_path({})


def test_home_is_made_private_and_found_again(tmp_path: Path) -> None:
    environ = {"SELFDRIVE_HOME": str(tmp_path / "deep" / "home")}
    assert open_home(environ).stat().st_mode & 0o777 == 0o700
    assert open_home(environ) == tmp_path / "deep" / "home"


def test_an_open_home_that_we_did_not_make_is_refused_not_changed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    with pytest.raises(Refused, match="open to others"):
        open_home({"SELFDRIVE_HOME": str(home)})
    assert home.stat().st_mode & 0o777 == 0o755


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not a directory"):
        open_home({"SELFDRIVE_HOME": str(make(tmp_path, "home") / "home")})
    with pytest.raises(BadInput, match="SELFDRIVE_HOME"):
        open_home({"SELFDRIVE_HOME": str(tmp_path / "home" / "below")})
