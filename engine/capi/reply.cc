#include "capi/reply.h"

#include <algorithm>
#include <cstring>

#include "capi/blocking.h"
#include "capi/error.h"
#include "capi/invoke.h"

using hearth::Code;
using hearth::Deadline;
using hearth::milliseconds;
using hearth::SystemClock;
using hearth::capi::Hub;

namespace {

// The engine ends a call at its time limit and says why; only when it does not (a host that does
// not drive it) the waiter gives up by itself, a little later.
constexpr milliseconds kGrace{100};

// Longer than any call may take: a wait for an engine that nobody drives ends then.
milliseconds longest_wait(const hearth::Limits& limits) {
  return limits.queue_time + limits.timeout_max +
         std::max(limits.init_timeout, hearth::kInitTimeoutMost) + milliseconds(60'000);
}

void copy_text(char* out, size_t size, const char* text) {
  const size_t length = ::strnlen(text, size - 1);
  std::memcpy(out, text, length);
  out[length] = '\0';
}

hearth_bytes_t view_of(const std::string& text) { return {text.data(), text.size()}; }

hearth_reply& take_reply(Hub& hub) {
  hearth_reply& reply = *hub.replies.take();
  hub.ref();
  reply.hub = &hub;
  reply.has_ended = false;
  reply.over.store(false, std::memory_order_relaxed);
  reply.references.store(2, std::memory_order_relaxed);
  return reply;
}

// Has the call ended before `end`?
bool wait_for(hearth_reply& reply, Hub& hub, Deadline end) {
  if (hub.driver() != hearth::capi::Driver::host || !hub.on_engine_thread()) return reply.wait(end);
  const SystemClock clock;
  while (!reply.ended()) {
    const int64_t left = hearth::to_ms(end - clock.now());
    if (left <= 0) return false;
    hub.step(milliseconds(left));
  }
  return true;
}

}  // namespace

void hearth_reply::on_done(void* self, const hearth_outcome_t* from) {
  auto& reply = *static_cast<hearth_reply*>(self);
  {
    const std::lock_guard<std::mutex> lock(reply.mutex);
    reply.payload.assign(static_cast<const char*>(from->payload.data), from->payload.size);
    reply.log_tail.assign(static_cast<const char*>(from->log_tail.data), from->log_tail.size);
    reply.message.assign(static_cast<const char*>(from->error_message.data),
                         from->error_message.size);
    copy_text(reply.request_id, sizeof reply.request_id, from->request_id);
    copy_text(reply.revision, sizeof reply.revision, from->revision);
    reply.outcome = *from;
    reply.outcome.payload = view_of(reply.payload);
    reply.outcome.log_tail = view_of(reply.log_tail);
    reply.outcome.error_message = view_of(reply.message);
    reply.outcome.request_id = reply.request_id;
    reply.outcome.revision = reply.revision;
    reply.has_ended = true;
    reply.ready.notify_one();
  }
  reply.over.store(true,
                   std::memory_order_release);  // after the mutex, which the waiter takes next
  reply.release();
}

bool hearth_reply::wait(Deadline end) {
  hub->patience.look_for(over);
  std::unique_lock<std::mutex> lock(mutex);
  const auto done = [this] { return has_ended; };
  const hearth::nanoseconds left = end - SystemClock().now();
  return left.count() > 0 ? ready.wait_for(lock, left, done) : has_ended;
}

bool hearth_reply::ended() {
  const std::lock_guard<std::mutex> lock(mutex);
  return has_ended;
}

void hearth_reply::release() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Hub* const owner = hub;
  hearth::capi::recycle(payload);
  hearth::capi::recycle(log_tail);
  hearth::capi::recycle(message);
  owner->replies.give_back(this);
  owner->unref();
}

hearth_error_t* hearth_invoke(hearth_engine_t* engine, const hearth_request_t* request,
                              hearth_reply_t** out) {
  using hearth::capi::to_c;
  if (out == nullptr) return to_c(Code::invalid_parameter, "out is NULL");
  if (hearth::capi::Inside::now()) return to_c(Code::would_deadlock, hearth::capi::kWouldDeadlock);
  Hub& hub = engine->hub();
  hearth_reply& reply = take_reply(hub);
  hearth_call* call = nullptr;
  const hearth::Status started =
      hearth::capi::start_call(hub, request, {nullptr, &hearth_reply::on_done, &reply}, &call);
  if (!started) {
    reply.release();
    reply.release();
    return to_c(started);
  }
  const milliseconds most = call->deadline != Deadline{}
                                ? milliseconds(hearth::to_ms(call->deadline - SystemClock().now()))
                                : longest_wait(hub.limits());
  const bool ended = wait_for(reply, hub, SystemClock().now() + most + kGrace);
  if (!ended) hearth_call_cancel(call);
  call->release();
  if (!ended) {
    reply.release();
    return to_c(Code::deadline_exceeded, "the engine did not answer within the call's time limit");
  }
  if (reply.outcome.kind == HEARTH_PLATFORM_ERROR) {
    auto* error = new hearth_error{static_cast<Code>(reply.outcome.error_code), reply.message};
    reply.release();
    return error;
  }
  *out = &reply;
  return nullptr;
}

const hearth_outcome_t* hearth_reply_outcome(const hearth_reply_t* reply) {
  return &reply->outcome;
}
hearth_bytes_t hearth_reply_payload(const hearth_reply_t* reply) { return reply->outcome.payload; }
int hearth_reply_is_error(const hearth_reply_t* reply) {
  return reply->outcome.kind == HEARTH_FUNCTION_ERROR ? 1 : 0;
}
void hearth_reply_release(hearth_reply_t* reply) {
  if (reply != nullptr) reply->release();
}
