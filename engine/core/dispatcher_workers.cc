// What workers do to calls: the second half of Dispatcher.
#include <fmt/core.h>
#include <signal.h>
#include <sys/wait.h>

#include <cctype>
#include <cstring>
#include <utility>

#include "core/dispatcher.h"

namespace hearth {
namespace {

constexpr uint8_t kReturnsMax = 3;  // workers that may hand a call back unasked before it ends

// In the words that Lambda's users know.
std::string how_it_ended(const WorkerExit& exit) {
  if (!WIFSIGNALED(exit.wait_status)) {
    return fmt::format("Runtime exited with error: exit status {}", WEXITSTATUS(exit.wait_status));
  }
  const char* text = sigdescr_np(WTERMSIG(exit.wait_status));
  std::string words = text != nullptr ? text : fmt::format("{}", WTERMSIG(exit.wait_status));
  words.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(words.front())));
  return fmt::format("Runtime exited with error: signal: {}", words);
}

std::string describe(const WorkerExit& exit) {
  if (!exit.detail.empty()) return exit.detail;
  if (exit.lost) return "the spawner ended, and its workers with it";
  std::string words = how_it_ended(exit);
  if (exit.out_of_memory_child)
    words += " (memory had run out: another process of its sandbox was killed)";
  if (exit.pids_hit) words += " (its limit of processes had refused a fork)";
  return words;
}

// V8 and the C++ library abort when memory has run out, and say so. Two of Node's threads that find
// out at once cut each other's words short; nothing else ends Node by an exception.
bool says_out_of_memory(Runtime runtime, std::string_view tail) {
  const auto says = [&](std::string_view text) {
    return tail.find(text) != std::string_view::npos;
  };
  return says("heap out of memory") || says("bad_alloc") ||
         (runtime == Runtime::nodejs && says("terminate called recursively"));
}

// What ended the worker's calls: the first cause wins.
Code classify(const Worker& worker, const WorkerExit& exit, std::string_view tail) {
  if (worker.killed) return worker.end_code;
  if (exit.out_of_memory) return Code::out_of_memory;
  if (exit.lost) return Code::spawner_lost;
  if (WIFSIGNALED(exit.wait_status)) {
    const int signal = WTERMSIG(exit.wait_status);
    if (signal == SIGSYS) return Code::sandbox_violation;
    if ((signal == SIGABRT || signal == SIGTRAP) && says_out_of_memory(worker.runtime, tail))
      return Code::out_of_memory;
  }
  return Code::worker_lost;
}

}  // namespace

void Dispatcher::on_worker_parked(WorkerId id) {
  if (Worker* worker = pool_.find(id)) pool_.on_parked(*worker);
}

void Dispatcher::on_worker_ready(WorkerId id, uint32_t init_us) {
  if (Worker* worker = pool_.find(id)) pool_.on_ready(*worker, init_us);
}

void Dispatcher::on_leftovers(WorkerId id, uint32_t count, bool lost) {
  Worker* worker = pool_.find(id);
  if (worker == nullptr) return;
  pool_.on_leftovers(*worker, count, lost);
  if (worker->state == Worker::State::ready && worker->counted) feed(*worker);
}

void Dispatcher::on_worker_init_failed(WorkerId id, std::string_view error_json) {
  if (Worker* worker = pool_.find(id)) pool_.on_init_failed(*worker, error_json);
}

void Dispatcher::on_pong(WorkerId id, uint16_t sequence) {
  if (Worker* worker = pool_.find(id)) pool_.on_pong(*worker, sequence);
}

void Dispatcher::on_zygote_ready(WorkerId id, uint32_t init_us) {
  if (Worker* worker = pool_.find(id)) pool_.on_zygote_ready(*worker, init_us);
}

void Dispatcher::on_zygote_refused(WorkerId id, std::string_view) {
  if (Worker* worker = pool_.find(id)) pool_.on_zygote_refused(*worker);
}

void Dispatcher::on_violation(WorkerId id, std::string_view what) {
  if (Worker* worker = pool_.find(id))
    pool_.kill(*worker, Code::protocol_violation, std::string(what));
}

const Call* Dispatcher::find_sent(WorkerId worker, InvocationId id) const {
  const Call* call = calls_.find(id);
  const bool its_own =
      call != nullptr && call->stage == Call::Stage::sent && call->worker->id == worker;
  return its_own ? call : nullptr;
}

Call* Dispatcher::find_sent(WorkerId worker, InvocationId id) {
  return const_cast<Call*>(std::as_const(*this).find_sent(worker, id));
}

bool Dispatcher::takes_parts(WorkerId worker, InvocationId id, bool stream) const {
  const Call* call = find_sent(worker, id);
  return call != nullptr && !call->finished && call->on_part && (stream || !call->streams_only);
}

Flow Dispatcher::on_reply_part(WorkerId worker, InvocationId id, const ReplyPart& part) {
  if (!takes_parts(worker, id, part.stream)) return Flow::go_on;
  const PartFn on_part = calls_.find(id)->on_part;
  const Flow flow = on_part(id, part);
  Call* call = calls_.find(id);  // the callback may have ended the call
  if (call == nullptr || call->finished) return Flow::go_on;
  call->held = flow == Flow::hold;
  return flow;
}

void Dispatcher::go_on(InvocationId id) {
  if (Call* call = calls_.find(id)) release_hold(*call);
}

// Also when nobody waits for the rest: it has to come before its worker is free.
void Dispatcher::release_hold(Call& call) {
  if (!call.held) return;
  call.held = false;
  if (call.worker != nullptr) link_.go_on(call.worker->id, call.id);
}

// As far as the engine can tell: since its worker had it, and nothing before it.
uint32_t Dispatcher::ran_for(const Call& call) const {
  const MonotonicTime began =
      call.ahead ? std::max(call.sent_at, call.worker->head_since) : call.sent_at;
  return static_cast<uint32_t>(std::clamp<int64_t>(to_us(clock_.now() - began), 0, UINT32_MAX));
}

bool Dispatcher::on_reply(WorkerId id, InvocationId call_id, const WorkerReply& reply) {
  Call* call = find_sent(id, call_id);
  if (call == nullptr) return false;
  Worker& worker = *call->worker;
  Function& function = *call->function;
  if (call->finished) {
    if (!call->lingers) {
      ++stats_.dropped_replies;
      ++function.stats.dropped;
    }
  } else {
    finish(*call, reply.is_error ? Outcome::Kind::function_error : Outcome::Kind::reply,
           Code::function_failed, reply.payload, {});
    Outcome& outcome = ended_.back().outcome;
    const uint32_t exec_us = reply.streamed ? ran_for(*call) : reply.exec_us;
    outcome.exec_us = exec_us;
    if (outcome.cold) cold_.record(worker.runtime, worker.way, outcome.waited, exec_us);
    if (worker.spec == function.spec) function.estimate.record(exec_us);
    function.stats.exec.record(exec_us);
  }
  worker.served = true;
  call->lingers = reply.lingers;
  if (reply.lingers) return true;
  detach(*call);
  release(*call);
  if (reply.last) {
    leave(worker);
  } else {
    on_worker_has_room(worker);
  }
  return true;
}

// The worker ends by itself: what waits in it comes back, and others take its place.
void Dispatcher::leave(Worker& worker) {
  Function& function = *worker.function;
  pool_.retire(worker, false);
  if (!function.queue.empty()) pool_.ensure(function);
}

bool Dispatcher::on_reply_too_large(WorkerId id, InvocationId call_id, bool stream) {
  Call* call = find_sent(id, call_id);
  if (call == nullptr) return false;
  ++stats_.replies_too_large;
  if (!call->finished)
    finish_error(
        *call, Code::reply_too_large,
        fmt::format("the reply is larger than {} bytes (limits.{})",
                    stream ? limits_.stream_max : limits_.reply_max, stream ? "stream" : "reply"));
  return true;
}

bool Dispatcher::on_handback(WorkerId id, InvocationId call_id) {
  Call* call = find_sent(id, call_id);
  if (call == nullptr) return false;
  Worker& worker = *call->worker;
  ++worker.left;  // it has not started it
  // Unasked: the worker is about to end, and gets nothing more.
  if (!call->recalled) {
    ++call->returns;
    leave(worker);
  }
  if (call->finished || call->returns > kReturnsMax) {
    if (!call->finished) {
      finish_error(*call, Code::worker_lost,
                   fmt::format("{} workers ended before they could start it", call->returns));
    }
    detach(*call);
    release(*call);
  } else {
    requeue(*call);
  }
  on_worker_has_room(worker);
  return true;
}

void Dispatcher::on_worker_exit(WorkerId id, const WorkerExit& exit) {
  Worker* worker = pool_.find(id);
  if (worker == nullptr) return;
  const FunctionId function = worker->function != nullptr ? worker->function->id : FunctionId{};
  const Code code = classify(*worker, exit, link_.log_tail(id, {}));
  std::string detail = worker->killed ? worker->end_detail : describe(exit);
  if (!worker->calls.empty() && !faults_.forget_calls_of_lost_worker) {
    while (Call* call = worker->calls.back()) {  // the youngest first: those that go back to the
                                                 // queue keep their order
      if (!call->finished && !link_.any_byte_sent(id, call->id)) {
        requeue(*call);
        continue;
      }
      if (!call->finished) finish_error(*call, code, detail);
      detach(*call);
      release(*call);
    }
  } else if (faults_.forget_calls_of_lost_worker) {
    while (Call* call = worker->calls.back()) {
      worker->calls.remove(*call);
      call->worker = nullptr;
    }
  }
  pool_.on_exit(*worker, exit, code, std::move(detail));
  if (function) drop_if_unused(function);
}

// ---- what the pool says

void Dispatcher::on_worker_has_room(Worker& worker) {
  if (worker.left == 0 && worker.calls.size() < worker.spec->concurrency.per_worker) {
    // What it has may go on; in the states in which it leaves anyway this does nothing.
    pool_.recycle(worker, RecycleReason::calls);
    pool_.settle(worker);
    return;
  }
  if (worker.state == Worker::State::ready && worker.counted) feed(worker);
  pool_.settle(worker);
  if (worker.calls.empty() && worker.state == Worker::State::ready) steal_for(worker);
}

void Dispatcher::on_start_failed(Function& function) {
  const StartFailure failure = function.failure;  // a copy: finishing may lead to a new revision
  while (Call* call = function.queue.front()) finish_with_cause(*call, failure);
}

void Dispatcher::on_worker_retired(Worker& worker) { recall_waiting(worker); }
void Dispatcher::on_worker_stalled(Worker& worker) { recall_waiting(worker); }

}  // namespace hearth
