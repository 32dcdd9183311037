// The half of Connection that sends: responses, streams, and the ways to close.
#include <sys/socket.h>

#include "http/connection.h"
#include "http/connection_scope.h"
#include "http/server_core.h"

namespace hearth::http {
namespace {

// How long, and for how many bytes, a client that was refused may go on sending before it is cut
// off. Time for the answer to arrive.
constexpr milliseconds kLingerTime{2'000};
constexpr uint32_t kLingerBytes = 128u << 20;
// A body up to this is copied behind its head; a larger one is sent from where it lies.
constexpr size_t kCopiedBody = 8 * 1024;

}  // namespace

bool Connection::respond(const ResponseHead& head, std::string_view body) {
  Scope scope(*this);
  if (stage_ != Stage::waiting) return false;
  return send_response(head, body);
}

// False: it could not be sent and the connection has closed.
bool Connection::send_response(const ResponseHead& head, std::string_view body) {
  const bool bodiless = has_no_body(final_status(head.status));
  const auto length = bodiless ? BodyLength::none : BodyLength::counted;
  stage_ = Stage::flushing;
  if (!send_head(head, length, body.size(),
                 bodiless || is_head_request_ ? std::string_view() : body))
    return false;
  if (outbox_.waiting() == 0) response_done();
  return true;
}

// Sends a head and, with it, `body`. False: the connection has closed.
bool Connection::send_head(const ResponseHead& head, BodyLength length, uint64_t bytes,
                           std::string_view body) {
  if (!keep_alive_ || core_.draining) close_after_ = true;
  ++core_.stats.responses_by_class[final_status(head.status) / 100];
  ResponseFraming framing;
  framing.length = length;
  framing.bytes = bytes;
  framing.date = core_.date.at(core_.loop.now(), core_.loop.clock());
  if (close_after_) {
    framing.connection = ConnectionHeader::close;
  } else if (http_1_0_) {
    framing.connection = ConnectionHeader::keep_alive;
  }

  const size_t bound = head_size_bound(head);
  Buffer large;
  char* out = core_.write_buffer.get();
  if (bound > kWriteBuffer) {
    large = core_.buffers.take(bound);
    if (!large) {
      close();
      return false;
    }
    out = large.data();
  }
  const size_t size = write_head(out, head, framing);
  if (body.size() > kCopiedBody || bound + body.size() > kWriteBuffer)
    return send_parts({{out, size}, body});
  if (!body.empty()) std::memcpy(out + size, body.data(), body.size());
  return send_parts({{out, size + body.size()}});
}

// False: the connection has closed.
bool Connection::send_parts(std::initializer_list<std::string_view> parts) {
  const bool waited = outbox_.waiting() > 0;
  switch (outbox_.send(fd_.get(), core_.buffers, parts, core_.stats.bytes_out)) {
    case Outbox::Result::sent:
      return true;
    case Outbox::Result::waiting:
      if (!waited || deadline_ == MonotonicTime::max()) set_deadline(core_.limits.write_timeout);
      update_events();
      return true;
    case Outbox::Result::failed:
      break;
  }
  close();
  return false;
}

void Connection::flush() {
  const size_t before = outbox_.waiting();
  switch (outbox_.flush(fd_.get(), core_.stats.bytes_out)) {
    case Outbox::Result::waiting:
      if (outbox_.waiting() < before) set_deadline(core_.limits.write_timeout);
      return;
    case Outbox::Result::failed:
      return close_as_gone();
    case Outbox::Result::sent:
      break;
  }
  if (stage_ == Stage::flushing) {
    response_done();
  } else if (stage_ == Stage::streaming) {
    set_no_deadline();
    core_.handler.on_writable(id_);
  }
  update_events();
}

bool Connection::start(const ResponseHead& head) {
  Scope scope(*this);
  if (stage_ != Stage::waiting) return false;
  stage_ = Stage::streaming;
  no_body_ = is_head_request_ || has_no_body(final_status(head.status));
  chunked_ = !http_1_0_ && !has_no_body(final_status(head.status));
  if (http_1_0_) close_after_ = true;
  const BodyLength length = chunked_    ? BodyLength::chunked
                            : http_1_0_ ? BodyLength::until_close
                                        : BodyLength::none;
  return send_head(head, length, 0, {});
}

int64_t Connection::write(std::string_view part) {
  Scope scope(*this);
  if (stage_ != Stage::streaming) return -1;
  if (part.empty() || no_body_) return static_cast<int64_t>(outbox_.waiting());
  bool open = false;
  if (chunked_) {
    char line[kChunkLineMax];
    const size_t size = write_chunk_line(line, part.size());
    open = send_parts({{line, size}, part, "\r\n"});
  } else {
    open = send_parts({part});
  }
  return open ? static_cast<int64_t>(outbox_.waiting()) : -1;
}

bool Connection::finish() {
  Scope scope(*this);
  if (stage_ != Stage::streaming) return false;
  if (chunked_ && !no_body_ && !send_parts({"0\r\n\r\n"})) return false;
  stage_ = Stage::flushing;
  if (outbox_.waiting() == 0) response_done();
  return true;
}

void Connection::abort() {
  Scope scope(*this);
  streams_in_ = false;
  if (stage_ != Stage::closed) close();
}

void Connection::response_done() {
  if (close_after_) return finish_close();
  stage_ = Stage::idle;
  set_deadline(core_.limits.idle_connection);
  if (consuming_) return;
  // Not from here: a handler's call must not lead to the next on_request.
  if (input_left() > 0 && !resume_queued) {
    resume_queued = true;
    core_.resume_later(id_);
  }
  update_events();
}

void Connection::finish_close() {
  // Closing a socket with unread bytes in it sends a reset, which can overtake the response and
  // take it from the client.
  const bool unread = linger_ || input_left() > 0;
  if (!unread || end_of_input_) return close();
  ::shutdown(fd_.get(), SHUT_WR);
  stage_ = Stage::lingering;
  linger_left_ = kLingerBytes;
  set_deadline(kLingerTime);
  if (!consuming_) continue_input();  // drops what was read before
  update_events();
}

// A body that is handed on part by part does not come to its end.
void Connection::break_stream() {
  held_ = false;
  if (std::exchange(streams_in_, false)) core_.handler.on_gone(id_);
}

void Connection::close() {
  if (stage_ == Stage::closed) return;
  stage_ = Stage::closed;
  break_stream();
  timer_.disarm();
  poll_.stop();
  fd_.reset();
  outbox_.reset();
}

void Connection::close_as_gone() {
  Scope scope(*this);
  const bool owes_response = stage_ == Stage::waiting || stage_ == Stage::streaming;
  close();
  if (owes_response) core_.handler.on_gone(id_);
}

// Without this the kernel would go on for minutes to offer a client what it does not read.
void Connection::reset_and_close() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close_as_gone();
}

}  // namespace hearth::http
