"""Linux capabilities of a step: Docker's default set, and everything the worker has for insecure steps.

Mirrors the default set of containerd's pkg/oci/spec.go and BuildKit's util/entitlements/security.
"""

from __future__ import annotations

#: What root keeps inside a container, as in Docker and BuildKit.
DEFAULT_CAPABILITIES = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

#: All capabilities in the kernel's numbering (include/uapi/linux/capability.h): the position is the bit.
_BY_NUMBER = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)


def capabilities_in(mask: int) -> frozenset[str]:
    """The names of the bits that are set in a capability mask of /proc/PID/status.

    Bits that this list does not know yet are left out: runtimes would not know them either.

    Example:
        >>> sorted(capabilities_in(0b100001))
        ['CAP_CHOWN', 'CAP_KILL']
    """
    return frozenset(f"CAP_{name}" for bit, name in enumerate(_BY_NUMBER) if mask >> bit & 1)


def available_capabilities() -> frozenset[str]:
    """What this process may hand to others: its bounding set.

    Less than everything on hosts that are containers themselves; asking a runtime for more than that fails.
    """
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapBnd:"):
                return capabilities_in(int(line.split()[1], 16))
    return frozenset()
