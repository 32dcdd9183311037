// What a worker says: frames and log bytes. The second half of Workers. Everything here is hostile
// input.
#include <fcntl.h>
#include <fmt/core.h>

#include "worker/workers.h"

namespace hearth::worker {
namespace {

constexpr milliseconds kPartialLineWait{200};

}  // namespace

bool Workers::on_frame(Channel& channel, const Frame& frame) {
  Process* process = at(channel.index());
  if (process == nullptr || process->given_up) return false;
  if (process->speaks_http) {
    violation(*process, "a frame from a worker that speaks HTTP");
    return false;
  }
  ++stats_.frames_in;
  const FrameHeader& h = frame.header;
  switch (h.type) {
    case FrameType::reply:
      return on_reply(*process, frame);
    case FrameType::chunk:
      return on_chunk(*process, frame);
    case FrameType::log:
      on_log(*process, frame);
      return true;
    case FrameType::hello:
      return on_hello(*process, frame);
    case FrameType::ready:
      return on_ready(*process, frame);
    case FrameType::zygote:
      return on_zygote(*process, frame);
    case FrameType::forked:
      return on_forked(*process, frame);
    case FrameType::cache_made:
      return on_cache(*process, frame);
    case FrameType::init_error:
      if (process->spec != nullptr) caches_.failed(process->cache, process->spec);
      events_->on_worker_init_failed(process->id, frame.payload);
      return true;
    case FrameType::pong:
      events_->on_pong(process->id, h.aux);
      return true;
    case FrameType::handback: {
      const OpenCall* call = process->channel.find(h.id);
      const bool whole = call != nullptr && call->sent_whole && !call->replying;
      if (whole) process->channel.forget(h.id);
      if (!whole || !events_->on_handback(process->id, h.id)) {
        violation(*process, "HANDBACK for a call that was not called back");
        return false;
      }
      return true;
    }
    default:
      violation(*process, "a frame that only the engine sends");
      return false;
  }
}

bool Workers::on_hello(Process& process, const Frame& frame) {
  if (process.hello || frame.payload.find("\"protocol\":1") == std::string_view::npos) {
    violation(process, process.hello ? "HELLO came twice" : "HELLO does not say protocol 1");
    return false;
  }
  process.hello = true;
  process.parked = process.spec == nullptr;
  note_runtime_ready(process);
  if (!process.wanted) events_->on_worker_parked(process.id);
  return true;
}

bool Workers::on_cache(Process& process, const Frame& frame) {
  const bool more = (frame.header.flags & kFlagMore) != 0;
  const std::string_view wrong =
      process.spec == nullptr ? "CACHE came before INIT"
                              : caches_.add(process.cache, process.spec, frame.payload, more);
  if (!wrong.empty()) violation(process, wrong);
  return wrong.empty();
}

bool Workers::on_reply(Process& process, const Frame& frame) {
  OpenCall* call = process.channel.find(frame.header.id);
  if (call == nullptr || !call->sent_whole || call->replying) {
    violation(process, call == nullptr  ? "REPLY for a call that it does not have"
                       : call->replying ? "a second REPLY"
                                        : "REPLY before it had the event");
    return false;
  }
  call->exec_us = get_u32(frame.payload.data());
  call->reply_is_error = (frame.header.flags & kFlagError) != 0;
  call->stream = (frame.header.flags & kFlagStream) != 0;
  const std::string_view payload = frame.payload.substr(4);
  const bool last = (frame.header.flags & kFlagLast) != 0;
  if ((frame.header.flags & kFlagMore) == 0 && !call->stream)
    return finish_reply(process, *call, payload, last);
  call->replying = true;
  const auto kind = static_cast<ReplyPart::Kind>(frame.header.aux);
  if (!gather(process, *call, {payload, kind, call->stream})) return false;
  return (frame.header.flags & kFlagMore) != 0 || end_reply(process, *call, last);
}

bool Workers::on_chunk(Process& process, const Frame& frame) {
  OpenCall* call = process.channel.find(frame.header.id);
  if (call == nullptr || !call->replying) {
    violation(process, "CHUNK without a REPLY that goes on");
    return false;
  }
  const bool last = (frame.header.flags & kFlagLast) != 0;
  if ((frame.header.flags & kFlagError) !=
      0) {  // the stream broke: what came of it is worth nothing
    call->reply_is_error = true;
    return finish_reply(process, *call, frame.payload, last);
  }
  if (!gather(process, *call, {frame.payload, ReplyPart::Kind::body, call->stream})) return false;
  return (frame.header.flags & kFlagMore) != 0 || end_reply(process, *call, last);
}

// The last part of a reply has come.
bool Workers::end_reply(Process& process, OpenCall& call, bool last) {
  if (call.reply.too_large) {
    const InvocationId id = call.id;
    process.channel.forget(id);
    const WorkerReply ended{
        {}, true, 0};  // the call has ended for its caller: this lets its worker go on
    return events_->on_reply(process.id, id, ended);
  }
  Buffer whole = std::move(call.reply.whole);
  const std::string_view bytes = whole.view();
  delivered_.push_back(std::move(whole));
  return finish_reply(process, call, bytes, last);
}

// Hands on or collects a part of a large or streamed reply, and lets the worker send more.
bool Workers::gather(Process& process, OpenCall& call, const ReplyPart& part) {
  call.uncredited += static_cast<uint32_t>(part.bytes.size());
  const PartTaken taken =
      take_part(call.reply, part, process.id, call.id, *events_, buffers_, limits_);
  if (taken == PartTaken::no_memory)
    violation(process, "the engine has no memory for its reply (limits.buffers)");
  if (taken != PartTaken::yes) return false;
  give_credit(process, call);
  return true;
}

// Half of what it may have on its way is left when this comes: it never waits for a quick caller.
void Workers::give_credit(Process& process, OpenCall& call) {
  if (call.reply.held || call.uncredited < kPartMax) return;
  char credit[4];
  put_u32(credit, call.uncredited);
  process.channel.send_control(FrameType::credit, call.id, 0, {credit, sizeof credit});
  call.uncredited = 0;
}

bool Workers::finish_reply(Process& process, OpenCall& call, std::string_view payload, bool last) {
  const InvocationId id = call.id;
  const WorkerReply reply{payload, call.reply_is_error, call.exec_us, last, call.stream};
  const bool too_large = payload.size() > limits_.reply_max;
  process.channel.forget(id);
  if (too_large && !events_->on_reply_too_large(process.id, id, false)) return false;
  return events_->on_reply(process.id, id, reply);
}

void Workers::on_broken(Channel& channel, std::string_view what) {
  if (Process* process = at(channel.index())) violation(*process, what);
}

void Workers::on_closed(Channel& channel) {
  Process* process = at(channel.index());
  channel.close();
  if (process == nullptr || process->given_up || process->timer.armed()) return;
  if (process->speaks_http) return;  // the end of its environment, not its own
  await_exit(*process);
}

void Workers::on_batch_end() {
  events_->deliver();
  delivered_.clear();
}

// ---- logs

void Workers::on_log(Process& process, const Frame& frame) {
  const OpenCall* call = process.channel.find(frame.header.id);
  const auto level = frame.header.aux <= static_cast<uint16_t>(LineLevel::critical)
                         ? static_cast<LineLevel>(frame.header.aux)
                         : LineLevel::plain;
  const bool more = (frame.header.flags & kFlagMore) != 0;
  std::string_view text = frame.payload;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const bool last = newline == std::string_view::npos;
    log_line(process, call, level, text.substr(0, newline), last && more);
    if (last) return;
    text.remove_prefix(newline + 1);
  }
}

void Workers::log_line(Process& process, const OpenCall* call, LineLevel level,
                       std::string_view text, bool continued) {
  uint64_t dropped = 0;
  if (!process.rate.pass(text.size() + 1, loop_.now(), dropped)) {
    ++stats_.log_lines_dropped;
    if (!process.marker.armed()) {
      loop_.timers().arm(process.marker, loop_.now() + seconds(1),
                         Callback<void()>::to<&Process::on_marker>(&process));
    }
    return;
  }
  if (process.spec == nullptr) return;  // a parked worker's runtime: nobody's log
  if (dropped != 0) {
    const std::string marker = fmt::format("[hearth] {} log lines dropped (log.rate)", dropped);
    function_log_.line(*process.spec, nullptr, LineLevel::warning, marker, false);
  }
  ++stats_.log_lines;
  const InvocationId id = call != nullptr ? call->id : InvocationId{};
  process.tail.add(id, text);
  if (!continued) process.tail.add(id, "\n");
  function_log_.line(*process.spec, call != nullptr ? &call->request_id : nullptr, level, text,
                     continued);
}

void Workers::tell_dropped(Process& process) {
  const uint64_t dropped = process.rate.take_dropped();
  if (dropped == 0 || process.spec == nullptr) return;
  const std::string marker = fmt::format("[hearth] {} log lines dropped (log.rate)", dropped);
  function_log_.line(*process.spec, nullptr, LineLevel::warning, marker, false);
}

void Workers::open_pipe(Process& process, Pipe& pipe, UniqueFd fd) {
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  pipe.owner = this;
  pipe.slot = process.id.slot;
  pipe.fd = std::move(fd);
  if (Status started = pipe.poll.start(loop_, pipe.fd.get(), UV_READABLE,
                                       Poll::EventFn::to<&Pipe::on_poll>(&pipe));
      !started) {
    violation(process, started.error().detail);
  }
}

void Workers::Pipe::on_poll(int) {
  if (Process* process = owner->at(slot)) owner->read_pipe(*process, *this, 64 * 1024);
}

// Takes what is there, `most` bytes at most. A pipe's other end may be held by a child of the
// function: its end is not the worker's end.
void Workers::read_pipe(Process& process, Pipe& pipe, size_t most) {
  size_t total = 0;
  char bytes[16 * 1024];
  bool more = true;
  while (more && pipe.fd.valid() && total < most) {
    const ssize_t n = ::read(pipe.fd.get(), bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      pipe.poll.stop();
      pipe.fd.reset();
      break;
    }
    total += static_cast<size_t>(n);
    pipe.lines.feed({bytes, static_cast<size_t>(n)}, [&](std::string_view line, bool continued) {
      log_line(process, head(process), LineLevel::plain, line, continued);
    });
    more = static_cast<size_t>(n) == sizeof bytes;
  }
  // A line without its newline is shown when nothing follows for a while.
  if (pipe.lines.pending() && !pipe.partial.armed()) {
    loop_.timers().arm(pipe.partial, loop_.now() + kPartialLineWait,
                       Callback<void()>::to<&Pipe::on_partial>(&pipe));
  }
}

void Workers::Pipe::on_partial() {
  if (Process* process = owner->at(slot)) owner->end_line(*process, *this);
}

void Workers::end_line(Process& process, Pipe& pipe) {
  pipe.partial.disarm();
  pipe.lines.end([&](std::string_view line, bool continued) {
    log_line(process, head(process), LineLevel::plain, line, continued);
  });
}

}  // namespace hearth::worker
