#include "capi/hub.h"

#include <fmt/core.h>

#include "capi/incoming.h"
#include "capi/inside.h"
#include "capi/invoke.h"
#include "capi/reply.h"

namespace hearth::capi {
namespace {

// Objects that are kept for the next calls: some hundred bytes each, and up to twice 64 KiB of
// payload.
constexpr size_t kCallsKept = 4'096;
constexpr size_t kRepliesKept = 1'024;

}  // namespace

Hub::Hub(Driver driver)
    : calls(kCallsKept), incoming(kCallsKept), replies(kRepliesKept), driver_(driver) {}
Hub* Hub::make(Driver driver) { return new Hub(driver); }
Hub::~Hub() = default;

void Hub::unref() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

Status Hub::attach(Engine& engine, const Limits& limits) {
  limits_ = limits;
  move_to_this_thread();
  engine_ = &engine;
  return inbox_.open(engine.loop());
}

void Hub::detach() {
  engine_ = nullptr;
  inbox_.close();
}

Status Hub::admit(size_t bytes) {
  if (in_flight_.fetch_add(1, std::memory_order_relaxed) >= limits_.calls_max) {
    leave();
    return Error{Code::calls_full,
                 fmt::format("{} calls are in flight (limits.calls)", limits_.calls_max)};
  }
  if (bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes > limits_.buffers_max) {
    arrived(bytes);
    leave();
    return Error{Code::buffers_full, "too much is on its way to the engine (limits.buffers)"};
  }
  return ok();
}

void Hub::leave() { in_flight_.fetch_sub(1, std::memory_order_relaxed); }

bool Hub::admit_part(size_t bytes) {
  if (bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limits_.buffers_max)
    return true;
  arrived(bytes);
  return false;
}

void Hub::begin_drain() {
  if (engine_ == nullptr || draining_) return;
  draining_ = true;
  engine_->drain();
  asked();
}

void Hub::step(milliseconds most) {
  const Inside inside;
  in_turn_ = true;
  engine_->step(most);
  in_turn_ = false;
}

}  // namespace hearth::capi
