#include "dev/requests.h"

namespace hearth::dev {
namespace {

constexpr size_t kPathShown = 200;

// Of a call that a worker had, or that was to have one.
bool has_run(const Outcome& outcome) {
  return outcome.exec_us != 0 || outcome.cold || outcome.memory_max_bytes != 0;
}

}  // namespace

void Requests::on_call(ConnectionId connection, const http::RequestHead& head,
                       std::string_view function, const RequestId& id) {
  Pending& pending = pending_[connection.slot];
  pending = {};
  pending.start = clock_.now();
  pending.line.function = function;
  pending.line.method = head.method;
  pending.line.path = head.target.substr(0, kPathShown);
  pending.line.request_id = id.text();
}

void Requests::on_outcome(ConnectionId connection, const Outcome& outcome) {
  const auto found = pending_.find(connection.slot);
  if (found == pending_.end()) return;
  CallLine& line = found->second.line;
  line.ran = has_run(outcome);
  line.cold = outcome.cold;
  line.init = microseconds(outcome.init_us);
  line.memory_bytes = outcome.memory_max_bytes;
  if (outcome.kind == Outcome::Kind::reply) return;
  line.error = name(outcome.code);
  if (!outcome.detail.empty()) line.error.append(": ").append(outcome.detail);
}

void Requests::on_response(ConnectionId connection, uint16_t status) { finish(connection, status); }
void Requests::on_gone(ConnectionId connection) { finish(connection, 0); }

void Requests::finish(ConnectionId connection, int status) {
  const auto found = pending_.find(connection.slot);
  if (found == pending_.end()) return;
  CallLine line = std::move(found->second.line);
  line.took = std::chrono::duration_cast<microseconds>(clock_.now() - found->second.start);
  line.status = status;
  pending_.erase(found);
  console_.call(line);
}

}  // namespace hearth::dev
