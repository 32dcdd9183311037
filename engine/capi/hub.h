// What an engine and its handles share. It lives until the last of them is given back, so that a
// late answer or a late release finds something to talk to.
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>

#include "base/request_id.h"
#include "capi/inbox.h"
#include "capi/patience.h"
#include "capi/pool.h"
#include "engine.h"

struct hearth_call;
struct hearth_incoming;
struct hearth_reply;

namespace hearth::capi {

enum class Driver : uint8_t { library, host };

class Hub {
 public:
  static Hub* make(Driver driver);  // with one reference
  void ref() { references_.fetch_add(1, std::memory_order_relaxed); }
  void unref();

  // Engine's thread, once each.
  Status attach(Engine& engine, const Limits& limits);
  // What waits is dropped, and from now on everything is refused.
  void detach();

  // THREAD-SAFE.
  bool on_engine_thread() const {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  Driver driver() const { return driver_; }
  Inbox& inbox() { return inbox_; }
  const Limits& limits() const { return limits_; }
  // One call more, with so many bytes. Errors: calls_full, buffers_full.
  Status admit(size_t bytes);
  void leave();  // a call has ended
  void arrived(size_t bytes) { bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  // Parts of replies on their way. False: too many bytes.
  bool admit_part(size_t bytes);

  // Engine's thread. Null once the engine closes: nothing may be asked of it any more.
  Engine* engine() { return engine_; }
  RequestIdSource& ids() { return ids_; }
  // Refuses calls from now on; the engine hears of it a little later.
  void begin_drain();
  bool draining() const { return draining_; }
  // Something was asked of the engine outside of a turn: the host's loop has to come back.
  void asked() {
    if (driver_ == Driver::host && !in_turn_) engine_->watch();
  }
  bool in_turn() const { return driver_ == Driver::library || in_turn_; }
  // One turn of a host-driven engine.
  void step(milliseconds most);
  void move_to_this_thread() { thread_.store(std::this_thread::get_id()); }

  Pool<hearth_call> calls;
  Pool<hearth_incoming> incoming;
  Pool<hearth_reply> replies;
  Patience patience;

 private:
  explicit Hub(Driver driver);
  ~Hub();

  std::atomic<uint32_t> references_{1};
  const Driver driver_;
  Inbox inbox_;
  Limits limits_;  // constant after attach()
  std::atomic<std::thread::id> thread_;
  std::atomic<uint32_t> in_flight_{0};
  std::atomic<uint64_t> bytes_{0};  // that wait in the inbox
  Engine* engine_ = nullptr;
  RequestIdSource ids_;
  bool in_turn_ = false;
  bool draining_ = false;
};

// One reference, for the time of a function.
class HubRef {
 public:
  explicit HubRef(Hub& hub) : hub_(hub) { hub_.ref(); }
  ~HubRef() { hub_.unref(); }
  HubRef(const HubRef&) = delete;
  HubRef& operator=(const HubRef&) = delete;

 private:
  Hub& hub_;
};

}  // namespace hearth::capi
