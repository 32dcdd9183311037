// Kills process trees by walking /proc: for the modes without a pid namespace, where nothing else
// holds a tree together.
#pragma once
#include <sys/types.h>

#include <cstddef>

namespace hearth::sandbox {

inline constexpr size_t kProcessesMax =
    32768;  // looked at in one walk; the rest is found by the next

// Sends SIGKILL to every descendant of `root` that is there now, but not to `root` itself. Returns
// how many. Others may be forked meanwhile: call again until it returns 0 and wait4 says ECHILD.
size_t kill_descendants(pid_t root);

// Calls `each` for every descendant of `root` that is there now, with its parent.
void each_descendant(pid_t root, void (*each)(void* context, pid_t pid, pid_t parent),
                     void* context);

// Sends `signal` to `pid` if it is a child of `parent`; by a pidfd, so that no process is hit that
// took over the number.
bool signal_child(pid_t pid, pid_t parent, int signal);

// The same for the children of the caller that `known` doesn't know, and all below them: orphans
// that were handed to the caller as their subreaper.
size_t kill_strays(bool (*known)(void* context, pid_t pid), void* context);

}  // namespace hearth::sandbox
