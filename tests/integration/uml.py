"""A machine with pure cgroup v2, whatever this one has: user-mode-linux, Debian's package, on this root file system.

The guest sees the host's files (hostfs, as the same user) and gets /tmp-like folders, /proc, /sys and /sys/fs/cgroup of its own.
"""
import os
import pathlib
import shlex
import shutil
import subprocess

KERNEL = "linux.uml"
MEMORY = "1500M"
SCRIPT = r"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=1777 scratch /var/tmp
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
{command} >{output} 2>&1
echo "ended with $?" >>{output}
sync
exec /usr/bin/python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321fedc)'
"""


def problem():
    """Why no guest can be started here, or None."""
    if os.geteuid() != 0:
        return "user-mode-linux needs root here: its guest's root writes as this user"
    if not shutil.which(KERNEL):
        return "user-mode-linux is not installed (apt-get install user-mode-linux)"
    return None


def run(folder, command, environment, timeout):
    """Boots a guest, runs the command as its root, and returns what it printed. The last line is "ended with N"."""
    folder = pathlib.Path(folder)
    output, script = folder / "guest.log", folder / "guest.sh"
    words = ["env", *(f"{key}={value}" for key, value in environment.items()), *command]
    script.write_text(SCRIPT.format(command=shlex.join(map(str, words)), output=shlex.quote(str(output))))
    script.chmod(0o755)
    done = subprocess.run(["timeout", "--kill-after=5", str(timeout), KERNEL, f"mem={MEMORY}", f"umid=hearth-{os.getpid()}", "root=/dev/root",
                           "rootfstype=hostfs", "rw", f"init={script}", "con=null", "con0=null,fd:1", "quiet"],
                          cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
                          env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)})
    if not output.exists():
        raise AssertionError(f"the guest did not come to its command: {done.returncode}\n{done.stdout}{done.stderr}")
    return output.read_text(errors="replace")
