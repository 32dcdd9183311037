// The HTTP/1.1 server: connections, their limits and timers, requests in and responses out. It
// knows nothing of functions. Loop thread only. A warm keep-alive request costs one read and one
// write and no heap allocation.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer_pool.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/result.h"
#include "http/message.h"
#include "loop/loop.h"

namespace hearth::http {

// What is to be done with a request whose head has come.
struct HeadDecision {
  // stream: handed on part by part, by Handler::on_body.
  enum class Body : uint8_t { buffer, spool, stream, refuse } body = Body::buffer;
  uint64_t body_max = 0;  // a larger body: 413 body_too_large
  Code refuse_code{};     // refuse: answered through Handler::render_refusal; the connection closes
                          // after it if a body was announced
  std::string_view refuse_detail;  // static storage
};

// The answer to a request that the server itself refuses. The server empties it before each use and
// sends it before the next one.
struct RefusalAnswer {
  static constexpr size_t kHeadersMax = 6;

  std::string body;
  std::string_view content_type;  // static storage; empty: none
  // As ResponseHead::headers. Views into `text` or into static storage.
  std::array<HeaderView, kHeadersMax> headers;
  size_t header_count = 0;
  std::array<char, 64> text;  // room for a value that has to be written
};

class Handler {
 public:
  virtual ~Handler() = default;
  // The head is complete. Called once a request, before any of its body is read and before
  // 100-continue is sent.
  virtual HeadDecision on_head(const RequestHead& head) = 0;
  // After HeadDecision::Body::stream, if the request has a body: on_stream once, on_body for each
  // part, on_request (without a body) at its end, or on_gone. on_body answers whether it takes more
  // now; else nothing is read of this client until Server::read_on(), but up to 64 KiB may still
  // come. Both may abort() the connection; neither may respond.
  virtual void on_stream(ConnectionId, const RequestHead&) {}
  virtual bool on_body(ConnectionId, std::string_view) { return true; }
  // The request is complete. Exactly one response must follow, now or later: Server::respond, or
  // start / write / finish. The next request of the connection is not parsed before it.
  virtual void on_request(ConnectionId connection, Request& request) = 0;
  // The client is gone (or the server gave it up: write timeout, close_all) while its request waits
  // for the end of its response. Called once, and then nothing more is needed. Not called when a
  // call of the handler itself, which returned false or -1, found it out. A client that finishes
  // sending (FIN) is gone: one that has left looks the same as one that would still read. What it
  // had pipelined behind that request is dropped. Only a response that is complete is still sent to
  // its end. (While 64 KiB of pipelined requests wait, the socket is not read, and a FIN behind
  // them is not seen.)
  virtual void on_gone(ConnectionId connection) = 0;
  // All that write() had left waiting was sent.
  virtual void on_writable(ConnectionId) {}
  // Fills in the error response that the server itself gives, whose status is the catalogue's.
  // `head` may be null (head not complete).
  virtual void render_refusal(const Refusal& refusal, const RequestHead* head,
                              RefusalAnswer& answer) = 0;
};

struct ServerStats {  // all but `connections` only grow
  uint64_t connections = 0;
  uint64_t accepted = 0;
  uint64_t refused_connections = 0;
  uint64_t requests = 0;
  uint64_t responses_by_class[6] = {};  // [2] = 2xx
  uint64_t refused_requests = 0;        // by the server itself
  uint64_t timeouts = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
};

class Server {
 public:
  // All references must outlive this. `spool_dir`: where spooled bodies are written (O_TMPFILE).
  Server(Loop& loop, BufferPool& buffers, const Limits& limits, Handler& handler, Log log,
         std::string spool_dir);
  ~Server();  // closes everything at once, without on_gone; never from inside a callback
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // "127.0.0.1:4327", "[::1]:0". Returns the address in use, with the real port. Errors:
  // listen_failed, invalid_parameter.
  Result<std::string> listen(std::string_view address, bool functions_only);
  // Takes a socket that listens, of which at most `connections_max` connections are open at a time.
  // `id`, not 0 and not in use, is RequestHead::listener of what comes on it.
  Status adopt(UniqueFd listener, uint32_t id, uint32_t connections_max);
  // Closes that socket and its connections, without on_gone. An unknown id is ignored.
  void drop(uint32_t id);

  // False when the connection is gone. `body` is copied only as far as the socket does not take it
  // at once. HEAD: the body is left out.
  bool respond(ConnectionId connection, const ResponseHead& head, std::string_view body);
  // A response whose length is not known: chunked (HTTP/1.0: until close). write() returns how many
  // bytes wait to be sent, or -1 when gone: the caller stops when that is more than it wants to
  // hold, and goes on at Handler::on_writable. What waits counts against the buffer pool.
  bool start(ConnectionId connection, const ResponseHead& head);
  int64_t write(ConnectionId connection, std::string_view part);
  bool finish(ConnectionId connection);
  // After an on_body() that answered false.
  void read_on(ConnectionId connection);
  // Closes without an answer, or in the middle of one (a stream that broke). No on_gone.
  void abort(ConnectionId connection);

  // No new connections: the listening sockets close at once. Idle connections close; busy ones
  // close after their response. `drained` runs once, when none is left, never from inside this
  // call.
  void drain(Callback<void()> drained);
  // Closes what is left; on_gone for each request that waits.
  void close_all();

  const ServerStats& stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::http
