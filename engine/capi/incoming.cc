#include "capi/incoming.h"

#include <algorithm>

#include "base/json_text.h"

using hearth::capi::Hub;
using hearth::capi::HubRef;
using hearth::capi::recycle;

namespace {

constexpr const char* kPartsLost =
    R"j({"errorType":"Hearth.BuffersFull","errorMessage":"no memory for the reply's parts (limits.buffers)"})j";

// A part of a reply, from another thread.
struct PartItem final : hearth::capi::InboxItem {
  PartItem(Hub& owner, hearth::HostCallId call, std::string_view part)
      : hub(owner), id(call), bytes(part) {}
  void run() override {
    hub.arrived(bytes.size());
    hub.engine()->host_workers().part(id, bytes);
    delete this;
  }
  void drop() override {
    hub.arrived(bytes.size());
    delete this;
  }
  Hub& hub;
  const hearth::HostCallId id;
  const std::string bytes;
};

// The text of an error as Lambda shapes it.
std::string error_json(const char* type, const char* message) {
  std::string out = R"({"errorType":)";
  hearth::append_json_string(out, type != nullptr ? type : "Error");
  out += R"(,"errorMessage":)";
  hearth::append_json_string(out, message != nullptr ? message : "");
  out += "}";
  return out;
}

bool directly(Hub& hub) { return hub.on_engine_thread() && hub.in_turn(); }

}  // namespace

void hearth_incoming::run() {
  if (parts_lost.load(std::memory_order_relaxed)) {
    hub->engine()->host_workers().answer(id, kPartsLost, true);
  } else {
    hub->engine()->host_workers().answer(id, reply, is_error);
  }
  give_back();
}

void hearth_incoming::answer(std::string_view bytes, bool error) {
  if (directly(*hub) && !parts_lost.load(std::memory_order_relaxed)) {
    if (hub->engine() != nullptr) hub->engine()->host_workers().answer(id, bytes, error);
    give_back();
    return;
  }
  const HubRef keep(*hub);
  Hub& owner = *hub;
  is_error = error;
  reply.assign(bytes);
  if (!owner.inbox().push(*this)) give_back();
}

void hearth_incoming::give_back() {
  Hub* const owner = hub;
  recycle(event);
  recycle(reply);
  owner->incoming.give_back(this);
  owner->unref();
}

namespace hearth::capi {

HostFunction::~HostFunction() {
  if (defined_ && function_.on_removed != nullptr) function_.on_removed(function_.ctx);
  hub_.unref();
}

void HostFunction::on_call(HostCallId call, std::string_view event, const RequestId& request_id,
                           Deadline deadline) {
  hearth_incoming& incoming = *hub_.incoming.take();
  hub_.ref();
  incoming.hub = &hub_;
  incoming.id = call;
  incoming.deadline = deadline;
  request_id.write_text(incoming.request_id);
  incoming.is_error = false;
  incoming.parts_lost.store(false, std::memory_order_relaxed);
  incoming.event.assign(event);
  function_.handler(function_.ctx, &incoming, {incoming.event.data(), incoming.event.size()});
}

}  // namespace hearth::capi

void hearth_incoming_reply(hearth_incoming_t* call, hearth_bytes_t reply) {
  call->answer({static_cast<const char*>(reply.data), reply.size}, false);
}

void hearth_incoming_fail(hearth_incoming_t* call, const char* type, const char* message) {
  call->answer(error_json(type, message), true);
}

void hearth_incoming_write(hearth_incoming_t* call, hearth_bytes_t part) {
  const std::string_view bytes(static_cast<const char*>(part.data), part.size);
  if (bytes.empty()) return;
  Hub& hub = *call->hub;
  if (directly(hub)) {
    if (hub.engine() != nullptr) hub.engine()->host_workers().part(call->id, bytes);
    return;
  }
  if (!hub.admit_part(bytes.size())) {
    call->parts_lost.store(true, std::memory_order_relaxed);
    return;
  }
  auto* item = new PartItem(hub, call->id, bytes);
  if (!hub.inbox().push(*item)) item->drop();
}

const char* hearth_incoming_request_id(const hearth_incoming_t* call) { return call->request_id; }

uint64_t hearth_incoming_remaining_ms(const hearth_incoming_t* call) {
  const int64_t left = hearth::to_ms(call->deadline - hearth::SystemClock().now());
  return static_cast<uint64_t>(std::max<int64_t>(left, 0));
}
