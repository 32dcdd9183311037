// For this folder's tests: a port that records submits and ends calls on demand, a responder that
// keeps what it was told, and a request with its bytes.
#pragma once
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/front.h"

namespace hearth::api::test {

class FakePort final : public InvokePort {
 public:
  struct Call {
    InvocationId id;
    std::string payload;
    std::string extension;
    CallRequest request;  // its views are not valid any more
    bool abandoned = false;
    int went_on = 0;
  };

  FakePort() { calls.reserve(64); }
  void add(const std::string& name) {
    auto made = std::make_shared<FunctionSpec>();
    made->name = name;
    made->timeout = milliseconds(1'000);
    specs_.emplace_back(std::move(made));
  }
  FunctionId find(std::string_view name) const override {
    for (uint32_t i = 0; i < specs_.size(); ++i) {
      if (specs_[i]->name == name) return {i, 1};
    }
    return {};
  }
  const FunctionSpecPtr* spec(FunctionId function) const override { return &specs_[function.slot]; }
  Result<InvocationId> submit(CallRequest&& request) override {
    if (refuse) return Error{*refuse, "as the test says"};
    const InvocationId id{next_slot++, 7};
    calls.push_back({id, std::string(request.payload.bytes), std::string(request.extension),
                     std::move(request)});
    return id;
  }
  void go_on(InvocationId call) override {
    for (Call& c : calls) {
      if (c.id == call) ++c.went_on;
    }
  }
  void abandon(InvocationId call) override {
    for (Call& c : calls) {
      if (c.id == call) c.abandoned = true;
    }
  }
  // Ends the call that was submitted last, the way the dispatcher would.
  void finish(Outcome outcome) {
    Call& call = calls.back();
    outcome.request_id = call.request.request_id;
    outcome.spec = &specs_[call.request.function.slot];
    call.request.done(call.id, outcome);
  }
  // A part of the streamed reply of the call that was submitted last.
  Flow part(std::string_view bytes, ReplyPart::Kind kind = ReplyPart::Kind::body) {
    Call& call = calls.back();
    return call.request.on_part(call.id, {bytes, kind, true});
  }
  void reply(std::string_view payload) {
    Outcome outcome;
    outcome.payload = payload;
    finish(outcome);
  }
  void fail(Code code, std::string_view detail = {}, std::string_view tail = {}) {
    Outcome outcome;
    outcome.kind = Outcome::Kind::platform_error;
    outcome.code = code;
    outcome.detail = detail;
    outcome.log_tail = tail;
    finish(outcome);
  }

  std::vector<Call> calls;
  std::optional<Code> refuse;
  uint32_t next_slot = 1;

 private:
  std::vector<FunctionSpecPtr> specs_;
};

class FakeResponder final : public Responder {
 public:
  bool respond(ConnectionId connection, const http::ResponseHead& head,
               std::string_view body_view) override {
    ++count;
    to = connection;
    status = head.status;
    content_type = head.content_type;
    body = body_view;
    headers.clear();
    for (const http::HeaderView& header : head.headers)
      headers.emplace_back(header.name, header.value);
    return true;
  }
  bool start(ConnectionId connection, const http::ResponseHead& head) override {
    if (gone) return false;
    stream = Stream::open;
    return respond(connection, head, {});
  }
  int64_t write(ConnectionId, std::string_view part) override {
    if (gone) return -1;
    body += part;
    return waiting;
  }
  bool finish(ConnectionId) override {
    stream = Stream::finished;
    return true;
  }
  void abort(ConnectionId) override { stream = Stream::aborted; }
  const http::ServerStats& stats() const override { return stats_; }
  // The first header of exactly that name, or "(none)".
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return "(none)";
  }

  enum class Stream { none, open, finished, aborted } stream = Stream::none;
  bool gone = false;    // the client has left, which start() or write() find out
  int64_t waiting = 0;  // what write() returns
  int count = 0;
  ConnectionId to;
  int status = 0;
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;

 private:
  http::ServerStats stats_;
};

// Owns the bytes that a request's views point to.
class TestRequest {
 public:
  explicit TestRequest(std::string method, std::string target)
      : method_(std::move(method)), target_(std::move(target)) {
    headers_.emplace_back("Host", "localhost:4327");
  }
  TestRequest& header(std::string name, std::string value) {
    if (name == "Host") headers_.erase(headers_.begin());
    headers_.emplace_back(std::move(name), std::move(value));
    return *this;
  }
  TestRequest& body(std::string body) {
    body_ = std::move(body);
    return *this;
  }
  TestRequest& functions_only() {
    functions_only_ = true;
    return *this;
  }
  http::Request& get() {
    views_.clear();
    for (const auto& [name, value] : headers_) views_.push_back({name, value});
    request_ = {};
    request_.method = method_;
    request_.target = target_;
    const size_t mark = target_.find('?');
    request_.path = std::string_view(target_).substr(0, mark);
    if (mark != std::string::npos) request_.query = std::string_view(target_).substr(mark + 1);
    request_.headers = views_;
    request_.host = request_.header("host");
    request_.peer = "127.0.0.1";
    request_.functions_only = functions_only_;
    request_.body = body_;
    request_.has_body = !body_.empty();
    request_.content_length = body_.size();
    return request_;
  }

 private:
  std::string method_;
  std::string target_;
  std::string body_;
  bool functions_only_ = false;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::vector<http::HeaderView> views_;
  http::Request request_;
};

// A front with everything faked around it, and one function "hello".
struct Rig {
  Rig()
      : front({.port = port,
               .buffers = buffers,
               .limits = limits,
               .clock = clock,
               .ids = RequestIdSource(1),
               .allowed_hosts = {"hearth.test", "*.example.test"}}) {
    port.add("hello");
    front.attach(responder);
  }
  // Sends a request through both steps of the handler; false: it was refused at its head.
  bool send(TestRequest& request, ConnectionId connection = {3, 1}) {
    http::Request& r = request.get();
    decision = front.on_head(r);
    if (decision.body == http::HeadDecision::Body::refuse) return false;
    front.on_request(connection, r);
    return true;
  }
  bool send(TestRequest&& request, ConnectionId connection = {3, 1}) {
    return send(request, connection);
  }

  Limits limits;
  ManualClock clock;
  BufferPool buffers{mebibytes(64)};
  FakePort port;
  FakeResponder responder;
  Front front;
  http::HeadDecision decision;
};

}  // namespace hearth::api::test
