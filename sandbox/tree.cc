#include "sandbox/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace hearth::sandbox {
namespace {

struct Process {
  pid_t pid;
  pid_t parent;
  bool marked;
};
Process g_table[kProcessesMax];  // static: 384 KiB that are touched only when a tree is walked

// /proc/PID/stat: "pid (name) state ppid ..."; the name may hold anything, so the last ')' counts.
pid_t parent_of(const char* pid) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%.16s/stat", pid);
  UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return -1;
  char text[512];
  const ssize_t n = read(fd.get(), text, sizeof text - 1);
  if (n <= 0) return -1;
  text[n] = '\0';
  const char* end = strrchr(text, ')');
  int parent = -1;
  int threads = 0;
  char state;
  if (end == nullptr ||
      sscanf(end + 1, " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d",
             &state, &parent, &threads) != 3)
    return -1;
  // Of a process whose first thread has ended the others go on.
  return state == 'Z' && threads <= 1 ? -1 : parent;
}

size_t read_table() {
  DIR* dir = opendir("/proc");
  if (dir == nullptr) return 0;
  size_t count = 0;
  while (const dirent* entry = readdir(dir)) {
    const int pid = atoi(entry->d_name);
    if (pid <= 0 || count == kProcessesMax) continue;
    const pid_t parent = parent_of(entry->d_name);
    if (parent >= 0) g_table[count++] = {pid, parent, false};
  }
  closedir(dir);
  return count;
}

// Marks what descends from `root` and from marked ones, until nothing changes.
void spread(size_t count, pid_t root) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < count; ++i) {
      if (g_table[i].marked) continue;
      bool below = g_table[i].parent == root;
      for (size_t j = 0; j < count && !below; ++j)
        below = g_table[j].marked && g_table[j].pid == g_table[i].parent;
      if (below) g_table[i].marked = changed = true;
    }
  }
}

size_t spread_and_kill(size_t count, pid_t root) {
  spread(count, root);
  size_t killed = 0;
  for (size_t i = 0; i < count; ++i)
    if (g_table[i].marked && kill(g_table[i].pid, SIGKILL) == 0) ++killed;
  return killed;
}

}  // namespace

size_t kill_descendants(pid_t root) { return spread_and_kill(read_table(), root); }

void each_descendant(pid_t root, void (*each)(void* context, pid_t pid, pid_t parent),
                     void* context) {
  const size_t count = read_table();
  spread(count, root);
  for (size_t i = 0; i < count; ++i)
    if (g_table[i].marked) each(context, g_table[i].pid, g_table[i].parent);
}

bool signal_child(pid_t pid, pid_t parent, int signal) {
  char text[16];
  snprintf(text, sizeof text, "%d", pid);
  const UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid() || parent_of(text) != parent) return false;
  return syscall(SYS_pidfd_send_signal, fd.get(), signal, nullptr, 0) == 0;
}

size_t kill_strays(bool (*known)(void* context, pid_t pid), void* context) {
  const size_t count = read_table();
  const pid_t self = getpid();
  for (size_t i = 0; i < count; ++i)
    g_table[i].marked = g_table[i].parent == self && !known(context, g_table[i].pid);
  return spread_and_kill(count, -1);
}

}  // namespace hearth::sandbox
