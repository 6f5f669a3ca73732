"""Hostile acts, one function each: returns what it got, raises when it was held.

`spec` names victims that the host has set out. Acts on files, processes and sockets come first,
acts on the kernel after them, and those that eat resources last.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import mmap
import os
import platform
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

MEBIBYTE = 2**20
Spec = dict[str, Any]
LIBC = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
PTRACE, MOUNT, UNSHARE, KEYCTL, BPF, SETNS = (
    (117, 40, 97, 219, 280, 268) if ARM else (101, 165, 272, 250, 321, 308)
)
IO_URING_SETUP, MEMFD_CREATE = 425, (279 if ARM else 319)
NEW_USER, TIOCSTI = 0x10000000, 0x5412


class Held(Exception):
    """The act was prevented."""


def syscall(number: int, *arguments: Any) -> int:
    """Make a raw system call. Raises OSError with the kernel's reason."""
    result: int = LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


# Files ---------------------------------------------------------------------------------------


def read_secret(path: str, secret: str) -> str:
    """Return where the secret was read. Raises Held when the file holds something else."""
    with open(path, encoding="utf-8", errors="replace") as file:
        if secret not in file.read():
            raise Held(f"{path} is not the host's file")
    return f"read {path}"


def read_public(spec: Spec) -> str:
    """Read a world-readable file outside."""
    return read_secret(spec["public_file"], spec["secret"])


def read_private(spec: Spec) -> str:
    """Read a file of the supervisor with mode 0600."""
    return read_secret(spec["private_file"], spec["secret"])


def follow_symlink(spec: Spec) -> str:
    """Follow a symlink that the tree brought along."""
    return read_secret("way-out", spec["secret"])


def list_home(spec: Spec) -> str:
    """List the supervisor's home and find what lies there."""
    names = set(os.listdir(spec["home"])) & set(spec["home_names"])
    if not names:
        raise Held("none of the home's files is here")
    return f"found {len(names)} names in {spec['home']}"


def read_shadow(_spec: Spec) -> str:
    """Read the password hashes."""
    with open("/etc/shadow", encoding="utf-8") as file:
        return f"read {len(file.read())} characters of /etc/shadow"


def plant(path: str) -> str:
    """Write a file and say so."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("planted")
    return f"wrote {path}"


def write_outside(spec: Spec) -> str:
    """Leave a file in a folder outside that everybody may write to."""
    return plant(os.path.join(spec["open_folder"], "planted"))


def write_usr(spec: Spec) -> str:
    """Leave a file in /usr."""
    return plant(f"/usr/{spec['mark']}")


def write_interpreter(spec: Spec) -> str:
    """Leave a file in the interpreter's folder."""
    return plant(os.path.join(spec["prefix"], spec["mark"]))


def write_harness(spec: Spec) -> str:
    """Leave a file beside the harness programs."""
    return plant(os.path.join(os.path.dirname(os.path.abspath(__file__)), spec["mark"]))


def write_tree(spec: Spec) -> str:
    """Leave a file in the tree the work copy was made from."""
    return plant(os.path.join(spec["tree"], spec["mark"]))


# Network -------------------------------------------------------------------------------------


def connect(family: int, address: Any) -> str:
    """Connect a stream."""
    with socket.socket(family, socket.SOCK_STREAM) as talk:
        talk.settimeout(2)
        talk.connect(address)
    return f"connected to {address!r}"


def loopback(spec: Spec) -> str:
    """Connect to a server on the host's loopback."""
    return connect(socket.AF_INET, ("127.0.0.1", spec["tcp_port"]))


def host_address(spec: Spec) -> str:
    """Connect to a server on the host's own address."""
    return connect(socket.AF_INET, (spec["host_address"], spec["tcp_port"]))


def udp_out(spec: Spec) -> str:
    """Send a datagram that arrives outside; the host answers it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        talk.settimeout(1)
        talk.sendto(b"hello", (spec["host_address"], spec["udp_port"]))
        return f"answered {talk.recv(16)!r}"


def abstract_socket(spec: Spec) -> str:
    """Connect to an abstract Unix socket."""
    return connect(socket.AF_UNIX, "\0" + spec["abstract_name"])


def path_socket(spec: Spec) -> str:
    """Connect to a Unix socket in the filesystem."""
    return connect(socket.AF_UNIX, spec["socket_path"])


def virtual_socket(_spec: Spec) -> str:
    """Make a socket to the hypervisor, which no network namespace covers."""
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    return "made an AF_VSOCK socket"


# Processes and secrets -----------------------------------------------------------------------


def capabilities(_spec: Spec) -> str:
    """Hold any effective capability."""
    with open("/proc/self/status", encoding="ascii") as file:
        held = next(line.split()[1] for line in file if line.startswith("CapEff:"))
    if int(held, 16) == 0:
        raise Held("no effective capability")
    return f"effective capabilities {held}"


def environment(spec: Spec) -> str:
    """Find the secret among our own variables."""
    if spec["secret"] not in "".join(os.environ.values()):
        raise Held("not among our variables")
    return "found it among our variables"


def others_environment(spec: Spec) -> str:
    """Find the secret in any other process's variables, arguments or memory map."""
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if spec["secret"].encode() in file.read():
                    return f"found it in {path}"
        except OSError:
            continue
    raise Held("in no process that we see")


def see_processes(spec: Spec) -> str:
    """See the victim among the processes."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with open(path, "rb") as file:
            if spec["victim_mark"].encode() in file.read():
                return f"saw it as {path}"
    raise Held("the victim is not among the processes")


def kill_victim(spec: Spec) -> str:
    """Kill a process of the same user outside."""
    os.kill(spec["victim"], signal.SIGCONT)
    return f"signalled {spec['victim']}"


def trace(_spec: Spec) -> str:
    """Let ourselves be traced, the first step of tracing others."""
    syscall(PTRACE, 0, 0, 0, 0)
    return "ptrace answered"


def leaked_descriptor(spec: Spec) -> str:
    """Read the secret from a descriptor that somebody forgot to close."""
    for number in range(3, 256):
        try:
            os.lseek(number, 0, os.SEEK_SET)
            if spec["secret"].encode() in os.read(number, 4096):
                return f"read it from descriptor {number}"
        except OSError:
            continue
    raise Held("no descriptor has it")


def orphan(spec: Spec) -> str:
    """Leave a daemon behind. The host looks for it afterwards."""
    started, starting = os.pipe()  # closed by the exec below
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execv("/bin/sh", ["sh", "-c", "sleep 60; :", spec["orphan_mark"]])
        os._exit(0)
    os.close(starting)
    os.read(started, 1)
    raise Held("left to the host to judge")


# Kernel --------------------------------------------------------------------------------------


def nested_namespace(_spec: Spec) -> str:
    """Become root in a user namespace of our own."""
    syscall(UNSHARE, NEW_USER)
    return "made a user namespace"


def join_namespace(_spec: Spec) -> str:
    """Enter a namespace through a descriptor."""
    with open("/proc/self/ns/net", "rb") as file:
        syscall(SETNS, file.fileno(), 0)
    return "entered a namespace"


def mount(_spec: Spec) -> str:
    """Mount a filesystem of our own, on a folder that nobody else uses."""
    os.mkdir("mount-here")
    syscall(MOUNT, b"none", b"mount-here", b"tmpfs", 0, None)
    return "mounted a tmpfs"


def core_pattern(_spec: Spec) -> str:
    """Open the file through which the kernel starts programs as root."""
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return "core_pattern opens for writing"


def keyring(_spec: Spec) -> str:
    """Use the session's keyring."""
    return f"keyring {syscall(KEYCTL, 0, -3, 1)}"


def io_uring(_spec: Spec) -> str:
    """Set up a ring whose operations pass other filters by."""
    os.close(syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120)))
    return "set up a ring"


def bpf(_spec: Spec) -> str:
    """Reach the BPF call at all: the kernel's own refusal of bad arguments counts."""
    try:
        syscall(BPF, 0, ctypes.create_string_buffer(8), 8)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise
    return "bpf answered"


def type_for_others(_spec: Spec) -> str:
    """Type into a terminal. EIO is the kernel's own switch, which the host may not have set."""
    master, slave = os.openpty()
    os.setsid()
    fcntl.ioctl(slave, 0x540E, 0)
    try:
        fcntl.ioctl(slave, TIOCSTI, b"x")
    except OSError as error:
        if error.errno == errno.EPERM:
            raise
    os.close(master)
    return "TIOCSTI answered"


# Resources -----------------------------------------------------------------------------------


def fill(folder: str, cap: int) -> str:
    """Write files until more than `cap` bytes lie in a folder; tidy up afterwards."""
    names: list[str] = []
    written = 0
    try:
        while written <= cap:
            names.append(os.path.join(folder, f"fill-{len(names)}"))
            with open(names[-1], "wb", buffering=0) as file:
                for _ in range(8):
                    written += file.write(b"x" * MEBIBYTE)
    except OSError as error:
        raise Held(f"{error.strerror} after {written} bytes") from error
    finally:
        for name in names:
            if os.path.exists(name):
                os.unlink(name)
    return f"wrote {written} bytes to {folder}"


def fill_work(spec: Spec) -> str:
    """Fill the work folder beyond its size."""
    return fill(os.getcwd(), spec["work_bytes"])


def fill_temporary(spec: Spec) -> str:
    """Fill the temporary folder beyond its size."""
    return fill(os.environ.get("TMPDIR", "/tmp"), spec["temporary_bytes"])


def fill_shared(spec: Spec) -> str:
    """Fill /dev/shm beyond its size."""
    return fill("/dev/shm", spec["shared_bytes"])


def fill_devices(_spec: Spec) -> str:
    """Write anything into /dev."""
    return fill("/dev", 0)


def fill_root(_spec: Spec) -> str:
    """Write anything into /."""
    return fill("/", 0)


def fork_many(spec: Spec) -> str:
    """Start more processes than allowed."""
    children: list[int] = []
    try:
        while len(children) < spec["processes"]:
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
    except OSError as error:
        raise Held(f"{error.strerror} after {len(children)} processes") from error
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return f"started {len(children)} processes"


def hold(amount: int) -> mmap.mmap:
    """Return `amount` bytes of private memory, every page of it touched."""
    memory = mmap.mmap(-1, amount, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for start in range(0, amount, MEBIBYTE):
        memory[start : start + MEBIBYTE] = b"x" * min(MEBIBYTE, amount - start)
    return memory


def memory_one(spec: Spec) -> str:
    """Hold twice the allowed memory in one process."""
    memory = hold(2 * spec["memory_bytes"])
    time.sleep(0.2)
    return f"held {len(memory)} bytes"


def memory_many(spec: Spec) -> str:
    """Hold twice the allowed memory in four processes, each below the limit."""
    share = spec["memory_bytes"] // 2
    children, reading = [], []
    for _ in range(4):
        ear, mouth = os.pipe()
        pid = os.fork()
        if pid == 0:
            memory = hold(share)
            os.write(mouth, b"held")
            time.sleep(5)
            os._exit(len(memory) * 0)
        os.close(mouth)
        children.append(pid)
        reading.append(ear)
    told = [os.read(ear, 4) == b"held" for ear in reading]
    time.sleep(0.2)
    alive = [os.waitpid(pid, os.WNOHANG)[0] == 0 for pid in children]
    if not (all(told) and all(alive)):
        raise Held(f"only {sum(alive)} of 4 processes could hold {share} bytes")
    return f"4 processes held {share} bytes each"


def memory_hidden(spec: Spec) -> str:
    """Hold twice the allowed memory in files that no process map shows."""
    written = 0
    files = []
    while written < 2 * spec["memory_bytes"]:
        files.append(syscall(MEMFD_CREATE, b"hidden", 0))
        for _ in range(8):
            written += os.write(files[-1], b"x" * MEBIBYTE)
    time.sleep(0.2)
    return f"held {written} bytes in {len(files)} nameless files"


ACTS: dict[str, Callable[[Spec], str]] = {
    act.__name__: act
    for act in (
        *(capabilities, read_public, read_private, follow_symlink, list_home, read_shadow),
        *(write_outside, write_usr, write_interpreter, write_harness, write_tree),
        *(loopback, host_address, udp_out, abstract_socket, path_socket, virtual_socket),
        *(environment, others_environment, see_processes, kill_victim, trace),
        *(leaked_descriptor, nested_namespace, join_namespace, mount, core_pattern, keyring),
        *(io_uring, bpf, type_for_others),
        *(fill_work, fill_temporary, fill_shared, fill_devices, fill_root),
        *(fork_many, orphan, memory_hidden, memory_one, memory_many),
    )
}
"""Every act by its name, the gentle ones first."""
