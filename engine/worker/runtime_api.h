// The Lambda Runtime API: workers that ask for their calls by HTTP and answer them so
// (engine/design/0015-runtime-api.md). Loop thread only. What a worker sends is hostile input.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "core/ports.h"
#include "http/server.h"
#include "loop/loop.h"
#include "worker/channel.h"
#include "worker/reply_parts.h"
#include "worker/runtime_api_route.h"

namespace hearth::worker {

// Connections of a worker beyond one for each call that it executes.
inline constexpr uint32_t kApiConnectionsSpare = 8;
// A head may have so many bytes: clients send what led to an error in a header, up to 1 MiB.
inline constexpr uint32_t kApiHeadMax = (1u << 20) + (16u << 10);
// In front of the body of a streamed HTTP response; as in a REPLY frame.
inline constexpr size_t kApiPreludeMax = 65'532;
// Requests in a row that ask for nothing which can be had: then the worker is given up.
inline constexpr uint32_t kApiRefusedMax = 1'000;

struct RuntimeApiStats {  // only grow
  uint64_t requests = 0;
  uint64_t refused = 0;              // that could not be met, bad HTTP among them
  uint64_t refused_connections = 0;  // beyond what a worker may have
};

class RuntimeApi final : private http::Handler {
 public:
  // All references must outlive this. `events` hears of calls as from any other worker.
  RuntimeApi(Loop& loop, BufferPool& buffers, const Limits& limits, WorkerEvents& events, Log log);
  ~RuntimeApi() override;

  // A worker with the socket that listens in its sandbox. Its function loads from now on, until it
  // asks for its first call.
  Status add(WorkerId worker, const FunctionSpecPtr& spec, UniqueFd listener);
  // It has ended. An unknown one is ignored.
  void remove(WorkerId worker);

  // As WorkerLink has them.
  void send(WorkerId worker, const CallFrame& call);
  void cancel(WorkerId worker, InvocationId call);
  void recall(WorkerId worker, InvocationId call);
  void go_on(WorkerId worker, InvocationId call);
  void ping(WorkerId worker, uint16_t sequence);
  bool any_byte_sent(WorkerId worker, InvocationId call) const;

  // The call that runs longest; nullptr when there is none. Valid until the next call of anything.
  const OpenCall* head(WorkerId worker) const;
  RuntimeApiStats stats() const;
  // Says what could not be said within the core's own calls. At the end of each turn.
  void settle();

 private:
  struct Running : OpenCall {
    MonotonicTime began;
    ConnectionId connection;  // on which its reply is coming
    Buffer prelude;           // the begin of a streamed HTTP response, until its end has come
    bool in_prelude = false;
    uint64_t answered = 0;  // a number that grows; 0 = not yet
  };
  struct Waiting {
    CallFrame frame;
    bool cancelled = false;
  };
  struct Worker {
    WorkerId id;
    FunctionSpecPtr spec;
    MonotonicTime since;
    bool ready = false;
    bool failed = false;  // said so while it loaded
    uint32_t refused = 0;
    std::deque<Waiting> waiting;
    std::vector<ConnectionId> polling;  // requests for the next call
    std::vector<Running> running;       // in the order in which they were handed out
  };
  struct Use {  // of a connection whose request is not complete or not answered
    WorkerId worker;
    InvocationId call;  // none: it polls
  };
  struct Late {
    enum class What : uint8_t { handback, drop, pong } what;
    WorkerId worker;
    InvocationId call;
    uint16_t sequence = 0;
  };

  // http::Handler
  http::HeadDecision on_head(const http::RequestHead& head) override;
  void on_stream(ConnectionId connection, const http::RequestHead& head) override;
  bool on_body(ConnectionId connection, std::string_view part) override;
  void on_request(ConnectionId connection, http::Request& request) override;
  void on_gone(ConnectionId connection) override;
  void render_refusal(const http::Refusal& refusal, const http::RequestHead* head,
                      http::RefusalAnswer& answer) override;

  Worker* find(WorkerId worker) const;
  Worker* of(const http::RequestHead& head) const;
  static Running* find(Worker& worker, InvocationId call);
  static Running* find(Worker& worker, std::string_view request_id);

  void on_next(ConnectionId connection, WorkerId id);
  void let_go(Worker& worker);
  void hand_out(Worker& worker);
  bool hand_over(Worker& worker, ConnectionId connection, const CallFrame& call);
  void begin_reply(Worker& worker, Running& call, ConnectionId connection,
                   const http::RequestHead& head);
  void on_response(ConnectionId connection, const http::Request& request, WorkerId id,
                   std::string_view request_id);
  void on_error(ConnectionId connection, const http::Request& request, WorkerId id,
                std::string_view request_id);
  void on_init_error(ConnectionId connection, const http::Request& request, WorkerId id);
  bool give(Worker& worker, Running& call, const ReplyPart& part);
  bool give_behind_prelude(Worker& worker, Running& call, std::string_view part);
  void answer(WorkerId worker, InvocationId call, std::string_view payload, bool is_error);
  void finish(WorkerId worker, Running& call, const http::Request& request);
  void accept(ConnectionId connection);
  void refuse(ConnectionId connection, WorkerId worker, uint16_t status, std::string_view type,
              std::string_view message);

  Loop& loop_;
  BufferPool& buffers_;
  const Limits& limits_;
  const Limits http_limits_;
  WorkerEvents& events_;
  http::Server server_;
  std::vector<std::unique_ptr<Worker>> workers_;  // by slot
  std::unordered_map<ConnectionId, Use> uses_;
  std::vector<Late> late_;
  uint64_t answers_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace hearth::worker
