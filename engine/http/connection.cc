#include "http/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/socket_io.h"
#include "http/connection_scope.h"
#include "http/server_core.h"

namespace hearth::http {
namespace {

// Pipelined bytes that are kept while a response is outstanding; beyond it the socket is not read.
constexpr size_t kInputMax = 64 * 1024;
constexpr size_t kInputRoom = 4096;

}  // namespace

Scope::Scope(Connection& connection) : connection_(connection) { ++connection_.scopes_; }

Scope::~Scope() {
  if (--connection_.scopes_ == 0 && connection_.stage_ == Stage::closed)
    connection_.core_.remove(connection_.id_);
}

Connection::Connection(ServerCore& core, UniqueFd fd, const Peer& peer, bool functions_only,
                       uint32_t listener)
    : core_(core),
      fd_(std::move(fd)),
      peer_(peer),
      functions_only_(functions_only),
      listener_(listener) {}

bool Connection::open(ConnectionId id) {
  Scope scope(*this);
  id_ = id;
  auto watched = poll_.start(core_.loop, fd_.get(), UV_READABLE,
                             Poll::EventFn::to<&Connection::on_events>(this));
  if (!watched) {
    core_.log.warning("http", "{}", watched.error().message());
    close();
    return false;
  }
  set_deadline(core_.limits.idle_connection);
  return true;
}

void Connection::on_events(int events) {
  Scope scope(*this);
  if (events == 0) return close_as_gone();  // reset by the client
  if ((events & UV_WRITABLE) != 0) flush();
  if ((events & UV_READABLE) != 0 && stage_ != Stage::closed && !end_of_input_) on_readable();
}

void Connection::on_readable() {
  if (input_) return read_into_input();
  const ssize_t n = receive(core_.read_buffer.get(), kReadBuffer);
  if (n <= 0) return;
  const std::string_view bytes(core_.read_buffer.get(), static_cast<size_t>(n));
  const size_t used = consume(bytes);
  if (stage_ != Stage::closed && used < bytes.size()) keep_rest(bytes.substr(used));
}

// Returns what recv() does; an end or an error has been dealt with.
ssize_t Connection::receive(char* to, size_t size) {
  const ssize_t n = receive_now(fd_.get(), to, size);
  if (n > 0) {
    core_.stats.bytes_in += static_cast<uint64_t>(n);
  } else if (n == 0) {
    on_end_of_input();
  } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
    close_as_gone();
  }
  return n;
}

void Connection::read_into_input() {
  if (input_.room() < kInputRoom && input_begin_ > 0) {
    std::memmove(input_.data(), input_.data() + input_begin_, input_left());
    input_.set_size(input_left());
    input_begin_ = 0;
  }
  if (!core_.buffers.grow(input_, kInputRoom)) return close_as_gone();
  const ssize_t n = receive(input_.data() + input_.size(), input_.room());
  if (n <= 0) return;
  input_.set_size(input_.size() + static_cast<size_t>(n));
  continue_input();
}

void Connection::keep_rest(std::string_view rest) {
  if (!core_.buffers.grow(input_, rest.size() + kInputRoom)) return close_as_gone();
  input_.append(rest);
  update_events();
}

void Connection::resume() {
  Scope scope(*this);
  resume_queued = false;
  if (stage_ != Stage::closed) continue_input();
}

void Connection::continue_input() {
  input_begin_ += consume(input_.view().substr(input_begin_));
  if (stage_ == Stage::closed) return;
  if (input_left() == 0) {
    input_.release();
    input_begin_ = 0;
  }
  update_events();
}

void Connection::on_end_of_input() {
  end_of_input_ = true;
  switch (stage_) {
    case Stage::waiting:
    case Stage::streaming:
      // A half-closed socket can't be told from a closed one before something is written to it, and
      // calls of clients that have left must not run.
      return close_as_gone();
    case Stage::flushing:
      // The work is done. If nobody reads it, sending fails.
      close_after_ = true;
      return update_events();  // an ended socket stays readable for ever
    default:
      return close();
  }
}

void Connection::on_deadline() {
  Scope scope(*this);
  if (deadline_ == MonotonicTime::max()) return;
  if (core_.loop.now() < deadline_) {
    armed_at_ = deadline_;
    core_.loop.timers().arm(timer_, deadline_,
                            Callback<void()>::to<&Connection::on_deadline>(this));
    return;
  }
  switch (stage_) {
    case Stage::head:
      ++core_.stats.timeouts;
      return refuse_and_close(
          {Code::request_timeout, "the head was not complete within http.head_timeout"}, nullptr);
    case Stage::body:
      ++core_.stats.timeouts;
      return refuse_and_close(
          {Code::request_timeout, "no byte of the body came within http.body_timeout"},
          parked_head());
    case Stage::streaming:
    case Stage::flushing:
      ++core_.stats.timeouts;
      return reset_and_close();
    case Stage::idle:
    case Stage::lingering:
      return close();
    case Stage::waiting:
    case Stage::closed:
      break;
  }
}

void Connection::set_deadline(milliseconds from_now) {
  deadline_ = core_.loop.now() + from_now;
  if (timer_.armed() && armed_at_ <= deadline_) return;
  armed_at_ = deadline_;
  core_.loop.timers().arm(timer_, deadline_, Callback<void()>::to<&Connection::on_deadline>(this));
}

// Changes what the socket is watched for, which costs system calls; a plain request changes
// nothing.
void Connection::update_events() {
  if (stage_ == Stage::closed) return;
  const bool answering =
      stage_ == Stage::waiting || stage_ == Stage::streaming || stage_ == Stage::flushing;
  const bool reading = !end_of_input_ && !held_ && (!answering || input_left() < kInputMax);
  const int wanted = (reading ? UV_READABLE : 0) | (outbox_.waiting() > 0 ? UV_WRITABLE : 0);
  if (wanted != poll_.events()) poll_.set(wanted);
}

// Parses and hands over as much of `bytes` as may be now. Returns how many were used.
size_t Connection::consume(std::string_view bytes) {
  consuming_ = true;
  size_t used = 0;
  bool going_on = true;
  while (going_on) {
    const std::string_view rest = bytes.substr(used);
    switch (stage_) {
      case Stage::idle:
        going_on = !rest.empty();
        if (!going_on) break;
        stage_ = Stage::head;
        head_timed_ = false;
        parser_.reset();
        break;
      case Stage::head:
        going_on = consume_head(rest, used);
        break;
      case Stage::body:
        going_on = !rest.empty() && consume_body(rest, used);
        break;
      case Stage::lingering:
        used = bytes.size();
        linger_left_ -= std::min<uint32_t>(linger_left_, static_cast<uint32_t>(rest.size()));
        if (linger_left_ == 0) close();
        going_on = false;
        break;
      default:
        going_on = false;
        break;
    }
  }
  consuming_ = false;
  return used;
}

// False: no more of the bytes can be used now.
bool Connection::consume_head(std::string_view bytes, size_t& used) {
  const Parser::Step found = parser_.find_head(bytes, core_.limits.head_max);
  if (found == Parser::Step::more) {
    if (!head_timed_) set_deadline(core_.limits.head_timeout);
    head_timed_ = true;
    return false;
  }
  Request request;
  is_head_request_ = http_1_0_ = false;
  const Parser::Step parsed = found == Parser::Step::failed
                                  ? found
                                  : parser_.parse_head(bytes, core_.header_table, request);
  if (parsed == Parser::Step::failed) {
    refuse_and_close(parser_.refusal(), nullptr);
    return true;
  }
  used += parser_.head_size();
  request.peer = peer_.text;
  request.peer_port = peer_.port;
  request.functions_only = functions_only_;
  request.listener = listener_;
  is_head_request_ = request.method == "HEAD";
  http_1_0_ = request.http_1_0;
  keep_alive_ = parser_.keep_alive();

  const HeadDecision decision = core_.handler.on_head(request);
  if (stage_ == Stage::closed) return false;
  if (decision.body == HeadDecision::Body::refuse) {
    const Refusal refusal{decision.refuse_code, decision.refuse_detail};
    request.has_body ? refuse_and_close(refusal, &request) : refuse(refusal, &request);
    return true;
  }
  if (parsed == Parser::Step::done) {
    hand_over(request);
    return true;
  }
  return receive_body(request, decision, bytes, used);
}

// The first part of a body, which came together with its head. False: no more of the bytes can be
// used now.
bool Connection::receive_body(Request& request, const HeadDecision& decision,
                              std::string_view bytes, size_t& used) {
  const std::string_view rest = bytes.substr(parser_.head_size());
  if (!begin_body(request, decision, !rest.empty())) return true;
  size_t body_used = 0;
  const Parser::Step step = rest.empty() ? Parser::Step::more : parse_body(rest, body_used);
  if (stage_ == Stage::closed) return false;
  used += body_used;
  if (step == Parser::Step::done) {
    give_body(request);
    hand_over(request);
  } else if (step == Parser::Step::failed || !body_.settle() || !park_head(request, bytes)) {
    refuse_body(request);
  } else {
    stage_ = Stage::body;
    await_body();
    return false;
  }
  return true;
}

// Nobody but the handler is waited for while it takes nothing.
void Connection::await_body() {
  if (!held_) return set_deadline(core_.limits.body_timeout);
  set_no_deadline();
  update_events();
}

Parser::Step Connection::parse_body(std::string_view bytes, size_t& used) {
  return parser_.parse_body(
      bytes, Parser::BodyFn::to<&Connection::on_body_part>(this), used,
      streams_in_ ? Parser::BodyFn::to<&Connection::on_trailers>(this) : Parser::BodyFn());
}

bool Connection::on_body_part(std::string_view part) {
  if (!streams_in_) return body_.add(part);
  if (part.size() > streamed_left_) {
    body_.refuse(Code::body_too_large, "the body is longer than this path takes");
    return false;
  }
  streamed_left_ -= part.size();
  held_ = !core_.handler.on_body(id_, part);
  return stage_ != Stage::closed;
}

bool Connection::on_trailers(std::string_view lines) {
  if (trailers_.size() + lines.size() <= core_.limits.head_max &&
      core_.buffers.grow(trailers_, lines.size())) {
    trailers_.append(lines);
    return true;
  }
  body_.refuse(Code::head_too_large, "the trailers are longer than a head may be");
  return false;
}

void Connection::give_body(Request& request) {
  if (!streams_in_) return body_.give_to(request);
  streams_in_ = false;
  held_ = false;
  request.trailers = trailers_.view();
}

void Connection::read_on() {
  Scope scope(*this);
  if (!held_ || stage_ != Stage::body) return;
  held_ = false;
  await_body();
  update_events();
}

// False: the body is refused.
bool Connection::begin_body(const Request& request, const HeadDecision& decision,
                            bool bytes_follow) {
  if (request.content_length > decision.body_max) {
    refuse_and_close({Code::body_too_large, "Content-Length is more than this path takes"},
                     &request);
    return false;
  }
  if (decision.body == HeadDecision::Body::stream) {
    streams_in_ = true;
    streamed_left_ = decision.body_max;
    core_.handler.on_stream(id_, request);
    if (stage_ == Stage::closed) return false;
  } else if (decision.body == HeadDecision::Body::spool) {
    const Status opened = body_.to_file(core_.spool_dir, decision.body_max);
    if (!opened) {
      core_.log.error("http", "{}", opened.error().message());
      refuse_and_close({opened.error().code, "the body can't be stored"}, &request);
      return false;
    }
  } else {
    body_.to_memory(core_.buffers, decision.body_max);
  }
  // A client that sends its body at once is not waiting.
  if (!parser_.expects_continue() || bytes_follow) return true;
  return send_parts({"HTTP/1.1 100 Continue\r\n\r\n"});
}

bool Connection::consume_body(std::string_view bytes, size_t& used) {
  size_t body_used = 0;
  const Parser::Step step = parse_body(bytes, body_used);
  if (stage_ == Stage::closed) return false;
  used += body_used;
  if (step == Parser::Step::failed || (step == Parser::Step::more && !body_.settle())) {
    refuse_body(*parked_head());
    return true;
  }
  if (step == Parser::Step::more) {
    await_body();
    return false;
  }
  Request request;
  static_cast<RequestHead&>(request) = *parked_head();
  give_body(request);
  hand_over(request);
  return true;
}

// Copies the head, whose views point into `bytes` and into the shared table, to a buffer of its
// own. False: no memory.
bool Connection::park_head(const RequestHead& head, std::string_view bytes) {
  const std::string_view text = bytes.substr(0, parser_.head_size());
  const size_t table_at = sizeof(RequestHead);
  const size_t text_at = table_at + head.headers.size() * sizeof(HeaderView);
  parked_ = core_.buffers.take(text_at + text.size());
  if (!parked_) return false;
  char* const new_text = parked_.data() + text_at;
  std::memcpy(new_text, text.data(), text.size());
  const auto moved = [&](std::string_view view) {
    const bool inside = view.data() >= text.data() && view.data() < text.data() + text.size();
    return inside ? std::string_view(new_text + (view.data() - text.data()), view.size()) : view;
  };
  auto* table = reinterpret_cast<HeaderView*>(parked_.data() + table_at);
  for (size_t i = 0; i < head.headers.size(); ++i) {
    new (table + i) HeaderView{moved(head.headers[i].name), moved(head.headers[i].value)};
  }
  auto* parked = new (parked_.data()) RequestHead(head);
  parked->headers = {table, head.headers.size()};
  for (std::string_view* view :
       {&parked->method, &parked->target, &parked->path, &parked->query, &parked->host}) {
    *view = moved(*view);
  }
  return true;
}

RequestHead* Connection::parked_head() {
  return parked_ ? std::launder(reinterpret_cast<RequestHead*>(parked_.data())) : nullptr;
}

void Connection::hand_over(Request& request) {
  stage_ = Stage::waiting;
  set_no_deadline();
  ++core_.stats.requests;
  core_.handler.on_request(id_, request);
  trailers_.release();
  body_.reset();
  parked_.release();
}

void Connection::refuse_body(const RequestHead& head) {
  if (stage_ == Stage::closed) return;
  Refusal refusal = body_.refusal();
  if (refusal.detail.empty()) refusal = parser_.refusal();
  if (refusal.detail.empty()) refusal = {Code::buffers_full, "no memory for the request"};
  refuse_and_close(refusal, &head);
}

void Connection::refuse_and_close(const Refusal& refusal, const RequestHead* head) {
  close_after_ = linger_ = true;
  refuse(refusal, head);
}

void Connection::refuse(const Refusal& refusal, const RequestHead* head) {
  ++core_.stats.refused_requests;
  break_stream();
  RefusalAnswer& answer = core_.refusal_answer;
  answer.body.clear();
  answer.content_type = {};
  answer.header_count = 0;
  core_.handler.render_refusal(refusal, head, answer);
  if (stage_ == Stage::closed) return;
  stage_ = Stage::waiting;
  send_response({.status = info(refusal.code).http_status,
                 .content_type = answer.content_type,
                 .headers = {answer.headers.data(), answer.header_count}},
                answer.body);
  body_.reset();
  parked_.release();
}

void Connection::refuse_for_room() {
  Scope scope(*this);
  refuse_and_close({Code::too_many_connections, "http.connections is reached"}, nullptr);
}

}  // namespace hearth::http
