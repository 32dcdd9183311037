// The call in flight of each connection: what ties an outcome to the client that waits for it. Loop
// thread only.
#pragma once
#include <array>
#include <memory>
#include <string_view>

#include "api/request_observer.h"
#include "core/ports.h"
#include "http/message.h"

namespace hearth::api {

// What has to be known of a request when its call ends.
struct CallInfo {
  bool want_tail = false;   // Invoke: X-Amz-Log-Type: Tail
  bool path_style = false;  // function URL: /fn/NAME, and not NAME.localhost
  bool streaming = false;   // function URL: the response has begun
  RequestId request_id;     // function URL
  uint8_t name_size = 0;
  std::array<char, kFunctionNameMax> name{};

  void set_name(std::string_view text) {
    name_size = static_cast<uint8_t>(text.copy(name.data(), name.size()));
  }
  std::string_view name_view() const { return {name.data(), name_size}; }
};

using FinishFn = Callback<void(ConnectionId, const CallInfo&, const Outcome&)>;
// A part of a streamed reply, before `finish`. May change what the table keeps of the call, and may
// end in gone().
using StreamFn = Callback<Flow(ConnectionId, CallInfo&, const ReplyPart&)>;

class CallTable {
 public:
  // Allocates a slot for each connection here and none later. `port` must outlive this.
  CallTable(InvokePort& port, uint32_t connections_max);

  // Submits `request` for a connection that has no call; its `done` is set here. On success
  // `finish` runs exactly once unless the client goes away, never inside this call; the slot is
  // free by then, so that answering may start the connection's next call.
  // `stream`, if set, hears of a reply that the function streams, part by part.
  Status submit(ConnectionId connection, CallRequest&& request, const CallInfo& info,
                FinishFn finish, StreamFn stream = {});

  // The client is gone, or has its answer already: its call, if it has one, is abandoned.
  void gone(ConnectionId connection);
  // The client has taken all that it was sent: a reply that was held goes on.
  void go_on(ConnectionId connection);

  uint32_t in_flight() const { return in_flight_; }

  // Hears of each outcome before `finish` does; must outlive this. Calls then measure memory too.
  void observe(RequestObserver& observer) { observer_ = &observer; }

 private:
  struct Slot {
    CallTable* table = nullptr;
    ConnectionId connection;  // no id: free
    InvocationId call;
    FinishFn finish;
    StreamFn stream;
    CallInfo info;
  };
  Slot* find(ConnectionId connection);
  static Flow on_part(void* slot, InvocationId call, const ReplyPart& part);
  static void on_done(void* slot, InvocationId call, const Outcome& outcome);

  InvokePort& port_;
  uint32_t slot_count_;
  uint32_t in_flight_ = 0;
  RequestObserver* observer_ = nullptr;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace hearth::api
