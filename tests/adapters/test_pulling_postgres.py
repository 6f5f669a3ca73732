"""A table's rows, pulled through ADBC from the embedded PostgreSQL: all, once, and only read."""

import importlib.util
import json
import subprocess
import sys
import time
from collections import Counter
from urllib.parse import quote

import pytest
from fakes.selfdrive_program import environment, selfdrive
from sqlalchemy import text
from sqlalchemy.engine import make_url

from selfdrive_dagster.adapters.handing import HANDED
from selfdrive_dagster.adapters.intake import Intake, read_deliveries
from selfdrive_dagster.adapters.postgres import connect
from selfdrive_dagster.adapters.pulling.keyset import PAGE_ROWS
from selfdrive_dagster.adapters.pulling.places import Places
from selfdrive_dagster.adapters.pulling.postgres import PostgresSource, pull_postgres
from selfdrive_dagster.adapters.pulling.taking import Taker
from selfdrive_dagster.adapters.segments import SegmentWriter, closed_segments
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.model import silent
from selfdrive_dagster.telemetry import Redactor

needs_driver = pytest.mark.skipif(
    importlib.util.find_spec("adbc_driver_postgresql") is None,
    reason="the extra postgresql is not installed",
)

TABLE = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now(), user_id text,
    total numeric(10, 2), items jsonb, tags text[], blob bytea, placed date, state varchar(10)
)
"""
FILL = """
INSERT INTO orders (id, updated_at, user_id, total, items)
SELECT n, timestamptz '2026-11-01' + n / 3 * interval '1 second', 'ada@example.com', n, '{"n": 1}'
FROM generate_series(:first, :last) AS n
"""


class Product:
    """The product's database, and the home into which its table is pulled."""

    def __init__(self, url, home):
        self.engine = connect(url)
        self.home = home
        place = make_url(url)
        folder, user = quote(str(place.query["host"])), quote(place.username or "")
        self.url = f"postgresql://{user}@/{place.database}?host={folder}"

    def run(self, sql, **given):
        with self.engine.begin() as connection:
            connection.execute(text(sql), given)

    def pull(self, more="&table=orders"):
        return self.pull_from(self.url + more)

    def pull_from(self, address):
        source = PostgresSource.parse(address)
        writer = SegmentWriter(self.home / HANDED)
        taker = Taker(Intake(writer), Redactor(b"k"), "shop", source.shown, silent)
        try:
            pull_postgres(source, taker, Places(self.home / "pulls"))
        finally:
            writer.close()
        return taker.tally

    def rows(self):
        """What a warehouse would hold: one row of each name."""
        deliveries = [
            delivery
            for segment in closed_segments(self.home / HANDED)
            for delivery in read_deliveries(segment)
        ]
        found = [row for each in deliveries for row in each.records.product_events]
        return list({row.event_id: row for row in found}.values())

    def ids(self):
        return Counter(json.loads(row.attributes_json)["id"] for row in self.rows())


@pytest.fixture
def product(database_url, tmp_path):
    product = Product(database_url, tmp_path / "home")
    product.run(TABLE)
    yield product
    product.engine.dispose()


@needs_driver
@pytest.mark.parametrize("count", [0, 1, PAGE_ROWS, PAGE_ROWS + 1, 2 * PAGE_ROWS + 7])
def test_every_row_of_every_page_is_taken_once(product, count):
    product.run(FILL, first=1, last=count)
    tally = product.pull()
    assert (tally.stored, tally.duplicate, tally.rejected) == (count, 0, 0)
    assert product.ids() == Counter(range(1, count + 1))


@needs_driver
def test_a_row_is_kept_with_its_columns_and_without_its_person(product):
    product.run(
        "INSERT INTO orders VALUES (7, '2026-11-27 09:00+01', 'ada@example.com', 9.5, "
        "'{\"sku\": [1, 2]}', '{a,b}', '\\x0001', '2026-11-27', 'paid')"
    )
    product.pull()
    (row,) = product.rows()
    kept = json.loads(row.attributes_json)
    assert (kept["total"], kept["items"], kept["state"]) == (9.5, {"sku": [1, 2]}, "paid")
    assert (kept["placed"], kept["blob"], kept["tags"]) == ("2026-11-27", "[2 bytes]", "{a,b}")
    assert row.timestamp.isoformat() == "2026-11-27T08:00:00+00:00"
    assert "ada@example.com" not in str(row)


@needs_driver
def test_the_next_pull_takes_what_is_new_or_changed(product):
    product.run(FILL, first=1, last=100)
    product.pull()
    product.run(FILL, first=101, last=103)
    product.run("UPDATE orders SET state = 'paid', updated_at = now() WHERE id = 5")
    assert product.pull().stored == 4
    assert product.ids() == Counter({**dict.fromkeys(range(1, 104), 1), 5: 2})
    assert product.pull().stored == 0


@needs_driver
def test_a_row_that_a_long_transaction_wrote_behind_us_is_not_lost(product):
    """Its updated_at lies before the last row that we saw."""
    product.run(FILL, first=1, last=3_000)
    product.pull()
    product.run("INSERT INTO orders (id, updated_at) VALUES (9999, '2026-11-01 00:16:00+00')")
    assert product.pull().stored == 1
    assert product.ids()[9999] == 1


@needs_driver
def test_rows_of_one_moment_are_told_apart_by_their_key(product):
    product.run(FILL, first=1, last=PAGE_ROWS + 3)
    product.run("UPDATE orders SET updated_at = '2026-11-02'")
    product.pull()
    assert product.ids() == Counter(range(1, PAGE_ROWS + 4))


@needs_driver
def test_other_columns_may_say_when_and_which(product):
    product.run("CREATE TABLE public.seen (name uuid, at timestamp, level text, message text)")
    product.run(
        "INSERT INTO public.seen SELECT gen_random_uuid(), '2026-11-01', 'error', 'broken' "
        "FROM generate_series(1, 20)"
    )
    more = "&table=public.seen&updated=at&key=name"
    assert product.pull(more).stored == 20
    assert product.pull(more).stored == 0


@needs_driver
def test_rows_that_no_pull_can_place_are_told(product):
    product.run("CREATE TABLE loose (id int, updated_at timestamptz)")
    product.run("INSERT INTO loose VALUES (1, now()), (2, NULL)")
    tally = product.pull("&table=loose")
    assert (tally.stored, tally.rejected) == (1, 1)


@needs_driver
@pytest.mark.parametrize("when", ["infinity", "2999-01-01"])
def test_a_row_of_the_future_hides_none_that_comes_after_it(product, when):
    product.run(FILL, first=1, last=3)
    product.run("INSERT INTO orders (id, updated_at) VALUES (4, CAST(:at AS timestamptz))", at=when)
    assert product.pull().stored == 4
    product.run("INSERT INTO orders (id) VALUES (5)")
    product.pull()
    assert product.ids() == Counter(range(1, 6))


@needs_driver
def test_where_updates_are_dates_the_day_is_asked_for_again(product):
    product.run("CREATE TABLE daily (id int NOT NULL, day date NOT NULL)")
    product.run("INSERT INTO daily VALUES (2, current_date)")
    product.pull("&table=daily&updated=day&overlap=0")
    product.run("INSERT INTO daily VALUES (1, current_date)")
    product.pull("&table=daily&updated=day&overlap=0")
    assert product.ids() == Counter([1, 2])


@needs_driver
def test_values_that_python_cannot_hold_and_rows_that_cannot_be_read_keep_no_other_out(product):
    product.run(
        "CREATE TABLE odd (id int, updated_at timestamptz, was timestamp, n numeric, batch jsonb)"
    )
    product.run(
        "INSERT INTO odd VALUES (1, now(), '0044-03-15 BC', 1), (2, now(), NULL, 'NaN'), "
        "(3, now(), NULL, 1e400), (4, now(), NULL, 0), (5, now(), 'infinity', 2.5)"
    )
    product.run("UPDATE odd SET batch = '[1]' WHERE id = 4")
    tally = product.pull("&table=odd")
    assert (tally.stored, tally.rejected) == (4, 1)
    assert product.ids() == Counter([1, 2, 3, 5])


@needs_driver
def test_nothing_is_written_over_there(product):
    product.run("CREATE TABLE touched (id int)")
    product.run(
        "CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS "
        "'INSERT INTO touched VALUES (1) RETURNING id'"
    )
    product.run("CREATE VIEW bad AS SELECT id, updated_at, writes() AS n FROM orders")
    product.run(FILL, first=1, last=2)
    with pytest.raises(SelfdriveError, match="read-only"):
        product.pull("&table=bad")


@needs_driver
@pytest.mark.parametrize(
    ("more", "says"),
    [("&table=absent", "no such table"), ("&table=orders&key=number", "no column number"),
     ("&table=orders&updated=changed", "has no column changed")],
)  # fmt: skip
def test_a_table_or_column_that_is_not_there_is_told(product, more, says):
    with pytest.raises(BadInput, match=says):
        product.pull(more)


@needs_driver
def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path):
    source = PostgresSource.parse("postgresql://u:hunter22@127.0.0.1:1/shop?table=orders")
    writer = SegmentWriter(tmp_path / HANDED)
    taker = Taker(Intake(writer), Redactor(b"k"), "shop", source.shown, silent)
    with pytest.raises(SelfdriveError) as told:
        pull_postgres(source, taker, Places(tmp_path / "pulls"))
    writer.close()
    assert "hunter22" not in str(told.value) + source.shown + str(source.identity) + repr(source)


ADDRESSES = {
    "postgresql://u@h/shop": "no table and database",
    "postgresql://u@h/?table=orders": "no table and database",
    "postgresql://u@h/shop?table=orders;drop": "no name of a table",
    'postgresql://u@h/shop?table=or"ders': "no name of a table",
    "postgresql://u@h/shop?table=orders&key=id)--": "no name of a table or column",
    "postgresql://u@h/shop?table=orders&overlap=soon": "no number of seconds",
    "postgresql://u:hunter22@[h/shop?table=orders": "cannot be read",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_cannot_be_read_is_refused(address):
    with pytest.raises(BadInput, match=ADDRESSES[address]) as told:
        PostgresSource.parse(address)
    assert "hunter22" not in str(told.value)


# ---- the command


def test_what_nobody_can_pull_from_is_no_file_and_its_password_is_not_shown(tmp_path):
    ended = selfdrive("ingest", "postgre://u:hunter22@h/shop?table=orders", cwd=tmp_path)
    assert ended.code == 2
    assert "cannot pull from 'postgre'" in ended.out + ended.err
    assert "hunter22" not in ended.out + ended.err


@needs_driver
def test_the_command_pulls_and_goes_on(product, tmp_path):
    product.run(FILL, first=1, last=20)
    address, given = product.url + "&table=orders", {"SELFDRIVE_HOME": str(product.home)}
    first = selfdrive("ingest", address, "--json", cwd=tmp_path, **given)
    assert (first.code, first.json()[0]["stored"]) == (0, 20)
    assert first.json()[0]["path"].endswith("?table=orders")
    product.run(FILL, first=21, last=22)
    assert selfdrive("ingest", address, "--json", cwd=tmp_path, **given).json()[0]["stored"] == 2


@needs_driver
def test_a_pull_that_is_killed_goes_on_and_has_everything_once(product, tmp_path):
    product.run(FILL, first=1, last=4 * PAGE_ROWS)
    command = [sys.executable, "-m", "selfdrive_dagster", "ingest", product.url + "&table=orders"]
    environ = environment(tmp_path, SELFDRIVE_HOME=str(product.home))
    running = subprocess.Popen(command, cwd=tmp_path, env=environ)
    while running.poll() is None and not list((product.home / "pulls").glob("*.json")):
        time.sleep(0.005)
    running.kill()
    assert running.wait(60) == -9
    subprocess.run(command, cwd=tmp_path, env=environ, check=True, timeout=100)
    SegmentWriter(product.home / HANDED).close()
    assert product.ids() == Counter(range(1, 4 * PAGE_ROWS + 1))
