// A call that the host submits: from hearth_invoke_*() to `done`.
#pragma once
#include <atomic>
#include <string>

#include "capi/hub.h"
#include "core/ports.h"
#include "hearth/hearth.h"

// Two references at most: the engine's, until `done` has run, and the host's, when it asked for a
// handle. Everything but `references` and `cancelling` belongs to the submitting thread until the
// call is in the inbox, then to the engine's.
struct hearth_call final {
  using Hub = hearth::capi::Hub;

  // The call itself, on its way to the engine.
  struct Submit final : hearth::capi::InboxItem {
    hearth_call* call = nullptr;
    void run() override { call->submit_from_inbox(); }
    void drop() override { call->end_before_core(hearth::Code::shutting_down, {}); }
  };
  struct Cancel final : hearth::capi::InboxItem {
    hearth_call* call = nullptr;
    void run() override { call->cancel_now(); }
    void drop() override { call->release(); }
  };
  hearth_call();

  // Engine's thread: gives it to the core; views may lie in the caller's memory.
  hearth::Status submit_now(std::string_view name, std::string_view bytes);
  void submit_from_inbox();
  // Ends it with an error that the core does not know of.
  void end_before_core(hearth::Code code, std::string detail);
  void cancel_now();
  void on_done(hearth::InvocationId, const hearth::Outcome& outcome);
  hearth::Flow on_part(hearth::InvocationId, const hearth::ReplyPart& part);
  void release();
  void give_back();  // to the pool

  hearth_call* pool_next = nullptr;
  Hub* hub = nullptr;
  std::atomic<uint32_t> references{0};
  std::atomic<bool> cancelling{false};
  Submit submit;
  Cancel cancel;

  char function[hearth::kFunctionNameMax + 1] = {};
  std::string payload;  // from other threads only: else the core copies it at once
  std::string extension;
  uint32_t flags = 0;
  hearth::Deadline deadline{};
  hearth::RequestId request_id;
  hearth_part_fn part = nullptr;
  hearth_done_fn done = nullptr;
  void* ctx = nullptr;

  enum class Stage : uint8_t { on_the_way, submitted, ended };
  Stage stage = Stage::on_the_way;
  hearth::InvocationId id;
};

namespace hearth::capi {

// Fills what the C interface shows of an outcome. `message` and `request_id` hold its texts.
struct OutcomeTexts {
  char request_id[RequestId::kTextSize + 1];
  std::string message;
};
hearth_outcome_t show(const Outcome& outcome, OutcomeTexts& texts);

struct CallBack {
  hearth_part_fn part = nullptr;
  hearth_done_fn done = nullptr;
  void* ctx = nullptr;
};
// `call_out` may be null.
Status start_call(Hub& hub, const hearth_request_t* request, CallBack back, hearth_call** call_out);

}  // namespace hearth::capi
