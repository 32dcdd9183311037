#include "api/call_table.h"

namespace hearth::api {
namespace {

// The server may hold a few connections above its limit for as long as it takes to refuse them.
constexpr uint32_t kSpareSlots = 64;

}  // namespace

CallTable::CallTable(InvokePort& port, uint32_t connections_max)
    : port_(port), slot_count_(connections_max + kSpareSlots), slots_(new Slot[slot_count_]) {
  for (uint32_t i = 0; i < slot_count_; ++i) slots_[i].table = this;
}

Status CallTable::submit(ConnectionId connection, CallRequest&& request, const CallInfo& info,
                         FinishFn finish, StreamFn stream) {
  if (connection.slot >= slot_count_) return Error{Code::too_many_connections, {}};
  Slot& slot = slots_[connection.slot];
  HEARTH_ASSERT(!slot.connection);
  if (observer_ != nullptr) request.want_tail = true;  // with it comes the worker's memory
  request.done = DoneFn::plain(&CallTable::on_done, &slot);
  if (stream) {
    request.on_part = PartFn::plain(&CallTable::on_part, &slot);
    request.streams_only = true;
  }
  slot.call = HEARTH_TRY(port_.submit(std::move(request)));
  slot.connection = connection;
  slot.finish = finish;
  slot.stream = stream;
  slot.info = info;
  ++in_flight_;
  return ok();
}

CallTable::Slot* CallTable::find(ConnectionId connection) {
  if (connection.slot >= slot_count_) return nullptr;
  Slot& slot = slots_[connection.slot];
  return slot.connection && slot.connection == connection ? &slot : nullptr;
}

void CallTable::gone(ConnectionId connection) {
  Slot* slot = find(connection);
  if (slot == nullptr) return;
  slot->connection = {};
  --in_flight_;
  port_.abandon(slot->call);
}

void CallTable::go_on(ConnectionId connection) {
  if (Slot* slot = find(connection)) port_.go_on(slot->call);
}

Flow CallTable::on_part(void* context, InvocationId call, const ReplyPart& part) {
  Slot& slot = *static_cast<Slot*>(context);
  HEARTH_ASSERT(slot.connection && slot.call == call);
  return slot.stream(slot.connection, slot.info, part);
}

void CallTable::on_done(void* context, InvocationId call, const Outcome& outcome) {
  Slot& slot = *static_cast<Slot*>(context);
  HEARTH_ASSERT(slot.connection && slot.call == call);
  const ConnectionId connection = slot.connection;
  const CallInfo info = slot.info;
  slot.connection = {};
  --slot.table->in_flight_;
  if (slot.table->observer_ != nullptr) slot.table->observer_->on_outcome(connection, outcome);
  slot.finish(connection, info, outcome);
}

}  // namespace hearth::api
