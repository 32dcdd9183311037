// What the parts of the agent share: the epoll instance, the clock, and tags of descriptors.
#pragma once
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

namespace hearth::sandbox::egress {

// In the upper half of an event's data; the lower half is an index.
enum class Source : uint32_t { kNotify = 1, kEngine, kStub, kQuestion, kPending };

class Poller {
 public:
  explicit Poller(int epoll) : epoll_(epoll) {}

  bool add(int fd, Source source, uint32_t index, uint32_t events) const {
    return control(EPOLL_CTL_ADD, fd, source, index, events);
  }
  bool change(int fd, Source source, uint32_t index, uint32_t events) const {
    return control(EPOLL_CTL_MOD, fd, source, index, events);
  }
  // Before the descriptor is closed if others share the file.
  void remove(int fd) const { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }
  int fd() const { return epoll_; }

 private:
  bool control(int what, int fd, Source source, uint32_t index, uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = uint64_t{static_cast<uint32_t>(source)} << 32 | index;
    return epoll_ctl(epoll_, what, fd, &event) == 0;
  }
  int epoll_;
};

inline int64_t clock_ms() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

}  // namespace hearth::sandbox::egress
