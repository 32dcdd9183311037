// A call that a function of the host has to answer, and such a function.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "capi/hub.h"
#include "core/host_handler.h"
#include "hearth/hearth.h"

// The host's from the handler's begin until it answers; then the engine's, which takes it back.
struct hearth_incoming final : hearth::capi::InboxItem {
  // The answer, on its way from another thread.
  void run() override;
  void drop() override { give_back(); }
  void answer(std::string_view bytes, bool error);
  void give_back();

  hearth_incoming* pool_next = nullptr;
  hearth::capi::Hub* hub = nullptr;
  hearth::HostCallId id;
  hearth::Deadline deadline{};
  char request_id[hearth::RequestId::kTextSize + 1] = {};
  std::string event;
  std::string reply;
  bool is_error = false;
  std::atomic<bool> parts_lost{false};  // of the reply: it can't be whole any more
};

namespace hearth::capi {

class HostFunction final : public HostHandler {
 public:
  HostFunction(Hub& hub, const hearth_host_function_t& function) : hub_(hub), function_(function) {
    hub_.ref();
  }
  ~HostFunction() override;
  // The engine has it: from now on its end is told.
  void defined() { defined_ = true; }

  void on_call(HostCallId call, std::string_view event, const RequestId& request_id,
               Deadline deadline) override;
  void on_given_up(HostCallId) override {}  // an answer finds nobody, and is dropped there

 private:
  Hub& hub_;
  const hearth_host_function_t function_;  // but for `name`, which was the definer's
  bool defined_ = false;
};

}  // namespace hearth::capi
