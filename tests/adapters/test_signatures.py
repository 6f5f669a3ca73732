"""Signatures by the real ssh-keygen: who signed what, for which purpose."""

import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.hardware_key import HardwareKey

from selfdrive_dagster.adapters.signatures import (
    fingerprint,
    is_readable_by_us,
    principals,
    sign,
    verify,
)
from selfdrive_dagster.errors import BadInput, Refused

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
ADA, EVE = "ada@example.org", "eve@example.org"
PURPOSE = "selfdrive-approval"


def key_of(folder: Path, name: str) -> Path:
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def line(who: str, key: Path, options: str = "") -> str:
    kind, blob, *_ = key.with_suffix(".pub").read_text().split()
    return f"{who} {options + ' ' if options else ''}{kind} {blob}\n"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return key_of(tmp_path, "ada"), key_of(tmp_path, "eve")


def test_a_signature_tells_its_key(keys: tuple[Path, Path]) -> None:
    made = sign(b"statement", keys[0], PURPOSE)
    assert verify(b"statement", made, ADA, line(ADA, keys[0]), PURPOSE) == fingerprint(keys[0])


def test_nothing_else_verifies(keys: tuple[Path, Path]) -> None:
    ada, eve = keys
    made, signers = sign(b"statement", ada, PURPOSE), line(ADA, ada) + line(EVE, eve)
    tried = {
        "another text": (b"statement!", made, ADA, signers, PURPOSE),
        "another person": (b"statement", made, EVE, signers, PURPOSE),
        "another purpose": (b"statement", made, ADA, signers, "git"),
        "no signer of ours": (b"statement", made, ADA, line(EVE, eve), PURPOSE),
        "nobody may sign": (b"statement", made, ADA, "", PURPOSE),
        "no signature": (b"statement", "not armoured", ADA, signers, PURPOSE),
        "only for git": (b"statement", made, ADA, line(ADA, ada, 'namespaces="git"'), PURPOSE),
        "expired": (b"statement", made, ADA, line(ADA, ada, 'valid-before="20200101"'), PURPOSE),
    }
    for what, arguments in tried.items():
        with pytest.raises(Refused):
            verify(*arguments)
            pytest.fail(what)


def test_a_hardware_key_that_nobody_touched_signs_nothing(tmp_path: Path) -> None:
    key = HardwareKey(tmp_path)
    signers = line(ADA, tmp_path / "id_ed25519_sk")
    touched, untouched = (key.sign(b"statement", PURPOSE, touched=one) for one in (True, False))
    assert verify(b"statement", touched, ADA, signers, PURPOSE) == fingerprint(key.path)
    with pytest.raises(Refused, match="without a touch"):
        verify(b"statement", untouched, ADA, signers, PURPOSE)


@pytest.mark.parametrize("who", ["", "-Y", "two words", "a\nb"])
def test_a_signer_is_one_plain_word(who: str) -> None:
    with pytest.raises(BadInput, match="names no signer"):
        verify(b"", "", who, "", PURPOSE)


def test_the_file_of_signers_tells_whose_key_it_is(keys: tuple[Path, Path]) -> None:
    ada, eve = keys
    signers = "# people\n\n" + line(f"{ADA},ada@work", ada, 'namespaces="selfdrive-approval"')
    assert principals(fingerprint(ada), signers) == (ADA, "ada@work")
    assert principals(fingerprint(eve), signers) == ()
    assert principals(fingerprint(ada), "ada@example.org ssh-ed25519 rubbish\n") == ()


def test_a_key_that_our_own_account_reads_is_known_as_that(keys: tuple[Path, Path]) -> None:
    assert is_readable_by_us(keys[0])
    assert not is_readable_by_us(keys[0].with_name("absent"))


def test_what_is_no_key_signs_nothing(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("rubbish")
    rubbish.chmod(0o600)
    with pytest.raises(Refused, match="signed nothing"):
        sign(b"statement", rubbish, PURPOSE)
    with pytest.raises(BadInput, match="no SSH key"):
        fingerprint(rubbish)
