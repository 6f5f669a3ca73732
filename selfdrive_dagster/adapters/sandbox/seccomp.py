"""The system calls that are refused inside, assembled to classic BPF for `bwrap --seccomp`.

A network namespace does not cover AF_VSOCK, `--new-session` alone does not stop TIOCSTI, and
keyrings, io_uring and ptrace are shared with the host's kernel: this filter closes them. It
allows what it does not name (fork, threads, sockets within the namespace, SQLite), but calls
newer than the list do not exist. Format: linux/filter.h, linux/seccomp.h (seccomp(2)).
"""

import errno
import platform
import struct
from collections.abc import Iterable

from selfdrive_dagster.adapters.sandbox.syscalls import NEWEST, NUMBERS
from selfdrive_dagster.errors import Refused

LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_ANY_BIT, MASK, RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
FILE_TYPE, CHARACTER_DEVICE, BLOCK_DEVICE = 0o170000, 0o020000, 0o060000
NEW_NAMESPACES = 0x7E020000
SHARED_ANONYMOUS = 0x21
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
UNIX, INET, INET6 = 1, 2, 10

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine → (column of NUMBERS, AUDIT_ARCH)."""

JUDGED = ("clone", "clone3", "socket", "socketpair", "ioctl", "mknod", "mknodat", "mmap")
UNCOUNTED = ("memfd_create", "shmget", "msgget")
REFUSED = tuple(name for name in NUMBERS if name not in JUDGED + UNCOUNTED)

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, constant), as `struct sock_filter`."""


def assemble(*, counted_only: bool = False, machine: str = "") -> bytes:
    """Return the filter for a machine, this one by default.

    `counted_only` also refuses memory that a process map does not show (memfd, System V shared
    memory, shared anonymous maps): needed where a watchdog counts instead of a cgroup.
    Raises Refused on a machine whose calls we have not listed.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise Refused(f"no system call list for {machine}", remedy=f"use one of: {known}")
    column, audit = ARCHITECTURES[machine]
    code = [*_check_architecture(audit), *_refuse_unknown()]
    for name in (*REFUSED, *(UNCOUNTED if counted_only else ())):
        code += _on(NUMBERS[name][column], [_fail(errno.EPERM)])
    for name, body in _judgements(counted_only).items():
        code += _on(NUMBERS[name][column], body)
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _check_architecture(audit: int) -> list[Instruction]:
    """Kill a call made through another architecture's entry, such as 32-bit `int 0x80`."""
    return [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, audit),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
    ]


def _refuse_unknown() -> list[Instruction]:
    """Calls newer than our list, and x86's x32 calls (bit 30), answer "no such call"."""
    return [(JUMP_GREATER, 0, 1, NEWEST), _fail(errno.ENOSYS)]


def _judgements(counted_only: bool) -> dict[str, list[Instruction]]:
    """Return, for each call judged by its arguments, what follows once its number matched."""
    family = _allow_only(0, (UNIX, INET, INET6), errno.EAFNOSUPPORT)
    devices = (CHARACTER_DEVICE, BLOCK_DEVICE)
    judged = {
        "clone": _refuse_bits(0, NEW_NAMESPACES),
        "clone3": [_fail(errno.ENOSYS)],  # its flags lie in memory; libc falls back to clone
        "socket": family,
        "socketpair": family,
        "ioctl": _refuse_values(1, (TIOCSTI, TIOCLINUX)),
        "mknod": _refuse_values(1, devices, mask=FILE_TYPE),
        "mknodat": _refuse_values(2, devices, mask=FILE_TYPE),
    }
    if counted_only:
        judged["mmap"] = _refuse_values(3, (SHARED_ANONYMOUS,), mask=SHARED_ANONYMOUS)
    return judged


def _on(number: int | None, body: list[Instruction]) -> list[Instruction]:
    """Run `body`, which must return on every path, when the call has this number."""
    return [] if number is None else [(JUMP_EQUAL, 0, len(body), number), *body]


def _fail(code: int) -> Instruction:
    return (RETURN, 0, 0, ERRNO | code)


def _argument(index: int) -> Instruction:
    """Load the low half of an argument; the kernel ignores the rest of these, and so must we."""
    return (LOAD, 0, 0, ARGUMENTS + 8 * index)


def _refuse_bits(index: int, bits: int) -> list[Instruction]:
    return [
        _argument(index),
        (JUMP_ANY_BIT, 0, 1, bits),
        _fail(errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]


def _refuse_values(index: int, values: Iterable[int], mask: int = 0) -> list[Instruction]:
    code = [_argument(index), *([(MASK, 0, 0, mask)] if mask else [])]
    for value in values:
        code += [(JUMP_EQUAL, 0, 1, value), _fail(errno.EPERM)]
    return [*code, (RETURN, 0, 0, ALLOW)]


def _allow_only(index: int, values: Iterable[int], code: int) -> list[Instruction]:
    allowed = [
        step for value in values for step in ((JUMP_EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW))
    ]
    return [_argument(index), *allowed, _fail(code)]
