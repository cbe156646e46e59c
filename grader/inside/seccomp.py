"""A seccomp filter for one process: no child processes, no network, no namespaces, no reaching into other processes."""

import ctypes
import errno
import os
import platform
import struct

__all__ = ["NotSupported", "install", "program"]

X86_64, AARCH64 = 0, 1
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000

# name: its numbers on x86_64 and aarch64, None where it does not exist.
DENIED = {
    # other processes' memory and files
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # signals to others
    "pidfd_send_signal": (424, 424), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "tkill": (200, 130),
    # to wait for a processor on purpose, since that time does not count
    "setpriority": (141, 140), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    # the file system's shape
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "fanotify_init": (300, 262),
    # namespaces, processes, programs
    "unshare": (272, 97), "setns": (308, 268), "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "personality": (135, 92),
    # the network, and any other socket
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "sendmmsg": (307, 269), "recvmmsg": (299, 243),
    # memory and messages that no limit counts
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),
    "mq_open": (240, 180),
    # parts of the kernel with a long history of holes, and none of a student's business
    "bpf": (321, 280), "perf_event_open": (298, 241), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "modify_ldt": (154, None), "uselib": (134, None), "lookup_dcookie": (212, 18), "syslog": (103, 116),
    # the machine
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142),
    "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None), "vhangup": (153, 58),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
}  # fmt: skip
ONLY_ITSELF = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}  # the first argument must be its own pid (or 0: prlimit64)
CLONE, CLONE3 = (56, 220), (435, 435)
CLONE_THREAD = 0x00010000
CLONE_NAMESPACES = 0x7E020000  # every CLONE_NEW* flag that clone takes

LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|..|K, BPF_RET|K
ALLOW, KILL = 0x7FFF0000, 0x80000000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; the low half of the argument comes first
PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER = 38, 1
SECCOMP = (317, 277)


class NotSupported(RuntimeError):
    """There is no filter for this architecture or kernel."""


def install() -> None:
    """Filter the system calls of this process, for ever. Whatever is denied fails with EPERM.

    Raises:
        NotSupported: the architecture is neither x86_64 nor aarch64, or the kernel refuses.
    """
    machine = platform.machine()
    if machine not in AUDIT_ARCH:
        raise NotSupported(f"no system call filter is known for the architecture {machine}, only for {', '.join(AUDIT_ARCH)}")
    instructions = program(machine, os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    header = struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(buffer))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(SECCOMP[_column(machine)], SECCOMP_SET_MODE_FILTER, 0, header):
        raise NotSupported(f"the kernel refuses the system call filter: {os.strerror(ctypes.get_errno())}")


def program(machine: str, own_pid: int) -> bytes:
    """Return the filter's instructions, eight bytes each."""
    column = _column(machine)
    denied = _returned(errno.EPERM)
    code = [_load(ARCHITECTURE), _branch(JUMP_EQUAL, AUDIT_ARCH[machine], 1, 0), _instruction(RETURN, KILL), _load(NUMBER)]
    if machine == "x86_64":
        code += [_branch(JUMP_GREATER_EQUAL, X32_BIT, 0, 1), denied]
    for numbers in DENIED.values():
        if (number := numbers[column]) is not None:
            code += [_branch(JUMP_EQUAL, number, 0, 1), denied]
    code += [_branch(JUMP_EQUAL, CLONE3[column], 0, 1), _returned(errno.ENOSYS)]  # its flags lie in memory; glibc then uses clone
    code += [_branch(JUMP_EQUAL, CLONE[column], 0, 5), _load(FIRST_ARGUMENT), _branch(JUMP_ANY_BIT, CLONE_NAMESPACES, 1, 0)]
    code += [_branch(JUMP_ANY_BIT, CLONE_THREAD, 1, 0), denied, _instruction(RETURN, ALLOW)]
    for name, numbers in ONLY_ITSELF.items():
        allowed_too = 0 if name == "prlimit64" else own_pid
        code += [_branch(JUMP_EQUAL, numbers[column], 0, 4), _load(FIRST_ARGUMENT)]
        code += [_branch(JUMP_EQUAL, own_pid, 2, 0), _branch(JUMP_EQUAL, allowed_too, 1, 0), denied]
        code += [_load(NUMBER)]
    code += [_instruction(RETURN, ALLOW)]
    return b"".join(code)


def _column(machine: str) -> int:
    return X86_64 if machine == "x86_64" else AARCH64


def _instruction(code: int, constant: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, constant)


def _load(offset: int) -> bytes:
    return _instruction(LOAD, offset)


def _branch(code: int, constant: int, if_true: int, if_false: int) -> bytes:
    return _instruction(code, constant, if_true, if_false)


def _returned(error: int) -> bytes:
    return _instruction(RETURN, 0x00050000 | error)  # SECCOMP_RET_ERRNO
