// The answering half of http::Server as an interface: what the API needs to answer, and what its
// tests replace. Loop thread only.
#pragma once
#include "api/request_observer.h"
#include "http/server.h"

namespace hearth::api {

// The streaming half. Each function means what the one of that name of http::Server means.
class StreamResponder {
 public:
  virtual ~StreamResponder() = default;
  virtual bool start(ConnectionId connection, const http::ResponseHead& head) = 0;
  virtual int64_t write(ConnectionId connection, std::string_view part) = 0;
  virtual bool finish(ConnectionId connection) = 0;
  virtual void abort(ConnectionId connection) = 0;
};

// Each function means what the function of that name of http::Server means.
class Responder : public StreamResponder {
 public:
  virtual bool respond(ConnectionId connection, const http::ResponseHead& head,
                       std::string_view body) = 0;
  virtual const http::ServerStats& stats() const = 0;
};

// Answers through a server, which must outlive this.
class ServerResponder final : public Responder {
 public:
  explicit ServerResponder(http::Server& server) : server_(server) {}
  bool respond(ConnectionId connection, const http::ResponseHead& head,
               std::string_view body) override {
    return server_.respond(connection, head, body);
  }
  bool start(ConnectionId connection, const http::ResponseHead& head) override {
    return server_.start(connection, head);
  }
  int64_t write(ConnectionId connection, std::string_view part) override {
    return server_.write(connection, part);
  }
  bool finish(ConnectionId connection) override { return server_.finish(connection); }
  void abort(ConnectionId connection) override { server_.abort(connection); }
  const http::ServerStats& stats() const override { return server_.stats(); }

 private:
  http::Server& server_;
};

// Tells `observer` of each response on its way to `next`; both must outlive this.
class ObservedResponder final : public Responder {
 public:
  ObservedResponder(Responder& next, RequestObserver& observer)
      : next_(next), observer_(observer) {}
  bool respond(ConnectionId connection, const http::ResponseHead& head,
               std::string_view body) override {
    observer_.on_response(connection, head.status);
    return next_.respond(connection, head, body);
  }
  bool start(ConnectionId connection, const http::ResponseHead& head) override {
    observer_.on_response(connection, head.status);
    return next_.start(connection, head);
  }
  int64_t write(ConnectionId connection, std::string_view part) override {
    return next_.write(connection, part);
  }
  bool finish(ConnectionId connection) override { return next_.finish(connection); }
  void abort(ConnectionId connection) override { next_.abort(connection); }
  const http::ServerStats& stats() const override { return next_.stats(); }

 private:
  Responder& next_;
  RequestObserver& observer_;
};

}  // namespace hearth::api
