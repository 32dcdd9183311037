// Turns what the HTTP front tells into one line a call. Loop thread only.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "api/request_observer.h"
#include "dev/console.h"

namespace hearth::dev {

class Requests final : public api::RequestObserver {
 public:
  // Both must outlive this.
  Requests(Console& console, const Clock& clock) : console_(console), clock_(clock) {}

  // Served at every path; empty: none.
  void set_root(std::string name) { root_ = std::move(name); }

  void on_call(ConnectionId connection, const http::RequestHead& head, std::string_view function,
               const RequestId& id) override;
  void on_outcome(ConnectionId connection, const Outcome& outcome) override;
  void on_response(ConnectionId connection, uint16_t status) override;
  void on_gone(ConnectionId connection) override;
  std::string_view root_function() const override { return root_; }

 private:
  struct Pending {
    MonotonicTime start;
    CallLine line;
  };
  void finish(ConnectionId connection, int status);

  Console& console_;
  const Clock& clock_;
  std::string root_;
  std::map<uint32_t, Pending> pending_;  // by the connection's slot: one call each at a time
};

}  // namespace hearth::dev
