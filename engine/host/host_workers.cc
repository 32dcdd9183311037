#include "host/host_workers.h"

#include <csignal>

namespace hearth {
namespace {

// What the ends of calls lead to (the next calls of the same chain) is done in the same turn, up to
// this; then I/O has its turn.
constexpr int kRoundsPerTurn = 8;

}  // namespace

HostWorkers::HostWorkers(Loop& loop, BufferPool& buffers) : loop_(loop), buffers_(buffers) {
  todo_.reserve(256);
  doing_.reserve(256);
  loop.at_turn_end(Callback<void()>::to<&HostWorkers::run>(this));
}

HostWorkers::Todo& HostWorkers::later(Todo::Kind kind, WorkerId worker) {
  loop_.turn_again();
  Todo& todo = todo_.emplace_back();
  todo.kind = kind;
  todo.worker = worker;
  return todo;
}

HostWorkers::Imaginary* HostWorkers::find(WorkerId id) {
  for (Imaginary& worker : workers_) {
    if (worker.id == id) return &worker;
  }
  return nullptr;
}

HostWorkers::Running* HostWorkers::find(Imaginary& worker, InvocationId call) {
  for (Running& running : worker.running) {
    if (running.id == call) return &running;
  }
  return nullptr;
}

// ---- what the core asks for

void HostWorkers::start(WorkerId worker, const WorkerShape&, const FunctionSpecPtr& spec) {
  Imaginary& imaginary = workers_.emplace_back();
  imaginary.id = worker;
  imaginary.spec = spec;
  imaginary.running.reserve(spec->concurrency.per_worker);
  later(Todo::Kind::parked, worker);
}

void HostWorkers::bind(WorkerId worker, const FunctionSpecPtr& spec) {
  if (Imaginary* imaginary = find(worker)) imaginary->spec = spec;
  later(Todo::Kind::ready, worker);
}

void HostWorkers::send(WorkerId worker, CallFrame&& call) {
  later(Todo::Kind::call, worker).frame = call;
}

// Nobody waits for it any more. It goes on until its function answers.
void HostWorkers::cancel(WorkerId worker, InvocationId call) {
  Imaginary* imaginary = find(worker);
  if (imaginary != nullptr && find(*imaginary, call) != nullptr)
    imaginary->spec->host->on_given_up({worker, call});
}

// Only what waits in a worker is called back, and nothing waits here.
void HostWorkers::recall(WorkerId, InvocationId) {}

void HostWorkers::ping(WorkerId worker, uint16_t sequence) {
  later(Todo::Kind::pong, worker).sequence = sequence;
}

void HostWorkers::stop(WorkerId worker) { later(Todo::Kind::exit, worker); }

void HostWorkers::kill(WorkerId worker) { later(Todo::Kind::exit, worker).by_kill = true; }

bool HostWorkers::any_byte_sent(WorkerId worker, InvocationId call) const {
  return const_cast<HostWorkers*>(this)->is_running(worker, call);
}

bool HostWorkers::is_running(WorkerId worker, InvocationId call) {
  Imaginary* imaginary = find(worker);
  return imaginary != nullptr && find(*imaginary, call) != nullptr;
}

// ---- what functions say

void HostWorkers::answer(HostCallId id, std::string_view payload, bool is_error) {
  Imaginary* worker = find(id.worker);
  Running* running = worker != nullptr ? find(*worker, id.call) : nullptr;
  if (running == nullptr || running->answered) return;
  running->answered = true;
  Buffer whole = std::move(running->reply);
  const bool kept = buffers_.grow(whole, payload.size() + 1);
  if (kept) whole.append(payload);
  Todo& todo = later(Todo::Kind::answer, id.worker);
  todo.frame.id = id.call;
  todo.is_error = is_error;
  todo.no_memory = !kept || running->no_memory;
  todo.exec_us = static_cast<uint32_t>(to_us(loop_.now() - running->started));
  todo.payload = std::move(whole);
}

void HostWorkers::part(HostCallId id, std::string_view bytes) {
  Imaginary* worker = find(id.worker);
  Running* running = worker != nullptr ? find(*worker, id.call) : nullptr;
  if (running == nullptr || running->answered) return;
  if (events_->takes_parts(id.worker, id.call, true)) {
    // Code of this process can't be held: what its caller does not take waits with the caller.
    static_cast<void>(
        events_->on_reply_part(id.worker, id.call, {bytes, ReplyPart::Kind::body, true}));
  } else if (buffers_.grow(running->reply, bytes.size())) {
    running->reply.append(bytes);
  } else {
    running->no_memory = true;
  }
}

// ---- the end of a turn

void HostWorkers::run() {
  for (int round = 0; !todo_.empty() && round < kRoundsPerTurn; ++round) {
    doing_.swap(todo_);
    for (size_t i = 0; i < doing_.size(); ++i) run_one(doing_[i]);
    events_->deliver();  // what `doing_` holds is read by it
    doing_.clear();
  }
}

void HostWorkers::run_one(Todo& todo) {
  switch (todo.kind) {
    case Todo::Kind::parked:
      return events_->on_worker_parked(todo.worker);
    case Todo::Kind::ready:
      return events_->on_worker_ready(todo.worker, 0);
    case Todo::Kind::pong:
      return events_->on_pong(todo.worker, todo.sequence);
    case Todo::Kind::call:
      return begin_call(todo.worker, todo.frame);
    case Todo::Kind::answer:
      return end_call(todo);
    case Todo::Kind::exit:
      return end_worker(todo);
  }
}

void HostWorkers::begin_call(WorkerId id, const CallFrame& frame) {
  Imaginary* worker = find(id);
  if (worker == nullptr) return;  // killed meanwhile: the core has the call back
  Running& running = worker->running.emplace_back();
  running.id = frame.id;
  running.started = loop_.now();
  // The handler may answer at once, and what it calls may change `workers_`.
  const FunctionSpecPtr spec = worker->spec;
  spec->host->on_call({id, frame.id}, frame.payload, frame.request_id, frame.deadline);
}

void HostWorkers::end_call(Todo& todo) {
  Imaginary* worker = find(todo.worker);
  Running* running = worker != nullptr ? find(*worker, todo.frame.id) : nullptr;
  if (running == nullptr) return;
  *running = std::move(worker->running.back());
  worker->running.pop_back();
  WorkerReply reply;
  reply.payload = todo.payload.view();
  reply.is_error = todo.is_error;
  reply.exec_us = todo.exec_us;
  if (todo.no_memory) {
    reply.is_error = true;
    reply.payload =
        R"j({"errorType":"Hearth.BuffersFull","errorMessage":"limits.buffers is reached"})j";
  }
  events_->on_reply(todo.worker, todo.frame.id, reply);
}

void HostWorkers::end_worker(const Todo& todo) {
  Imaginary* worker = find(todo.worker);
  if (worker == nullptr) return;  // stopped, then killed
  for (const Running& running : worker->running)
    worker->spec->host->on_given_up({todo.worker, running.id});
  WorkerExit exit;
  exit.wait_status = todo.by_kill ? SIGKILL : 0;
  exit.killed_by_engine = todo.by_kill;
  // It still answers the core's questions about its calls, and the core may start another
  // meanwhile.
  events_->on_worker_exit(todo.worker, exit);
  worker = find(todo.worker);
  const FunctionSpecPtr last = std::move(worker->spec);
  if (worker != &workers_.back()) *worker = std::move(workers_.back());
  workers_.pop_back();
}

}  // namespace hearth
