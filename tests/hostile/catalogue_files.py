"""Cases 36 to 51 (files) and 52 to 58 (memory, CPU, descriptors)."""
from case import Attempt as A
from case import Case

CASES = [
    Case(36, "the host's secrets, the engine's state", (
        A("read /etc/shadow", "ENOENT", degraded="EACCES", control="ok"), A("list {home}", "empty", degraded="EACCES", control_text="list /etc"),
        A("stat {state}", "ENOENT", degraded="EACCES|ok", control="ok"), A("list {state}", "ENOENT", degraded="EACCES", control_text="list {state}"),
        A("list /home", "empty", degraded="EACCES", control_text="list /etc"), A("stat /boot", "ENOENT", degraded="ok", control="ok"))),
    Case(37, "writing to code, runtime and system", (
        A("create /var/task/x", "EROFS", degraded="ENOENT|EACCES|EROFS", control="ok", control_text="create /tmp/hearth-hostile-new"),
        A("create /var/runtime/x", "EROFS", degraded="ENOENT|EACCES", control="ok", control_text="create /tmp/hearth-hostile-new"),
        A("create /usr/hearth-hostile", "EROFS", degraded="EACCES", control="ok"), A("create /hearth-hostile", "EROFS", degraded="EACCES", control="ok"),
        A("create /etc/hearth-hostile", "EROFS", degraded="EACCES", control="ok"), A("open_w /proc/self/exe", "EROFS|ETXTBSY|EACCES", control="ETXTBSY"))),
    Case(38, "filling /tmp", (A("fill /tmp/hearth-hostile-big 600", "ENOSPC|EFBIG", degraded="EFBIG", control="ok", control_text="fill /tmp/hearth-hostile-big 80"),), alone=True),
    Case(39, "filling /tmp with empty files", (A("inodes /tmp 9000", "ENOSPC", degraded="ok", control="ok"),), alone=True),
    Case(40, "a sparse file of 1 TB", (A("sparse /tmp/hearth-hostile-sparse 1099511627776", "EFBIG", control="ok"),)),
    Case(41, "symbolic links to the host's files", (A("symlink_read /etc/shadow", "ENOENT", degraded="EACCES", control="ok"),
                                                     A("symlink_read {state}/hearth.db", "ENOENT", degraded="EACCES", control="ok|ENOENT"))),
    Case(42, "device nodes", (A("mknod /tmp/hearth-hostile-disk", "EPERM", control="ok"), A("mknod /dev/shm/hearth-hostile-disk", "EPERM", control="ok"))),
    Case(43, "devices", tuple(A(f"stat /dev/{name}", "ENOENT", degraded="ok", control="ok") for name in ("tty", "ptmx"))
         + (A("open_rw /dev/tty", "ENOENT", degraded="EACCES", control="ok|ENXIO"),)
         + tuple(A(f"read /dev/{name}", "ENOENT", degraded="EACCES|EPERM|ENOENT", control="ok", control_text="read /dev/zero") for name in ("kmsg", "mem", "kvm", "vda"))),
    Case(44, "/sys, cgroups, sysctl, sysrq", (
        A("list /sys", "ENOENT", degraded="EACCES", control="names"), A("open_w /proc/sys/kernel/core_pattern", "ENOENT", degraded="EACCES", control="ok|EROFS"),
        A("open_w /proc/sysrq-trigger", "ENOENT", degraded="EACCES|ENOENT", control="ok", control_text="open_w /proc/self/comm"), A("stat /proc/kallsyms", "ENOENT", degraded="ok", control="ok"),
        A("open_w /sys/fs/cgroup/cgroup.procs", "ENOENT", degraded="EACCES|ENOENT", control_text="list /sys/fs", control="names"))),
    Case(45, "open_by_handle_at", (A("sys 304 -1 @ 0", "EPERM"), A("sys 304 -100 0xffffffffffffff00 0", "EPERM"))),
    Case(46, "inherited descriptors", (A("fds", "0,1,2,3|0,1,2,3,4", control="0,1,2,77"),), languages="C"),
    Case(47, "reopening descriptors and the runtime for writing", (
        A("open_rw /proc/self/fd/1", "ok|EACCES|ENXIO", control="ok"), A("open_rw /proc/self/fd/3", "ENXIO|ENOENT", control_text="open_rw /dev/null"),
        A("open_rw /proc/self/exe", "EROFS|ETXTBSY|EACCES", control="ETXTBSY"), A("open_w /usr/bin/python3", "EROFS|EACCES", degraded="EACCES", control="ok|ETXTBSY"),
        A("open_w /proc/1/exe", "ENOENT", degraded="EACCES", control_text="open_w /proc/self/exe", control="ETXTBSY"))),
    Case(48, "other functions in mountinfo", (A("contains /proc/self/mountinfo attacker", "absent", control_text="contains /proc/self/mountinfo proc", control="seen"),
                                               A("contains /proc/self/mountinfo neighbour", "absent", control_text="contains /proc/self/mountinfo proc", control="seen"))),
    Case(49, "shared memory and queues of another function", check="shared_memory", strict="nothing seen", control="all seen", languages="C"),
    Case(50, "hostile archives", check="archives", strict="each refused, nothing left", control="accepted", control_by="benign", languages="zip"),
    Case(51, "code replaced while it is mounted", check="replace_code", strict="old, then new, never mixed", control="accepted", control_by="benign", languages="Python"),
    Case(52, "memory bombs", check="memory_bombs", strict="Runtime.OutOfMemory", user="no limit on memory files, shared memory", degraded="no limit on memory files, shared memory", control="no limit", control_by="function", alone=True, languages="C, Python, Node"),
    Case(53, "a child out of memory", check="child_memory", strict="flagged", user="no limit", degraded="no limit", control="no limit", control_by="function", alone=True, languages="Python"),
    Case(54, "locked memory", (A("mlock 64", "ENOMEM|EAGAIN|EPERM", control="ok"), A("sys 9 0 0x4000000 3 0x40022 -1 0", "ENOMEM|EPERM", control_text="mlock 64", control="ok"))),
    Case(55, "all descriptors", (A("exhaust file 3000", "EMFILE", control="ok", control_text="exhaust file 1200"), A("exhaust pipe 3000", "EMFILE", control="ok", control_text="exhaust pipe 600"))),
    Case(56, "spinning on all CPUs", check="spin", strict="quota kept, neighbour well", user="no limit", degraded="no limit", control="no limit", control_by="off", alone=True, languages="Python"),
    Case(57, "descriptors in flight, full pipes", (A("flying_fds 20000", "ETOOMANYREFS|EMFILE", control="ok", control_text="flying_fds 100"),)),
    Case(58, "epoll, inotify and timer bombs", (A("exhaust epoll 3000", "EMFILE", control="ok", control_text="exhaust epoll 1200"),
                                               A("exhaust inotify 3000", "EMFILE", control_text="exhaust inotify 40", control="ok"),
                                               A("exhaust timer 100000", "EAGAIN|ENOMEM", control_text="exhaust timer 1000", control="ok")), languages="C"),
]

FURTHER = [
    Case(105, "hard links to files of the system", (A("hardlink /etc/passwd", "EXDEV|EROFS", degraded="EPERM|EXDEV", control="ok|EXDEV"),
                                                   A("hardlink /proc/self/exe", "EXDEV|EROFS", degraded="EPERM|EXDEV|EROFS", control="ok|EXDEV"))),
    Case(106, "inotify on code and runtime", (A("inotify /var/task", "ok", degraded="ENOENT|ok", control_text="inotify /tmp", control="ok"),
                                             A("inotify {state}", "ENOENT", degraded="EACCES|ok", control="ok"))),
    Case(107, "/dev/shm filled by itself", (A("fill /dev/shm/hearth-hostile-big 600", "ENOSPC|EFBIG", degraded="EACCES", control="ok", control_text="fill /dev/shm/hearth-hostile-big 20"),), alone=True),
    Case(108, "a memory file larger than the limit", (A("memfd 2000", "SIGKILL|Runtime.OutOfMemory", user="EFBIG", degraded="EFBIG", control="ok", control_text="memfd 20"),), alone=True),
]
