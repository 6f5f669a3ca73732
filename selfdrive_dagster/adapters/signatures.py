"""SSH signatures, made and checked by OpenSSH's own `ssh-keygen -Y` (PROTOCOL.sshsig).

The private key is the user's: a file, an agent or a hardware key; its passphrase is asked for by
ssh-keygen on the terminal and never passes through here. Who may sign stands in an allowed
signers file, whose text is given: it comes from the product's repository at the base revision.
"""

import base64
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from selfdrive_dagster.errors import BadInput, MissingTool, Refused

ALLOWED_SIGNERS = ".selfdrive/allowed_signers"
"""Where the product's repository says whose key may approve; a protected path."""

MAKE_SIGNERS = (
    f'mkdir -p .selfdrive && echo "$(git config user.email) $(cat ~/.ssh/id_ed25519.pub)" '
    f">> {ALLOWED_SIGNERS} && git add {ALLOWED_SIGNERS} && git commit"
)
"""How the owner of a key makes that file."""

SECONDS = 120.0

TOUCHED = 1
"""The bit in the flags of a hardware key's signature that tells of a touch (PROTOCOL.u2f)."""


def sign(message: bytes, key: Path, namespace: str) -> str:
    """Return the armoured signature of a message by a key. Raises Refused when it is not made."""
    program = _ssh_keygen()
    with tempfile.TemporaryDirectory(prefix="selfdrive-sign-") as folder:
        text = Path(folder) / "statement"
        text.write_bytes(message)
        done = subprocess.run(
            [program, "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(text)],
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
        made = text.with_suffix(".sig")
        if done.returncode or not made.is_file():
            raise Refused(
                f"{key} signed nothing: {_last(done.stderr)}",
                remedy="name a key with --key, or load it into your agent (ssh-add)",
            )
        return made.read_text(encoding="ascii")


def verify(message: bytes, signature: str, signer: str, allowed: str, namespace: str) -> str:
    """Return the fingerprint of the key with which `signer` signed. Raises Refused if none did."""
    program = _ssh_keygen()
    if not signer or signer.startswith("-") or any(c.isspace() for c in signer):
        raise BadInput(f"{signer!r} names no signer of {ALLOWED_SIGNERS}.")
    with tempfile.TemporaryDirectory(prefix="selfdrive-verify-") as folder:
        signers, made = Path(folder) / "allowed", Path(folder) / "signature"
        signers.write_text(allowed, encoding="utf-8")
        made.write_text(signature, encoding="utf-8")
        command = [
            "-Y",
            "verify",
            "-f",
            str(signers),
            "-I",
            signer,
            "-n",
            namespace,
            "-s",
            str(made),
        ]
        done = subprocess.run(
            [program, *command],
            input=message,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    if done.returncode:
        raise Refused(
            f"No signature of {signer} over this: {_last(done.stdout + done.stderr)}",
            remedy=f"the key must stand in {ALLOWED_SIGNERS} at the base revision",
        )
    if not was_touched(signature):
        raise Refused(
            f"The hardware key of {signer} signed without a touch: nobody need have been there.",
            remedy="make one that asks for it: ssh-keygen -t ed25519-sk",
        )
    return done.stdout.decode(errors="replace").rpartition(" ")[2].strip()


def was_touched(signature: str) -> bool:
    """Say whether a hardware key was touched when it signed; True for any other kind of key.

    ssh-keygen verifies a signature whose flags deny it, as a key made with no-touch-required gives.
    """
    armour = [line for line in signature.split("\n") if not line.startswith("-----")]
    rest = base64.b64decode("".join(armour))[len(b"SSHSIG") + 4 :]
    fields = []
    while rest:
        end = 4 + int.from_bytes(rest[:4], "big")
        fields.append(rest[4:end])
        rest = rest[end:]
    made = fields[-1]
    kind_ends = 4 + int.from_bytes(made[:4], "big")
    flags = kind_ends + 4 + int.from_bytes(made[kind_ends : kind_ends + 4], "big")
    return b"sk-" not in made[4:kind_ends] or bool(made[flags] & TOUCHED)


def fingerprint(key: Path) -> str:
    """Return the SHA256 fingerprint of a key's public half. Raises BadInput if it is none."""
    return _listed(key)[1]


def is_hardware(key: Path) -> bool:
    """Say whether a key is one of a hardware key (FIDO): its file holds a handle, no secret."""
    return _listed(key)[-1].endswith("-SK)")


def is_locked(key: Path) -> bool:
    """Say whether a private key's file wants a passphrase; what cannot be told counts as not."""
    done = subprocess.run(
        [_ssh_keygen(), "-y", "-P", "", "-f", str(key)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    return done.returncode != 0 and b"incorrect passphrase" in done.stderr


def _listed(key: Path) -> list[str]:
    """Return the words of ssh-keygen about a key: bits, fingerprint, comment, (TYPE)."""
    done = subprocess.run(
        [_ssh_keygen(), "-l", "-f", str(key)], capture_output=True, check=False, timeout=SECONDS
    )
    words = done.stdout.decode(errors="replace").split()
    if done.returncode or len(words) < 2:
        raise BadInput(f"{key} is no SSH key: {_last(done.stderr)}", remedy="ssh-keygen -t ed25519")
    return words


def principals(fingerprint_wanted: str, allowed: str) -> tuple[str, ...]:
    """Return who the allowed signers say a key belongs to."""
    found: list[str] = []
    for line in allowed.splitlines():
        fields = line.split()
        at = next(
            (n for n, word in enumerate(fields) if word.startswith(("ssh-", "ecdsa-", "sk-"))), 0
        )
        if at < 1 or line.startswith("#"):
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".pub") as file:
            file.write(" ".join(fields[at : at + 2]) + "\n")
            file.flush()
            try:
                if fingerprint(Path(file.name)) == fingerprint_wanted:
                    found += fields[0].split(",")
            except BadInput:
                continue  # a line that ssh-keygen itself would pass over
    return tuple(found)


def is_readable_by_us(key: Path) -> bool:
    """Say whether our own account can read the file of a private key."""
    try:
        return os.access(key, os.R_OK) and stat.S_ISREG(key.stat().st_mode)
    except OSError:
        return False


def _ssh_keygen() -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise MissingTool("ssh-keygen is not installed.", remedy="apt-get install openssh-client")
    return program


def _last(words: bytes) -> str:
    lines = words.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it gave no reason"
