#include "sandbox/cgroup_files.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/unique_fd.h"

namespace hearth::sandbox {
namespace {

constexpr int kRetryMs = 2;

UniqueFd open_file(CgroupDir at, const char* file, int flags) {
  char path[kCgroupPathMax];
  snprintf(path, sizeof path, "%s%s%s", at.group, at.group[0] == '\0' ? "" : "/", file);
  return UniqueFd(openat(at.folder, path, flags | O_CLOEXEC | O_NOFOLLOW));
}

}  // namespace

int write_cgroup_file(CgroupDir at, const char* file, const char* text) {
  const UniqueFd fd = open_file(at, file, O_WRONLY);
  const size_t length = strlen(text);
  if (!fd.valid()) return errno;
  return write(fd.get(), text, length) == static_cast<ssize_t>(length) ? 0 : errno;
}

int write_cgroup_number(CgroupDir at, const char* file, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(number));
  return write_cgroup_file(at, file, text);
}

bool read_cgroup_file(CgroupDir at, const char* file, char* text, size_t room) {
  const UniqueFd fd = open_file(at, file, O_RDONLY);
  if (!fd.valid()) return false;
  size_t length = 0;
  ssize_t n;
  while (length + 1 < room && (n = read(fd.get(), text + length, room - 1 - length)) > 0)
    length += static_cast<size_t>(n);
  text[length] = '\0';
  return true;
}

uint64_t read_cgroup_value(CgroupDir at, const char* file, const char* key) {
  char text[1024];
  if (!read_cgroup_file(at, file, text, sizeof text)) return 0;
  const size_t length = strlen(key);
  for (const char* line = text; line != nullptr && *line != '\0';) {
    if (strncmp(line, key, length) == 0 && line[length] == ' ')
      return strtoull(line + length + 1, nullptr, 10);
    line = strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  return 0;
}

bool cgroup_file_exists(CgroupDir at, const char* file) {
  char path[kCgroupPathMax];
  snprintf(path, sizeof path, "%s%s%s", at.group, at.group[0] == '\0' ? "" : "/", file);
  return faccessat(at.folder, path, F_OK, 0) == 0;
}

void each_cgroup_process(CgroupDir at, void (*each)(void* context, pid_t pid), void* context) {
  const UniqueFd fd = open_file(at, "cgroup.procs", O_RDONLY);
  char buffer[4096];
  pid_t pid = 0;
  ssize_t n;
  while (fd.valid() && (n = read(fd.get(), buffer, sizeof buffer)) > 0) {
    for (ssize_t i = 0; i < n; ++i) {
      if (buffer[i] >= '0' && buffer[i] <= '9') {
        pid = pid * 10 + (buffer[i] - '0');
        continue;
      }
      // 0 = a process of another pid namespace.
      if (pid > 0) each(context, pid);
      pid = 0;
    }
  }
}

bool remove_cgroup(CgroupDir at, int patience_ms) {
  while (unlinkat(at.folder, at.group, AT_REMOVEDIR) != 0) {
    if (errno == ENOENT) return true;
    if (errno != EBUSY || patience_ms <= 0) return false;
    poll(nullptr, 0, kRetryMs);
    patience_ms -= kRetryMs;
  }
  return true;
}

}  // namespace hearth::sandbox
