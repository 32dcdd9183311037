// What an epoll event of the spawner belongs to: a slot's number, or one of these.
#pragma once
#include <time.h>

#include <cstdint>

namespace hearth::sandbox {

// From the clone to the worker's exec, usually 3 ms; or from the request for a fork to the report.
inline constexpr int64_t kStartTimeoutMs = 10'000;

inline int64_t now_ms() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

inline constexpr uint64_t kTagControl = 1ull << 32;
inline constexpr uint64_t kTagLifeline = 2ull << 32;
inline constexpr uint64_t kTagSignals = 3ull << 32;
// Above these, a number comes with the tag.
inline constexpr uint64_t kTagMember = 4ull << 32;  // + slot: a worker's process of a family
inline constexpr uint64_t kTagFamily = 5ull << 32;  // + family: what its init has reaped
inline constexpr uint64_t kTagZygote = 6ull << 32;  // + pid: a generic zygote is ready, or its end

}  // namespace hearth::sandbox
