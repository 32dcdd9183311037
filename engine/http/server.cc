#include "http/server.h"

#include "base/assert.h"
#include "http/server_core.h"

namespace hearth::http {

ServerCore::ServerCore(Loop& loop_in, BufferPool& buffers_in, const Limits& limits_in,
                       Handler& handler_in, Log log_in, std::string spool_dir_in)
    : loop(loop_in),
      buffers(buffers_in),
      limits(limits_in),
      handler(handler_in),
      log(log_in),
      spool_dir(std::move(spool_dir_in)),
      header_table(limits_in.headers_max),
      connections(limits_in.connections_max + kRefusedMax) {
  resumes_.reserve(connections.capacity());
  resuming_.reserve(connections.capacity());
  uv_idle_init(loop.uv(), idle_.get());
  idle_.opened(this);
}

ServerCore::~ServerCore() {
  listeners.clear();
  adopted.clear();
}

void ServerCore::accepted(UniqueFd fd, const Peer& peer, Listener& listener) {
  ++stats.accepted;
  const bool room = connections.size() < limits.connections_max && !listener.full();
  if (!room) ++stats.refused_connections;
  if (!room && listener.id() != 0) return;  // a worker's: it has enough
  const ConnectionId id =
      connections.add(*this, std::move(fd), peer, listener.functions_only(), listener.id());
  if (!id) return;
  ++stats.connections;
  listener.opened();
  Connection& connection = *connections.find(id);
  if (connection.open(id) && !room) connection.refuse_for_room();
}

void ServerCore::remove(ConnectionId id) {
  const auto listener = adopted.find(connections.find(id)->listener());
  if (listener != adopted.end()) listener->second->closed();
  connections.remove(id);
  --stats.connections;
  if (draining && connections.size() == 0 && drained_) wake();
}

void ServerCore::resume_later(ConnectionId id) {
  resumes_.push_back(id);
  wake();
}

void ServerCore::wake() {
  uv_idle_start(idle_.get(), [](uv_idle_t* h) {
    if (auto* core = static_cast<ServerCore*>(h->data)) core->on_idle();
  });
}

void ServerCore::on_idle() {
  uv_idle_stop(idle_.get());
  resuming_.swap(resumes_);
  for (const ConnectionId id : resuming_) {
    if (Connection* connection = connections.find(id)) connection->resume();
  }
  resuming_.clear();
  if (draining && connections.size() == 0 && drained_) std::exchange(drained_, {})();
}

void ServerCore::drain(Callback<void()> drained) {
  if (draining) return;
  draining = true;
  drained_ = drained;
  listeners.clear();
  connections.each([](ConnectionId, Connection& connection) {
    if (connection.is_idle()) connection.close_as_gone();
  });
  wake();
}

Status ServerCore::adopt(UniqueFd fd, uint32_t id, uint32_t connections_max) {
  HEARTH_ASSERT(id != 0 && adopted.count(id) == 0);
  auto listener = std::make_unique<Listener>(*this, false, id, connections_max);
  HEARTH_TRY(listener->adopt(std::move(fd)));
  adopted.emplace(id, std::move(listener));
  return ok();
}

void ServerCore::drop(uint32_t id) {
  if (adopted.erase(id) == 0) return;
  connections.each([id](ConnectionId, Connection& connection) {
    if (connection.listener() == id) connection.abort();
  });
}

void ServerCore::close_all() {
  connections.each([](ConnectionId, Connection& connection) { connection.close_as_gone(); });
}

struct Server::Impl : ServerCore {
  using ServerCore::ServerCore;
};

Server::Server(Loop& loop, BufferPool& buffers, const Limits& limits, Handler& handler, Log log,
               std::string spool_dir)
    : impl_(std::make_unique<Impl>(loop, buffers, limits, handler, log, std::move(spool_dir))) {}

Server::~Server() = default;

Result<std::string> Server::listen(std::string_view address, bool functions_only) {
  if (impl_->draining) return Error{Code::shutting_down, {}};
  auto listener = std::make_unique<Listener>(*impl_, functions_only);
  auto where = listener->open(address);
  if (where) impl_->listeners.push_back(std::move(listener));
  return where;
}

Status Server::adopt(UniqueFd listener, uint32_t id, uint32_t connections_max) {
  return impl_->adopt(std::move(listener), id, connections_max);
}

void Server::drop(uint32_t id) { impl_->drop(id); }

bool Server::respond(ConnectionId connection, const ResponseHead& head, std::string_view body) {
  Connection* c = impl_->connections.find(connection);
  return c != nullptr && c->respond(head, body);
}

bool Server::start(ConnectionId connection, const ResponseHead& head) {
  Connection* c = impl_->connections.find(connection);
  return c != nullptr && c->start(head);
}

int64_t Server::write(ConnectionId connection, std::string_view part) {
  Connection* c = impl_->connections.find(connection);
  return c != nullptr ? c->write(part) : -1;
}

bool Server::finish(ConnectionId connection) {
  Connection* c = impl_->connections.find(connection);
  return c != nullptr && c->finish();
}

void Server::read_on(ConnectionId connection) {
  if (Connection* c = impl_->connections.find(connection)) c->read_on();
}

void Server::abort(ConnectionId connection) {
  if (Connection* c = impl_->connections.find(connection)) c->abort();
}

void Server::drain(Callback<void()> drained) { impl_->drain(drained); }
void Server::close_all() { impl_->close_all(); }
const ServerStats& Server::stats() const { return impl_->stats; }

}  // namespace hearth::http
