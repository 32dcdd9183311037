// What the connections of one server share. Internal to this folder.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/slab.h"
#include "http/connection.h"
#include "http/listener.h"
#include "http/response.h"
#include "http/server.h"

namespace hearth::http {

// Slots above limits.connections_max: for telling a client that there is no room. They live for
// kLingerTime at most.
constexpr uint32_t kRefusedMax = 64;
// One recv() at most; a request that lies in it whole is parsed where it is.
constexpr size_t kReadBuffer = 64 * 1024;
// A response whose head and body fit is put together here and sent in one piece.
constexpr size_t kWriteBuffer = 16 * 1024;

class ServerCore {
 public:
  ServerCore(Loop& loop, BufferPool& buffers, const Limits& limits, Handler& handler, Log log,
             std::string spool_dir);
  ~ServerCore();

  // Takes a connection that was accepted.
  void accepted(UniqueFd fd, const Peer& peer, Listener& listener);
  // Lets the connection go on with the bytes that it holds, in the next turn of the loop.
  void resume_later(ConnectionId id);
  // The connection has closed; its slot is freed.
  void remove(ConnectionId id);
  Status adopt(UniqueFd fd, uint32_t id, uint32_t connections_max);
  void drop(uint32_t id);
  void drain(Callback<void()> drained);
  void close_all();

  Loop& loop;
  BufferPool& buffers;
  const Limits& limits;
  Handler& handler;
  const Log log;
  const std::string spool_dir;
  ServerStats stats;
  DateCache date;
  bool draining = false;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::unordered_map<uint32_t, std::unique_ptr<Listener>> adopted;  // by their ids

  // Scratch space: used within one callback only.
  const std::unique_ptr<char[]> read_buffer{new char[kReadBuffer]};
  const std::unique_ptr<char[]> write_buffer{new char[kWriteBuffer]};
  std::vector<HeaderView> header_table;  // limits.headers_max
  RefusalAnswer refusal_answer;

  Slab<Connection, ConnectionId> connections;  // = limits.connections_max + kRefusedMax

 private:
  void wake();  // on_idle() runs in the next turn, outside all other callbacks
  void on_idle();

  Callback<void()> drained_;
  std::vector<ConnectionId> resumes_;   // at most one a slot; reserved once
  std::vector<ConnectionId> resuming_;  // those of this turn
  UvHandle<uv_idle_t> idle_;  // active while there is something to do in the next turn: keeps the
                              // loop from sleeping
};

}  // namespace hearth::http
