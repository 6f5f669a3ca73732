"""The embedded server, with real processes: it lives as long as its users and loses nothing."""

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from selfdrive_dagster.adapters.postgres import connect, open_database
from selfdrive_dagster.adapters.postgres.binaries import (
    Owner,
    copied,
    owner_of,
    programs,
    reachable,
)
from selfdrive_dagster.adapters.postgres.locks import Place
from selfdrive_dagster.adapters.postgres.server import SOCKET_BYTES, socket_folder
from selfdrive_dagster.errors import BadInput, Busy, MissingTool, SelfdriveError

HOLDER = """
import sys, time
from pathlib import Path
from sqlalchemy import text
from selfdrive_dagster.adapters.postgres import connect, open_database
with open_database(Path(sys.argv[1])) as url:
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(1)"))  # IF NOT EXISTS alone races
        connection.execute(text("CREATE TABLE IF NOT EXISTS kept (n int)"))
        connection.execute(text("INSERT INTO kept VALUES (1)"))
    print(url, flush=True)
    sys.stdin.readline()
    engine.dispose()
"""


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that was used once: copies of it save each test the making of a database."""
    folder = tmp_path_factory.mktemp("seed") / "home"
    with open_database(folder):
        pass
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """A home that is not there yet; at the end no server may be left in it."""
    folder = tmp_path / "home"
    yield folder
    wait_for(lambda: not servers(folder), "a server was left behind", lambda: servers(folder))


@pytest.fixture
def home(fresh: Path, seed: Path) -> Path:
    """A home that was used before."""
    subprocess.run(["cp", "-a", seed, fresh], check=True)
    return fresh


def opening(home: Path) -> subprocess.Popen:
    """Start another process that opens the database, notes a row, says its URL and stays."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def hold(home: Path) -> subprocess.Popen:
    """The same, ready."""
    holder = opening(home)
    assert holder.stdout.readline().startswith(b"postgresql+psycopg2://")
    return holder


def servers(home: Path) -> list[psutil.Process]:
    """Every process that stands in this home's data directory, and its keeper."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            keeps = "keeper.py" in command and str(home) in command
            if keeps or process.cwd() == str(home / "postgres"):
                found.append(process)
        except psutil.Error:
            continue  # gone while we looked, or a kernel thread
    return found


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))


def rows(url: str) -> int:
    engine = connect(url)
    with engine.connect() as connection:
        count = connection.scalar(text("SELECT count(*) FROM kept"))
    engine.dispose()
    return count


def wait_for(
    condition: Callable[[], bool], says: str, told: Callable[[], object] = str, seconds: float = 15
) -> None:
    """Wait; in the end say what is wrong, and what `told` knows of it then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{says}: {told()}"
        time.sleep(0.05)


def let_go(holder: subprocess.Popen) -> None:
    holder.communicate(b"done\n", timeout=30)
    assert holder.returncode == 0


def test_two_starts_in_a_row_keep_everything_private_and_leave_nothing(
    fresh: Path, tmp_path: Path
) -> None:
    (fresh / "postgres.new").mkdir(parents=True, mode=0o700)  # an earlier try, killed halfway
    (fresh / "postgres.new" / "PG_VERSION").write_text("18")
    fresh.chmod(0o700)
    modes = {p: p.stat().st_mode for p in tmp_path.parents}
    for expected in (1, 2):
        let_go(hold(fresh))
        assert not servers(fresh)  # ended before the block ended
        with open_database(fresh) as url:
            assert rows(url) == expected
    assert {p: p.stat().st_mode for p in tmp_path.parents} == modes
    assert not (fresh / "postgres.new").exists()
    for private in (fresh, fresh / "postgres", fresh / "run", fresh / "logs"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_nothing_listens_on_tcp_and_writes_are_synced(home: Path) -> None:
    with open_database(home) as url:
        assert not postmaster(home).net_connections(kind="inet")
        engine = connect(url)
        with engine.connect() as connection:
            shown = {
                name: connection.scalar(text(f"SHOW {name}"))
                for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums")
            }
            role = connection.scalar(text("SHOW max_connections"))
        engine.dispose()
    assert set(shown.values()) == {"on"}
    assert int(role) >= 100


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must step down")
def test_root_hands_the_server_to_an_unprivileged_account_in_a_closed_home(home: Path) -> None:
    with open_database(home):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert 0 not in postmaster(home).uids()
        assert 0 not in postmaster(home).gids()
        groups = Path(f"/proc/{postmaster(home).pid}/status").read_text()
        assert "\nGroups:\t \n" in groups.replace("Groups:\t\n", "Groups:\t \n")


def test_a_second_process_joins_and_may_stay_longer_than_the_first(home: Path) -> None:
    first = hold(home)
    second = hold(home)
    pid = postmaster(home).pid
    let_go(first)
    with open_database(home) as url:  # a third comes and goes
        assert rows(url) == 2
    assert postmaster(home).pid == pid
    let_go(second)
    assert not servers(home)


def test_many_start_at_once_on_a_fresh_home(fresh: Path) -> None:
    holders = [opening(fresh) for _ in range(3)]
    urls = {holder.stdout.readline() for holder in holders}
    assert len(urls) == 1
    with open_database(fresh) as url:
        assert rows(url) == 3
    for holder in holders:
        let_go(holder)


def test_kill_9_of_the_only_user_stops_the_server(home: Path) -> None:
    holder = hold(home)
    assert servers(home)
    holder.kill()
    holder.communicate()
    wait_for(lambda: not servers(home), "the server outlived its user")
    with open_database(home) as url:
        assert rows(url) == 1


def test_kill_9_of_everything_loses_no_committed_row(home: Path) -> None:
    for expected in (1, 2):
        holder = hold(home)
        for process in [psutil.Process(holder.pid), *servers(home)]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue  # its postmaster died first, and it noticed
        holder.communicate()
        with open_database(home) as url:
            assert rows(url) == expected


INSERTER = """
import sys
from pathlib import Path
import psycopg2
from selfdrive_dagster.adapters.postgres import open_database
home = sys.argv[1]
with open_database(Path(home)):
    connection = psycopg2.connect(host=home + "/postgres", user="selfdrive", dbname="postgres")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
    while True:
        cursor.execute("INSERT INTO kept VALUES (1)")
        print("committed", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed_number", range(10))
def test_kill_9_at_a_random_moment_loses_no_acknowledged_row(home: Path, seed_number: int) -> None:
    print("seed", seed_number)
    chance = random.Random(seed_number)
    inserter = subprocess.Popen(
        [sys.executable, "-c", INSERTER, str(home)], stdout=subprocess.PIPE, text=True
    )
    assert inserter.stdout.readline() == "committed\n"
    time.sleep(chance.uniform(0, 0.5))
    victims = [psutil.Process(inserter.pid), *servers(home)]
    chance.shuffle(victims)
    for process in victims:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    acknowledged = 1 + inserter.communicate()[0].count("committed\n")
    with open_database(home) as url:
        assert rows(url) in (acknowledged, acknowledged + 1)  # one may not have been told


def test_kill_9_of_the_keeper_takes_the_server_with_it(home: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent died")
    holder = hold(home)
    postmaster(home).parent().kill()
    wait_for(lambda: not servers(home), "the server outlived its keeper")
    with open_database(home) as url:  # and the next one starts it again beside the old user
        assert rows(url) == 1
    let_go(holder)


def test_kill_9_of_the_postmaster_ends_the_keeper(home: Path) -> None:
    holder = hold(home)
    postmaster(home).kill()
    wait_for(lambda: not servers(home), "something stayed")
    let_go(holder)


def test_a_pid_that_was_given_to_somebody_else_does_not_stop_us(home: Path) -> None:
    holder = hold(home)
    for process in [psutil.Process(holder.pid), *servers(home)]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    holder.communicate()
    wait_for(lambda: not servers(home), "something stayed")
    data = home / "postgres"
    owner = owner_of(data)
    stranger = subprocess.Popen(["sleep", "60"], **owner.identity())  # PostgreSQL would refuse
    try:
        pid_file = data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with open_database(home) as url:
            assert rows(url) == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_started_by_hand_is_left_alone(home: Path, tmp_path: Path) -> None:
    with open_database(home):
        pass
    data = home / "postgres"
    wait_for(lambda: not (data / "postmaster.pid").exists(), "the first server did not end")
    owner = owner_of(data)
    command = [str(programs(data, owner) / "postgres"), "-D", "/proc/self/cwd"]
    words = tmp_path / "words"
    with words.open("wb") as stderr:
        by_hand = subprocess.Popen(
            [*command, "-c", "listen_addresses=", "-c", "unix_socket_directories=."],
            cwd=data,
            stderr=stderr,
            **owner.identity(),
        )
    try:
        wait_for(
            lambda: (data / ".s.PGSQL.5432").exists(),
            "it did not start",
            lambda: (by_hand.poll(), words.read_text()),
        )
        with pytest.raises(Busy, match="started by hand"), open_database(home):
            pass
        assert by_hand.poll() is None
    finally:
        by_hand.send_signal(signal.SIGINT)
        by_hand.wait(30)


def test_a_foreign_directory_is_not_touched(fresh: Path) -> None:
    (fresh / "postgres").mkdir(parents=True)
    (fresh / "postgres" / "letters").write_text("mine")
    with pytest.raises(BadInput, match="not a PostgreSQL data directory"), open_database(fresh):
        pass
    assert (fresh / "postgres" / "letters").read_text() == "mine"


def test_a_server_that_cannot_start_tells_its_last_words(home: Path) -> None:
    with open_database(home):
        pass
    conf = home / "postgres" / "postgresql.auto.conf"
    conf.write_text("no_such_setting = 1\n")
    with pytest.raises(SelfdriveError, match="no_such_setting"), open_database(home):
        pass


def test_data_of_an_unknown_version_names_what_is_missing(home: Path) -> None:
    with open_database(home):
        pass
    (home / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(MissingTool, match=r"PostgreSQL 9 is not installed"), open_database(home):
        pass


def test_a_stopped_server_is_waited_for_with_progress_and_an_end(home: Path) -> None:
    holder = hold(home)
    frozen = postmaster(home)
    frozen.suspend()
    try:
        said: list[str] = []
        with (
            pytest.raises(Busy, match="does not answer"),
            open_database(home, progress=said.append, seconds=9.0),
        ):
            pass
        assert said
        assert said[0].startswith("waiting for the database")
    finally:
        frozen.resume()
        let_go(holder)


def test_a_home_with_a_long_name_is_reached_over_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Path(tempfile.mkdtemp(prefix="sd-"))  # short, unlike the folder of a parallel test
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    home = tmp_path / ("long" * 25) / "home"
    home.parent.mkdir()
    with open_database(home) as url:
        assert len(url.encode()) < len(os.fsencode(home)) + 60
        with open_database(home) as again:
            assert again == url
    (link,) = runtime.iterdir()
    link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(BadInput, match="in the way"):
        socket_folder(Place(home).data)
    assert SOCKET_BYTES <= 103
    shutil.rmtree(runtime)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down")
def test_programs_in_a_closed_folder_are_copied_once_and_run(
    tmp_path: Path, open_folder: Path
) -> None:
    stranger = Owner(1, 1)
    installed = programs(tmp_path / "none", owner_of(tmp_path / "none")).parent
    package = tmp_path / "closed" / installed.parent.name
    shutil.copytree(installed, package / installed.name, symlinks=True)
    libraries = installed.parent.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, package.with_name(libraries.name))
    assert not reachable(package / installed.name / "bin", stranger)  # pytest's folder is 0700

    copy = copied(package, installed.name, open_folder / "shared")
    assert copied(package, installed.name, open_folder / "shared") == copy
    assert len(list((open_folder / "shared").iterdir())) == 1
    told = subprocess.check_output(
        [copy / installed.name / "bin" / "initdb", "--version"], **stranger.identity()
    )
    assert b"PostgreSQL" in told


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_strangers_cannot_connect(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a second account")
    with open_database(home):
        data = home / "postgres"
        psql = programs(data, owner_of(data)) / "psql"
        command = [psql, "-h", data, "-U", "selfdrive", "-c", "SELECT 1", "postgres"]
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        tried = subprocess.run(command, **nobody, capture_output=True, text=True, check=False)
        assert "Permission denied" in tried.stderr
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
