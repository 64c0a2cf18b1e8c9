"""The seccomp filter, as a list of what a program may ask of the kernel; everything else is refused with EPERM.

libseccomp (through pyseccomp) compiles it once, outside; children load the finished bytes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import tempfile

from rewards.sandbox.inside.confine import PID_PLACEHOLDER

CLONE_THREAD = 0x00010000
CLONE_NAMESPACES = 0x7E020080
MASK_32 = 0xFFFFFFFF
FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)  # F_DUPFD, F_GETFD to F_SETLKW, open file locks, F_DUPFD_CLOEXEC, F_GETPIPE_SZ

ALLOWED = """
read write readv writev pread64 pwrite64 close close_range lseek fstat newfstatat statx stat lstat fstatfs statfs access faccessat
faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir dup dup2 dup3 pipe pipe2 poll ppoll select pselect6
epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 flock fsync fdatasync umask
mmap munmap mremap mprotect madvise brk msync membarrier
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack restart_syscall
alarm setitimer getitimer timer_create timer_settime timer_delete timer_gettime pause
nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage sysinfo uname getcpu
futex set_robust_list get_robust_list set_tid_address rseq sched_yield sched_getaffinity sched_getparam sched_getscheduler
sched_get_priority_max sched_get_priority_min
getpid gettid getppid getpgid getpgrp getsid getuid geteuid getgid getegid getresuid getresgid getgroups capget getpriority
getrandom getrlimit arch_prctl wait4 waitid exit exit_group
"""

WRITING = """
creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 truncate ftruncate fallocate utimensat
"""

MODES = "chmod fchmod fchmodat fchmodat2 "  # a scratch folder's files alone are the program's own and not mounted read-only


def available() -> bool:
    """True when libseccomp and the kernel can filter."""
    try:
        importlib.import_module("pyseccomp")
    except (ImportError, RuntimeError, OSError):
        return False
    return os.path.exists("/proc/sys/kernel/seccomp/actions_avail") and platform.machine() in ("x86_64", "aarch64")


def compile_filter(writable: bool, file_modes: bool = False) -> bytes:
    """BPF bytes. writable: files may be created and written (where Landlock or a mount decides), otherwise only opened for reading.

    file_modes: where they may be written, their modes may be changed too.
    """
    import pyseccomp as seccomp

    refuse = seccomp.ERRNO(1)  # EPERM
    rules = seccomp.SyscallFilter(refuse)
    with contextlib.suppress(OSError):  # libseccomp before 2.5 has no binary tree: its filters take longer to load
        rules.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)

    def allow(name: str, *arguments: seccomp.Arg) -> None:
        number = seccomp.resolve_syscall(seccomp.system_arch(), name)
        if number >= 0:  # an old kernel's or another machine's name is simply absent
            rules.add_rule(seccomp.ALLOW, number, *arguments)

    for name in (ALLOWED + (WRITING if writable else "") + (MODES if writable and file_modes else "")).split():
        allow(name)
    if writable:
        allow("open")
        allow("openat")
    else:
        unwanted = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        allow("open", seccomp.Arg(1, seccomp.MASKED_EQ, unwanted, 0))
        allow("openat", seccomp.Arg(2, seccomp.MASKED_EQ, unwanted, 0))
    allow("clone", seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD | CLONE_NAMESPACES, CLONE_THREAD))  # threads, no processes
    for name in ("listxattr", "llistxattr", "flistxattr"):  # ENOTSUP, so that shutil does not ask for more
        rules.add_rule(seccomp.ERRNO(95), name)
    rules.add_rule(seccomp.ERRNO(38), "clone3")  # ENOSYS: libc falls back to clone, whose flags a filter can see
    for name in ("kill", "tkill", "tgkill"):
        allow(name, seccomp.Arg(0, seccomp.MASKED_EQ, MASK_32, PID_PLACEHOLDER))  # its own process
    for command in FCNTL:  # no owner (F_SETOWN): it would get signals
        allow("fcntl", seccomp.Arg(1, seccomp.MASKED_EQ, MASK_32, command))
    for request in (0x5401, 0x5413, 0x5450, 0x5451):  # TCGETS, TIOCGWINSZ, FIONCLEX, FIOCLEX
        allow("ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, MASK_32, request))
    allow("prlimit64", seccomp.Arg(0, seccomp.MASKED_EQ, MASK_32, 0))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
