// What a worker and its sandbox hold in memory, as the kernel tells it. Each figure costs reads of
// /proc or of cgroup files, some 20 us: never on the path of a call.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::worker {

// A line of /proc/PID/status ("VmRSS:", "VmHWM:") in bytes; 0 when it can't be read.
uint64_t process_memory(int pid, const char* line);

// The folder of the memory cgroup of the sandbox that this process is in; empty when it can't be
// told, or when the process is in no group of a slot's own.
std::string sandbox_memory_group(int pid);

// What the text of a group's memory.stat (version 1 or 2) counts of memory that is free again only
// when the sandbox ends or lets it go: anonymous pages, and shared ones with /tmp and /dev/shm. Not
// the cached pages of files, which the kernel takes back as it likes.
uint64_t held_memory(std::string_view memory_stat);

// The same for the group in `folder`; 0 when it can't be read.
uint64_t group_memory(const std::string& folder);

}  // namespace hearth::worker
