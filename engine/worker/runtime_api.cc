// The core's side of the Runtime API: which calls a worker has, and what waits for its next
// request.
#include "worker/runtime_api.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "worker/init_json.h"

namespace hearth::worker {
namespace {

constexpr milliseconds kForEver = std::chrono::hours(24 * 365);

// Nothing but its worker's life ends a connection that waits, nothing but its call's deadline a
// body that comes slowly. A head has http.head_timeout: it holds up to kApiHeadMax.
Limits http_limits(const Limits& limits) {
  Limits out = limits;
  out.head_max = kApiHeadMax;
  out.connections_max = limits.workers_max * (kApiConnectionsSpare + 1);
  out.body_timeout = out.idle_connection = kForEver;
  return out;
}

uint32_t listener_of(WorkerId worker) { return worker.slot + 1; }

template <class Number>
std::string_view write_number(std::array<char, 24>& to, Number number) {
  const auto end = fmt::format_to_n(to.data(), to.size(), "{}", number);
  return {to.data(), end.size};
}

}  // namespace

RuntimeApi::RuntimeApi(Loop& loop, BufferPool& buffers, const Limits& limits, WorkerEvents& events,
                       Log log)
    : loop_(loop),
      buffers_(buffers),
      limits_(limits),
      http_limits_(http_limits(limits)),
      events_(events),
      server_(loop, buffers, http_limits_, *this, log, {}),
      workers_(limits.workers_max) {}

RuntimeApi::~RuntimeApi() = default;

RuntimeApi::Worker* RuntimeApi::find(WorkerId id) const {
  Worker* worker = id.slot < workers_.size() ? workers_[id.slot].get() : nullptr;
  return worker != nullptr && worker->id == id ? worker : nullptr;
}

RuntimeApi::Worker* RuntimeApi::of(const http::RequestHead& head) const {
  return workers_[head.listener - 1].get();
}

RuntimeApi::Running* RuntimeApi::find(Worker& worker, InvocationId call) {
  for (Running& each : worker.running)
    if (each.id == call) return &each;
  return nullptr;
}

Status RuntimeApi::add(WorkerId id, const FunctionSpecPtr& spec, UniqueFd listener) {
  const uint32_t connections = spec->concurrency.per_worker + kApiConnectionsSpare;
  HEARTH_TRY(server_.adopt(std::move(listener), listener_of(id), connections));
  auto worker = std::make_unique<Worker>();
  worker->id = id;
  worker->spec = spec;
  worker->since = loop_.now();
  workers_[id.slot] = std::move(worker);
  return ok();
}

void RuntimeApi::remove(WorkerId id) {
  if (find(id) == nullptr) return;
  server_.drop(listener_of(id));
  std::erase_if(uses_, [id](const auto& entry) { return entry.second.worker == id; });
  std::erase_if(late_, [id](const Late& late) { return late.worker == id; });
  workers_[id.slot].reset();
}

void RuntimeApi::send(WorkerId id, const CallFrame& call) {
  Worker* worker = find(id);
  if (worker == nullptr) return;  // its exit is on its way, and gives the call back
  worker->waiting.push_back({call});
  hand_out(*worker);
}

// One that was handed out runs on: these clients know no way to stop it.
void RuntimeApi::cancel(WorkerId id, InvocationId call) {
  Worker* worker = find(id);
  if (worker == nullptr) return;
  for (Waiting& each : worker->waiting)
    if (each.frame.id == call) each.cancelled = true;
}

void RuntimeApi::recall(WorkerId id, InvocationId call) {
  Worker* worker = find(id);
  if (worker == nullptr) return;
  const auto found = std::find_if(worker->waiting.begin(), worker->waiting.end(),
                                  [call](const Waiting& each) { return each.frame.id == call; });
  if (found == worker->waiting.end()) return;
  worker->waiting.erase(found);
  late_.push_back({Late::What::handback, id, call});
  loop_.turn_again();
}

void RuntimeApi::go_on(WorkerId id, InvocationId call_id) {
  Worker* worker = find(id);
  Running* call = worker != nullptr ? find(*worker, call_id) : nullptr;
  if (call == nullptr || !call->reply.held) return;
  call->reply.held = false;
  server_.read_on(call->connection);
}

// A client answers no such question: that it hangs is seen by its calls' deadlines.
void RuntimeApi::ping(WorkerId id, uint16_t sequence) {
  late_.push_back({Late::What::pong, id, {}, sequence});
  loop_.turn_again();
}

bool RuntimeApi::any_byte_sent(WorkerId id, InvocationId call) const {
  Worker* worker = find(id);
  return worker != nullptr && find(*worker, call) != nullptr;
}

const OpenCall* RuntimeApi::head(WorkerId id) const {
  Worker* worker = find(id);
  if (worker == nullptr) return nullptr;
  for (const Running& call : worker->running)
    if (call.answered == 0) return &call;
  return worker->running.empty() ? nullptr : &worker->running.front();
}

RuntimeApiStats RuntimeApi::stats() const {
  const http::ServerStats& http = server_.stats();
  return {http.requests + http.refused_requests, refused_ + http.refused_requests,
          http.refused_connections};
}

void RuntimeApi::settle() {
  while (!late_.empty()) {
    const Late late = late_.front();
    late_.erase(late_.begin());
    switch (late.what) {
      case Late::What::handback:
        events_.on_handback(late.worker, late.call);
        break;
      case Late::What::drop:
        events_.on_reply(late.worker, late.call, {});
        break;
      case Late::What::pong:
        events_.on_pong(late.worker, late.sequence);
        break;
    }
  }
}

// ---- the worker's next call

// Gives what waits to the requests that wait for it.
void RuntimeApi::hand_out(Worker& worker) {
  while (!worker.polling.empty() && !worker.waiting.empty()) {
    const Waiting next = worker.waiting.front();
    worker.waiting.pop_front();
    if (next.cancelled) {
      late_.push_back({Late::What::drop, worker.id, next.frame.id});
      loop_.turn_again();
      continue;
    }
    const ConnectionId connection = worker.polling.front();
    worker.polling.erase(worker.polling.begin());
    uses_.erase(connection);
    // A client that has left has not seen it.
    if (!hand_over(worker, connection, next.frame)) worker.waiting.push_front(next);
  }
}

bool RuntimeApi::hand_over(Worker& worker, ConnectionId connection, const CallFrame& call) {
  std::array<char, RequestId::kTextSize> request_id;
  call.request_id.write_text(request_id.data());
  const nanoseconds left = call.deadline - loop_.now();
  const auto deadline =
      std::chrono::duration_cast<milliseconds>((loop_.clock().wall() + left).time_since_epoch());
  std::array<char, 24> deadline_text;
  ApiContext context = api_context(call.extension);
  if (context.arn.empty()) context.arn = function_arn(worker.spec->name);
  std::array<http::HeaderView, 5> headers = {{
      {"Lambda-Runtime-Aws-Request-Id", {request_id.data(), request_id.size()}},
      {"Lambda-Runtime-Deadline-Ms", write_number(deadline_text, deadline.count())},
      {"Lambda-Runtime-Invoked-Function-Arn", context.arn},
  }};
  size_t count = 3;
  if (!context.trace_id.empty()) headers[count++] = {"Lambda-Runtime-Trace-Id", context.trace_id};
  if (!context.client_context.empty())
    headers[count++] = {"Lambda-Runtime-Client-Context", context.client_context};
  const http::ResponseHead head{200, "application/json", {headers.data(), count}};
  if (!server_.respond(connection, head, call.payload)) return false;
  Running running;
  running.id = call.id;
  running.request_id = call.request_id;
  running.began = loop_.now();
  worker.running.push_back(std::move(running));
  worker.refused = 0;
  return true;
}

// It asks for the next call: the one that it answered first is over.
void RuntimeApi::let_go(Worker& worker) {
  Running* over = nullptr;
  for (Running& call : worker.running)
    if (call.answered != 0 && (over == nullptr || call.answered < over->answered)) over = &call;
  if (over == nullptr) return;
  const InvocationId call = over->id;
  worker.running.erase(worker.running.begin() + (over - worker.running.data()));
  events_.on_reply(worker.id, call, {});
  events_.deliver();
}

void RuntimeApi::answer(WorkerId id, InvocationId call_id, std::string_view payload,
                        bool is_error) {
  Worker* worker = find(id);
  Running* call = worker != nullptr ? find(*worker, call_id) : nullptr;
  if (call == nullptr || call->answered != 0) return;
  call->answered = ++answers_;
  WorkerReply reply;
  reply.payload = payload;
  reply.is_error = is_error;
  reply.exec_us =
      static_cast<uint32_t>(std::clamp<int64_t>(to_us(loop_.now() - call->began), 0, UINT32_MAX));
  reply.lingers = true;
  events_.on_reply(id, call_id, reply);
  events_.deliver();
}

}  // namespace hearth::worker
