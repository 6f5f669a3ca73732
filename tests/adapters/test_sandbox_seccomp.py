"""The filter, run by a small interpreter of classic BPF: every named call, both machines."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.adapters.sandbox.seccomp import (
    ARCHITECTURES,
    REFUSED,
    UNCOUNTED,
    assemble,
)
from selfdrive_dagster.adapters.sandbox.syscalls import NEWEST, NUMBERS
from selfdrive_dagster.errors import Refused

ALLOWED, KILLED = 0, -1


def judge(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """Return ALLOWED, KILLED or the errno that the filter answers with."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *(*arguments, *[0] * (6 - len(arguments))))
    code = list(struct.iter_unpack("=HBBI", program))
    position, value = 0, 0
    while True:
        operation, yes, no, constant = code[position]
        position += 1
        if operation == 0x20:
            value = struct.unpack_from("=I", data, constant)[0]
        elif operation == 0x54:
            value &= constant
        elif operation == 0x06:
            if constant == 0x7FFF0000:
                return ALLOWED
            return KILLED if constant == 0x80000000 else constant & 0xFFFF
        else:
            holds = {0x15: value == constant, 0x25: value > constant, 0x45: value & constant}
            position += yes if holds[operation] else no


MACHINES = [(machine, *ARCHITECTURES[machine]) for machine in ARCHITECTURES]


@pytest.mark.parametrize(("machine", "column", "audit"), MACHINES)
def test_every_named_call_is_refused(machine, column, audit):
    program = assemble(machine=machine)
    numbers = {name: NUMBERS[name][column] for name in REFUSED}
    got = {
        name: judge(program, audit, number)
        for name, number in numbers.items()
        if number is not None
    }
    assert set(got.values()) == {errno.EPERM}
    assert {"ptrace", "unshare", "keyctl", "bpf", "io_uring_setup", "memfd_secret"} <= set(got)


CASES = [
    ("socket", (1,), ALLOWED),
    ("socket", (2,), ALLOWED),
    ("socket", (10,), ALLOWED),
    ("socket", (40,), errno.EAFNOSUPPORT),
    ("socket", (16,), errno.EAFNOSUPPORT),
    ("socket", (2**32 + 40,), errno.EAFNOSUPPORT),
    ("socketpair", (1,), ALLOWED),
    ("clone", (0x003D0F00,), ALLOWED),
    ("clone", (0x01200011,), ALLOWED),
    ("clone", (0x10000000,), errno.EPERM),
    ("clone", (0x00020000 | 17,), errno.EPERM),
    ("clone3", (), errno.ENOSYS),
    ("ioctl", (0, 0x5412), errno.EPERM),
    ("ioctl", (0, 2**32 | 0x5412), errno.EPERM),
    ("ioctl", (0, 0x541C), errno.EPERM),
    ("ioctl", (0, 0x5401), ALLOWED),
    ("mknodat", (0, 0, 0o010644), ALLOWED),
    ("mknodat", (0, 0, 0o020644), errno.EPERM),
    ("mknodat", (0, 0, 0o060644), errno.EPERM),
    ("mmap", (0, 0, 0, 0x21), ALLOWED),
    ("memfd_create", (), ALLOWED),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), CASES)
@pytest.mark.parametrize(("machine", "column", "audit"), MACHINES)
def test_calls_are_judged_by_their_arguments(machine, column, audit, name, arguments, expected):
    assert judge(assemble(machine=machine), audit, NUMBERS[name][column], *arguments) == expected


@pytest.mark.parametrize(("machine", "column", "audit"), MACHINES)
def test_uncounted_memory_is_refused_where_a_watchdog_counts(machine, column, audit):
    program = assemble(machine=machine, counted_only=True)
    for name in UNCOUNTED:
        assert judge(program, audit, NUMBERS[name][column]) == errno.EPERM
    number = NUMBERS["mmap"][column]
    assert judge(program, audit, number, 0, 0, 0, 0x21) == errno.EPERM
    assert judge(program, audit, number, 0, 0, 0, 0x23) == errno.EPERM
    assert judge(program, audit, number, 0, 0, 0, 0x22) == ALLOWED


@pytest.mark.parametrize(("machine", "column", "audit"), MACHINES)
@given(number=st.integers(NEWEST + 1, 2**32 - 1))
def test_calls_newer_than_the_list_do_not_exist(machine, column, audit, number):
    assert judge(assemble(machine=machine), audit, number) == errno.ENOSYS


@pytest.mark.parametrize(("machine", "column", "audit"), MACHINES)
@given(number=st.integers(0, NEWEST), argument=st.integers(0, 2**64 - 1))
def test_what_is_not_named_is_allowed(machine, column, audit, number, argument):
    named = {numbers[column] for numbers in NUMBERS.values()}
    if number not in named:
        assert judge(assemble(machine=machine), audit, number, argument) == ALLOWED


def test_a_call_through_another_architecture_kills():
    assert judge(assemble(machine="x86_64"), 0x40000003, 1) == KILLED


def test_an_unlisted_machine_is_refused_by_name():
    with pytest.raises(Refused, match="riscv64"):
        assemble(machine="riscv64")
