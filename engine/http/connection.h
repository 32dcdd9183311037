// One client's connection: the state machine between its socket, the parser and the handler.
// Internal to this folder.
#pragma once
#include <optional>
#include <string_view>

#include "base/buffer_pool.h"
#include "base/ids.h"
#include "base/timer_wheel.h"
#include "base/unique_fd.h"
#include "http/body.h"
#include "http/listener.h"
#include "http/message.h"
#include "http/outbox.h"
#include "http/parser.h"
#include "loop/poll.h"

namespace hearth::http {

class Scope;
class ServerCore;
struct HeadDecision;
enum class BodyLength : uint8_t;

// idle -> head -> body -> waiting -> (streaming | flushing) -> idle or lingering -> closed. Any of
// them may end in closed.
enum class Stage : uint8_t {
  idle,       // between requests
  head,       // a request has begun
  body,       // its head is complete
  waiting,    // it is with the handler
  streaming,  // its response was begun by start()
  flushing,   // its response is complete but not sent
  lingering,  // all is said: what the client still sends is dropped for a while, so that a reset
              // does not take the answer from it
  closed,     // the slot is freed when the outermost Scope ends
};

// Lives in the server's slab and stays where it is. Each entry from outside opens a Scope: while
// one is open *this is not destroyed, whatever a handler does.
class Connection {
 public:
  Connection(ServerCore& core, UniqueFd fd, const Peer& peer, bool functions_only,
             uint32_t listener);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // To be called once, with the id that this got. False: it can't be watched and has closed.
  bool open(ConnectionId id);
  // Tells the client that there is no room for it.
  void refuse_for_room();
  // Goes on with the bytes that came while the last response was outstanding.
  void resume();

  // As Server's functions of these names.
  bool respond(const ResponseHead& head, std::string_view body);
  bool start(const ResponseHead& head);
  int64_t write(std::string_view part);
  bool finish();
  void abort();
  void read_on();
  uint32_t listener() const { return listener_; }

  // Closes now; the handler is told when a request waits.
  void close_as_gone();
  bool is_idle() const { return stage_ == Stage::idle && input_left() == 0; }
  bool resume_queued = false;  // the server's

 private:
  friend class Scope;

  void on_events(int events);
  void on_readable();
  void on_end_of_input();
  void on_deadline();
  ssize_t receive(char* to, size_t size);
  void read_into_input();
  void keep_rest(std::string_view rest);
  void continue_input();

  size_t consume(std::string_view bytes);
  bool consume_head(std::string_view bytes, size_t& used);
  bool receive_body(Request& request, const HeadDecision& decision, std::string_view bytes,
                    size_t& used);
  bool begin_body(const Request& request, const HeadDecision& decision, bool bytes_follow);
  bool consume_body(std::string_view bytes, size_t& used);
  void await_body();
  void give_body(Request& request);
  void break_stream();
  Parser::Step parse_body(std::string_view bytes, size_t& used);
  bool on_body_part(std::string_view part);
  bool on_trailers(std::string_view lines);
  bool park_head(const RequestHead& head, std::string_view bytes);
  RequestHead* parked_head();
  void refuse_body(const RequestHead& head);
  void hand_over(Request& request);
  void refuse(const Refusal& refusal, const RequestHead* head);
  void refuse_and_close(const Refusal& refusal, const RequestHead* head);

  bool send_response(const ResponseHead& head, std::string_view body);
  bool send_head(const ResponseHead& head, BodyLength length, uint64_t bytes,
                 std::string_view body);
  bool send_parts(std::initializer_list<std::string_view> parts);
  void flush();
  void response_done();
  void finish_close();
  void close();
  void reset_and_close();

  void set_deadline(milliseconds from_now);
  void set_no_deadline() { deadline_ = MonotonicTime::max(); }
  void update_events();
  size_t input_left() const { return input_.size() - input_begin_; }

  ServerCore& core_;
  ConnectionId id_;
  UniqueFd fd_;
  Poll poll_;
  Timer timer_;  // armed at or before deadline_, and armed again when it fires too early: a warm
                 // request does not touch the wheel
  MonotonicTime armed_at_{};
  MonotonicTime deadline_ = MonotonicTime::max();

  Parser parser_;
  Buffer input_;            // what was read and not parsed; empty while whole requests come in
  size_t input_begin_ = 0;  // what lies before was parsed
  Buffer parked_;  // the head of a request whose body is still coming: RequestHead, its headers,
                   // its bytes
  Body body_;
  uint64_t streamed_left_ = 0;  // of a streamed body: what may still come
  Buffer trailers_;
  Outbox outbox_;

  Peer peer_;
  uint32_t scopes_ = 0;
  uint32_t linger_left_ = 0;  // how many bytes are still dropped
  Stage stage_ = Stage::idle;
  bool functions_only_;
  const uint32_t listener_;
  bool head_timed_ = false;  // the deadline of this head is set
  bool is_head_request_ = false;
  bool http_1_0_ = false;
  bool keep_alive_ = false;    // what the client wants
  bool close_after_ = false;   // after this response
  bool linger_ = false;        // there may be bytes of the client that nobody will read
  bool chunked_ = false;       // the streamed response
  bool no_body_ = false;       // the streamed response has none, whatever is written
  bool consuming_ = false;     // consume() is running and goes on with the next request by itself
  bool streams_in_ = false;    // the body goes to the handler as it comes
  bool held_ = false;          // ... which takes no more now
  bool end_of_input_ = false;  // the client has finished sending while its response was flushed
};

}  // namespace hearth::http
