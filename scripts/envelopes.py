"""Record one real Sentry envelope for each crash of the example shop, into tests/cases.

`python scripts/envelopes.py`, whenever the shop changes: their lines and release are its head's.
`python scripts/envelopes.py --all FOLDER` keeps every crash that the visitors met, in order, there.
The shop runs in /srv/shop by an interpreter in /srv/venv, on a host called shop-1, under its own
visitors: no path or name of this machine gets in. What its SDK sends is kept as it was, but for
the transport's compression. Needs root; what lies in those two folders is replaced.
"""

import gzip
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any, ClassVar

import brotli

from selfdrive_dagster.cli.demo.theatre import wait_for_port

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "examples" / "shop"
CASES = ROOT / "tests" / "cases" / "shop_envelopes"
PLACE, VENV = Path("/srv/shop"), Path("/srv/venv")
SECONDS = 30
PACKED = {"gzip": gzip.decompress, "br": brotli.decompress}


class Sink(http.server.BaseHTTPRequestHandler):
    """Keeps what SDKs send."""

    protocol_version = "HTTP/1.1"
    kept: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        """Take one delivery."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        unpack = PACKED.get(self.headers.get("content-encoding", ""), bytes)
        self.kept.append(unpack(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


def wanted() -> dict[str, dict[str, Any]]:
    """Return the defects that crash, by the name of their folder."""
    told = {
        file.parent.name: tomllib.loads(file.read_text(encoding="utf-8"))
        for file in sorted((SHOP / "defects").glob("*/defect.toml"))
    }
    return {name: one for name, one in told.items() if one.get("exception")}


def is_of(envelope: bytes, defect: dict[str, Any]) -> bool:
    """Say whether an envelope holds the crash of a defect."""
    lines = envelope.split(b"\n")
    if len(lines) < 3 or b'"type":"event"' not in lines[1]:
        return False
    raised = json.loads(lines[2])["exception"]["values"][-1]
    frame = [one for one in raised["stacktrace"]["frames"] if one.get("in_app")][-1]
    found = (raised["type"], frame["filename"], frame["function"])
    return found == (defect["exception"], defect["path"], defect["function"].rpartition(".")[2])


def keep_all(folder: Path) -> int:
    """Write every crash, numbered as it came."""
    folder.mkdir(parents=True)
    crashes = [one for one in Sink.kept if any(is_of(one, defect) for defect in wanted().values())]
    for number, one in enumerate(crashes):
        (folder / f"{number:04}.envelope").write_bytes(one)
    print(f"{len(crashes)} crashes in {SECONDS} s of visitors")
    return 0


def main() -> int:
    """Record; 1 when a crash was not met."""
    subprocess.run([sys.executable, SHOP / "make_history.py", PLACE], check=True)
    release = subprocess.check_output(["git", "-C", PLACE, "rev-parse", "HEAD"], text=True).strip()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    dsn = f"http://public@127.0.0.1:{server.server_port}/1"
    environ = {**os.environ, "SENTRY_DSN": dsn, "SHOP_RELEASE": release}
    shutil.copytree(sys.prefix, VENV, symlinks=True)
    run = f"hostname shop-1 && exec {VENV}/bin/python -m shop --port 8123"
    shop = subprocess.Popen(["unshare", "--uts", "sh", "-c", run], cwd=PLACE, env=environ)
    try:
        wait_for_port(8123)
        visitors = [sys.executable, SHOP / "traffic.py", "--url", "http://127.0.0.1:8123"]
        subprocess.run([*visitors, "--seconds", str(SECONDS), "--rate", "40"], check=True)
    finally:
        shop.terminate()
        shop.wait()
        shutil.rmtree(PLACE)
        shutil.rmtree(VENV)
    if sys.argv[1:2] == ["--all"]:
        return keep_all(Path(sys.argv[2]))
    missing = []
    for name, defect in wanted().items():
        found = next((one for one in Sink.kept if is_of(one, defect)), None)
        if found is None:
            missing.append(name)
        else:
            (CASES / f"{name}.envelope").write_bytes(found)
    print(f"{len(Sink.kept)} envelopes; not met: {', '.join(missing) or 'none'}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
