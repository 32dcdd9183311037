"""Cases 1 to 35 and 101 on: processes and the kernel."""
from case import Attempt as A
from case import Case

NEWUSER = 0x10000000
KERNEL = {"pidfd_getfd": 438, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "fsopen": 430, "open_tree": 428,
          "move_mount": 429, "mount_setattr": 442, "bpf": 321, "perf_event_open": 298, "keyctl": 250, "add_key": 248, "request_key": 249,
          "userfaultfd": 323, "io_uring_setup": 425, "memfd_secret": 447, "kexec_load": 246, "init_module": 175, "finit_module": 313,
          "reboot": 169, "iopl": 172, "modify_ldt": 154, "clock_settime": 227, "settimeofday": 164, "sethostname": 170, "adjtimex": 159,
          "personality": 135, "seccomp": 317, "setuid": 105, "setresuid": 117, "setgroups": 116, "capset": 126, "prctl": 157,
          "statmount": 457, "listmount": 458, "kcmp": 312, "process_vm_writev": 311, "process_madvise": 440, "swapon": 167, "acct": 163,
          "quotactl": 179, "syslog": 103, "fanotify_init": 300, "pidfd_open": 434, "ioprio_set": 251, "lookup_dcookie": 212,
          "name_to_handle_at": 303, "open_by_handle_at": 304, "process_mrelease": 448, "quotactl_fd": 443, "cachestat": 451, "sync": 162, "syncfs": 306}


def call(name, arguments, strict, **more):
    """A raw system call, by its name; its arguments are such that a kernel which runs it does no harm."""
    return A(f"sys {KERNEL[name]} {arguments}", strict, **more)


BAD = "0xffffffffffffff00"  # no address: EFAULT from whoever looks
PERM, KILL, NONE = "EPERM", "SIGSYS", "ENOSYS"

CASES = [
    Case(1, "fork bomb", check="fork_bomb", strict="timeout, all ended, neighbour well|Runtime.OutOfMemory, all ended, neighbour well", control="no limit", control_by="function", alone=True),
    Case(2, "thread bomb", (A("threads 2000", "EAGAIN|ENOMEM", control="ok", control_text="threads 600"),), alone=True),
    Case(3, "double fork and setsid", check="daemonize", strict="ended with the sandbox", control="lived on", control_by="function",
         languages="Python, Node"),
    Case(4, "kill -9 of everything", check="kill_all", strict="Runtime.ExitError, only its own", control="killed", control_by="function",
         languages="Python, Node"),
    Case(5, "kill -9 of init", (A("kill 1 9", "EPERM|ok", degraded="EPERM", control_text="kill_child", control="ok"), A("status", "confined", degraded="bounding set kept", control="free")), languages="C, Python, Node"),
    Case(6, "signals to engine and spawner", (A("kill {daemon} 0", "ESRCH", degraded="EPERM", control="ok"),
                                              A("kill {spawner} 0", "ESRCH", degraded="EPERM", control="ok"))),
    Case(7, "ptrace of the worker and of init", (A("ptrace parent", PERM, control="ok"), A("ptrace 1", PERM, control="ok", control_text="ptrace parent"))),
    Case(8, "process_vm_readv, process_vm_writev", (A("vm_readv parent", PERM, control="ok"), call("process_vm_writev", "-1 @ 1 @ 1 0", PERM))),
    Case(9, "init's memory, environment and root", (
        A("read /proc/1/mem", "ENOENT", degraded="EACCES", control="EIO", control_text="read /proc/{runner}/mem"),
        A("read /proc/1/environ", "ENOENT", degraded="EACCES", control="ok", control_text="read /proc/{runner}/environ"),
        A("stat /proc/1/root", "ENOENT", degraded="EACCES", control="ok", control_text="stat /proc/{runner}/root"))),
    Case(10, "a process of the host in /proc", (A("stat /proc/{daemon}", "ENOENT", degraded="ok", control="ok"),
                                                A("read /proc/{daemon}/environ", "ENOENT", degraded="EACCES", control="ok"))),
    Case(11, "new namespaces by unshare and clone, high bits set", tuple(
        A(f"{kind} {flag:#x}", PERM, control="ok|EINVAL" if flag >> 32 else "ok") for kind in ("unshare", "clone")
        for flag in (NEWUSER, 0x20000, 0x40000000, 0x20000000, NEWUSER | 1 << 40))),
    Case(12, "new namespaces by clone3", (A(f"clone3 {NEWUSER:#x}", NONE, control="ok"), A("clone3 0x20000", NONE, control="ok"))),
    Case(13, "setns", (call("setns", "-1 0", PERM), call("setns", f"-1 {NEWUSER:#x}", PERM))),
    Case(14, "mounts", (call("mount", f"{BAD} {BAD} {BAD} 0 0", PERM), call("umount2", f"{BAD} 0", PERM), call("pivot_root", f"{BAD} {BAD}", PERM),
                        call("chroot", BAD, PERM), call("fsopen", f"{BAD} 0", PERM), call("open_tree", f"-1 {BAD} 1", PERM),
                        call("move_mount", f"-1 {BAD} -1 {BAD} 0", PERM), call("mount_setattr", f"-1 {BAD} 0 @ 64", PERM))),
    Case(15, "bpf", (call("bpf", "-1 @ 64", PERM),)),
    Case(16, "perf_event_open", (call("perf_event_open", f"{BAD} 0 -1 -1 0", PERM),)),
    Case(17, "keyrings", (call("keyctl", "0 -3 1", PERM), call("add_key", f"{BAD} {BAD} 0 0 -3", PERM),
                          call("request_key", f"{BAD} {BAD} 0 0", PERM))),
    Case(18, "userfaultfd, io_uring, memfd_secret", (call("userfaultfd", "1", NONE, control="ok|EINVAL"), call("io_uring_setup", f"1 {BAD}", NONE),
                                                     call("memfd_secret", "-1", NONE))),
    Case(19, "kexec, modules, reboot, ports, LDT", (
        call("kexec_load", "0 0 0 0xffff", KILL), call("init_module", f"{BAD} 0 {BAD}", KILL), call("finit_module", "-1 @ 0", KILL),
        call("reboot", "0 0 0 0", KILL), call("iopl", "99", KILL), call("modify_ldt", "99 0 0", KILL, control="ok|ENOSYS"),
        call("swapon", f"{BAD} 0", KILL), call("acct", BAD, KILL), call("quotactl", f"-1 {BAD} 0 0", KILL))),
    Case(20, "int 0x80 and x32", (A("int80", KILL, control="ok"), A(f"sys {0x40000000 | 39}", KILL, control="ENOSYS|ok"))),
    Case(21, "unknown and newer calls", (A("sys 9999", NONE, control=NONE), A("sys -1", NONE, control=NONE), A("sys 0x3fffffff", NONE, control="ENOSYS"),
                                         call("cachestat", f"-1 {BAD} {BAD} 0", NONE), call("statmount", f"{BAD} @ 0 0", NONE))),
    Case(22, "personality(ADDR_NO_RANDOMIZE)", (call("personality", "0x40000", PERM, control="ok"), call("personality", "0x400000", PERM, control="ok"))),
    Case(23, "terminal ioctls, high bits set", (A("tty 0x5412", "ENOTTY", control="ok"), A("tty 0x100005412", "ENOTTY", control="ok"),
                                                A("tty 0x5423", "ENOTTY", control="ok"))),
    Case(24, "prctl: SET_MM, user dispatch, ambient", (A("set_mm", "EINVAL", control="ok"), call("prctl", "59 0 0 0 0", "EINVAL", control="ok"),
                                                       call("prctl", "47 1 0 0 0", "EINVAL", control="ok"))),
    Case(25, "a filter of its own", (call("seccomp", "2 0 @", PERM, control="ok|EOPNOTSUPP"), call("prctl", f"22 2 {BAD} 0 0", "EINVAL", control="EFAULT"))),
    Case(26, "becoming root; a setuid file", (call("setuid", "0", PERM, control="ok"), call("setresuid", "0 0 0", PERM, control="ok"),
                                              call("setgroups", "0 0", PERM, control="ok"), A("setuid_file", "same", control="gained"),
                                              A("list /var/tmp", "empty", degraded="EACCES", control_text="status",
                                                control="free"))),
    Case(27, "priorities", (A("nice -10", "EACCES", degraded="EACCES", control="ok"), A("realtime", PERM, control="ok"),
                            call("ioprio_set", "1 0 0", PERM, control="ok"))),
    Case(28, "raising a limit", (A("raise 2", PERM, control="ok"), A("raise 6", PERM, control="ok|EPERM"), A("raise 7", PERM, control="EPERM"))),
    Case(29, "escaping the OOM killer", (A("put /proc/self/oom_score_adj -1000", "EACCES", control="ok", control_text="put /proc/self/oom_score_adj 1000"),)),
    Case(30, "the host's clock and name", (call("clock_settime", f"0 {BAD}", KILL), call("settimeofday", f"{BAD} 0", KILL),
                                           call("sethostname", f"{BAD} 4", KILL), call("adjtimex", BAD, KILL))),
    Case(31, "a core dump of 100 MB", check="core_dump", strict="Runtime.ExitError, no core", control="a core file", control_by="function",
         languages="Python"),
    Case(32, "ends of every kind", check="ends", strict="Runtime.ExitError", control="killed", control_by="function", languages="Python, Node"),
    Case(33, "SIGTERM ignored in a busy loop", check="busy_loop", strict="Sandbox.Timedout, ended", control="answers", control_by="benign",
         languages="Python, Node"),
    Case(34, "SIGSTOP to itself", check="stop_itself", strict="Sandbox.Timedout, ended", control="answers", control_by="benign", languages="Python, Node"),
    Case(35, "limits and CPUs of the engine", (A("prlimit {daemon}", "ESRCH", degraded=PERM, control="ok", control_text="prlimit {runner}"),
                                               A("affinity {daemon}", "ESRCH", degraded=PERM, control="ok"))),
]

# Beyond the numbered list: what else an attacker would try.
FURTHER = [
    Case(101, "reading other processes by newer calls", (call("kcmp", "1 1 0 0 0", PERM, control="ok", control_text="sys 312 {runner} {runner} 0 0 0"), call("process_madvise", "-1 @ 1 0 0", PERM),
                                                       call("pidfd_getfd", "-1 0 0", PERM), call("process_mrelease", "-1 0", PERM))),
    Case(102, "the kernel's log and the watch on whole file systems", (call("syslog", "10 0 0", PERM, control="ok"), call("fanotify_init", "-1 0", PERM))),
    Case(103, "file handles and quotas by descriptor", (call("name_to_handle_at", f"-100 {BAD} {BAD} {BAD} 0", PERM),
                                                      call("quotactl_fd", "-1 -1 0 0", PERM))),
    Case(104, "capabilities", (call("capset", f"{BAD} {BAD}", PERM), call("prctl", "24 0 0 0 0", "EINVAL|EPERM", control="ok"), A("status", "confined", degraded="bounding set kept", control="free"))),
    Case(115, "writing out the disks of all", (call("sync", "", PERM, control="ok"), call("syncfs", "-1", PERM, control="EBADF"))),
]
