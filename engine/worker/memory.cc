#include "worker/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"
#include "base/units.h"
#include "sandbox/cgroup_find.h"

namespace hearth::worker {
namespace {

// At most `size` - 1 bytes of a file, ended by a zero; empty when it can't be read.
std::string_view read_start(const char* path, char* buffer, size_t size) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t n = fd.valid() ? ::read(fd.get(), buffer, size - 1) : 0;
  buffer[n > 0 ? n : 0] = '\0';
  return {buffer, n > 0 ? static_cast<size_t>(n) : 0};
}

std::string read_whole(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> part{};
  ssize_t n = 0;
  while (fd.valid() && (n = ::read(fd.get(), part.data(), part.size())) > 0)
    text.append(part.data(), static_cast<size_t>(n));
  return text;
}

}  // namespace

uint64_t process_memory(int pid, const char* line) {
  if (pid == 0) return 0;
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/status", pid);
  char text[4096];
  const std::string_view status = read_start(path, text, sizeof text);
  const size_t at = status.find(line);
  return at != std::string_view::npos
             ? kibibytes(std::strtoull(text + at + std::strlen(line), nullptr, 10))
             : 0;
}

std::string sandbox_memory_group(int pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
  const std::string own = read_whole(path);
  for (sandbox::CgroupPlace& place :
       sandbox::find_cgroups(own, read_whole("/proc/self/mountinfo"))) {
    const bool counts = (place.controllers & bit(sandbox::Controller::kMemory)) != 0 ||
                        (place.v2 && ::access((place.folder + "/memory.stat").c_str(), R_OK) == 0);
    const size_t name = place.folder.rfind('/') + 1;
    if (counts && place.folder.compare(name, 5, "slot-") == 0) return std::move(place.folder);
  }
  return {};
}

uint64_t held_memory(std::string_view memory_stat) {
  uint64_t sum = 0;
  while (!memory_stat.empty()) {
    const std::string_view line = memory_stat.substr(0, memory_stat.find('\n'));
    memory_stat.remove_prefix(std::min(line.size() + 1, memory_stat.size()));
    const size_t blank = line.find(' ');
    const std::string_view name = line.substr(0, blank);
    // Version 1 calls anonymous pages rss, version 2 anon.
    if (blank == std::string_view::npos || (name != "rss" && name != "anon" && name != "shmem"))
      continue;
    uint64_t bytes = 0;
    std::from_chars(line.data() + blank + 1, line.data() + line.size(), bytes);
    sum += bytes;
  }
  return sum;
}

uint64_t group_memory(const std::string& folder) {
  char text[8192];
  return held_memory(read_start((folder + "/memory.stat").c_str(), text, sizeof text));
}

}  // namespace hearth::worker
