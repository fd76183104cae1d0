"""Docker's default seccomp filter as data, and the filter for one step made from it.

Everything that is not allowed fails with EPERM. Some rules depend on the architecture or on the capabilities that the
step has; they are decided here, because a runtime only takes the result. Mirrors the facts of moby/profiles
(seccomp/default_linux.go).
"""

from __future__ import annotations

import errno
from collections.abc import Collection

import attrs

_ALWAYS = """
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents
io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr
mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl
msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat
openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl
pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead
readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat
rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity
sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid
setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32
setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt
set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack
signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx
symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe
utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""

#: Allowed only for steps that have the capability.
_BY_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
        lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd
        setdomainname sethostname setns syslog umount umount2 unshare""",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}

#: Since 4.8 the kernel checks ptrace after seccomp, so that tracing cannot be used to get around the filter.
_SAFE_TRACING_SINCE = (4, 8)
_TRACING = "process_vm_readv process_vm_writev ptrace"

_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_AF_ALG, _AF_VSOCK = 38, 40
#: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: clone(2) is allowed without any of them.
_NAMESPACE_FLAGS = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000


@attrs.frozen
class _Architecture:
    """What the kernel calls a machine: its seccomp names (itself and what it also runs), and its own syscalls."""

    names: tuple[str, ...]
    syscalls: str = ""
    clone_flags: int = 0
    """The index of the flags among clone's arguments."""


# Docker also lists x32. Compiling its rules costs every step 9 ms, for an ABI that kernels have switched off; left
# out, the filter stops x32 system calls instead of passing them on to a kernel that refuses them.
_ARCHITECTURES = {
    "x86_64": _Architecture(("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"), "arch_prctl modify_ldt"),
    "aarch64": _Architecture(
        ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    "riscv64": _Architecture(("SCMP_ARCH_RISCV64",), "riscv_flush_icache"),
    "ppc64le": _Architecture(("SCMP_ARCH_PPC64LE",), "sync_file_range2 swapcontext"),
    "s390x": _Architecture(
        ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"), "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr", 1
    ),
    "loongarch64": _Architecture(("SCMP_ARCH_LOONGARCH64",)),
}


def default_profile(*, machine: str, kernel: tuple[int, int], capabilities: Collection[str]) -> dict[str, object]:
    """The `linux.seccomp` object of a runtime config.

    Args:
        machine: as in `uname -m`; on one that is not known here, the runtime's native architecture is meant.
        kernel: major and minor version.
        capabilities: the bounding set of the step.

    Example:
        >>> default_profile(machine="x86_64", kernel=(6, 1), capabilities=())["architectures"]
        ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']
    """
    architecture = _ARCHITECTURES.get(machine, _Architecture(()))
    names = {*_ALWAYS.split(), *architecture.syscalls.split()}
    if kernel >= _SAFE_TRACING_SINCE:
        names.update(_TRACING.split())
    for capability, allowed in _BY_CAPABILITY.items():
        if capability in capabilities:
            names.update(allowed.split())
    rules = [_rule(sorted(names)), *_socket_rules()]
    rules += [_rule(["personality"], _argument(0, "EQ", value)) for value in _PERSONALITIES]
    if "CAP_SYS_ADMIN" not in capabilities:
        rules += _clone_rules(architecture.clone_flags)
    profile: dict[str, object] = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.EPERM, "syscalls": rules}
    if architecture.names:
        profile["architectures"] = list(architecture.names)
    return profile


def _socket_rules() -> list[dict[str, object]]:
    # Every address family except AF_ALG and AF_VSOCK: both reach outside the network namespace.
    return [
        _rule(["socket"], _argument(0, "LT", _AF_ALG)),
        _rule(["socket"], _argument(0, "EQ", _AF_ALG + 1)),
        _rule(["socket"], _argument(0, "GT", _AF_VSOCK)),
    ]


def _clone_rules(flags_index: int) -> list[dict[str, object]]:
    # clone3 takes its flags in memory, where a filter cannot see them: ENOSYS makes libc fall back to clone.
    flags: dict[str, object] = {
        "index": flags_index,
        "value": _NAMESPACE_FLAGS,
        "valueTwo": 0,
        "op": "SCMP_CMP_MASKED_EQ",
    }
    clone3: dict[str, object] = {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}
    return [_rule(["clone"], flags), clone3]


def _argument(index: int, operator: str, value: int) -> dict[str, object]:
    return {"index": index, "value": value, "op": f"SCMP_CMP_{operator}"}


def _rule(names: list[str], *arguments: dict[str, object]) -> dict[str, object]:
    rule: dict[str, object] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if arguments:
        rule["args"] = list(arguments)
    return rule
