// What hearth_invoke() waits for and gives out.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>

#include "capi/hub.h"
#include "hearth/hearth.h"

// Two references: the waiter's, which becomes the host's, and the call's, until it has ended.
struct hearth_reply final {
  // The call's `done`; takes a copy and wakes the waiter.
  static void on_done(void* reply, const hearth_outcome_t* outcome);
  // Has the call ended before `end`? Waits on another thread than the engine's.
  bool wait(hearth::Deadline end);
  bool ended();
  void release();

  hearth_reply* pool_next = nullptr;
  hearth::capi::Hub* hub = nullptr;
  std::atomic<uint32_t> references{0};
  std::mutex mutex;  // guards what follows, until `has_ended`
  std::condition_variable ready;
  bool has_ended = false;
  std::atomic<bool> over{false};  // as has_ended, for who spins
  hearth_outcome_t outcome{};     // points into the next five
  std::string payload;
  std::string log_tail;
  std::string message;
  char request_id[hearth::RequestId::kTextSize + 1] = {};
  char revision[65] = {};
};
