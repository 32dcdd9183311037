// Reading and writing the files of a cgroup, by descriptor of a folder above it.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/sys.h"

namespace hearth::sandbox {

inline constexpr size_t kCgroupPathMax = 96;

// `group` is a path relative to `folder`, or "".
struct CgroupDir {
  int folder;
  const char* group;
};

// Zero, or an errno.
int write_cgroup_file(CgroupDir at, const char* file, const char* text);
int write_cgroup_number(CgroupDir at, const char* file, uint64_t number);
// Reads as much as fits, terminated; false: it can't be read.
bool read_cgroup_file(CgroupDir at, const char* file, char* text, size_t room);
// The number behind `key` at the start of a line; 0 where there is none.
uint64_t read_cgroup_value(CgroupDir at, const char* file, const char* key);
bool cgroup_file_exists(CgroupDir at, const char* file);
// Calls `each` for every pid in cgroup.procs as it is now.
void each_cgroup_process(CgroupDir at, void (*each)(void* context, pid_t pid), void* context);
// rmdir; waits up to `patience_ms` for processes that are about to end.
bool remove_cgroup(CgroupDir at, int patience_ms);

}  // namespace hearth::sandbox
