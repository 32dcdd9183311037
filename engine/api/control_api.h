// The control plane: Lambda's REST API for functions, and /hearth/v1. Heads are looked at here;
// JSON, base64, zip and SQL are the store's threads'. Loop thread only.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "api/control_download.h"
#include "api/control_handler.h"
#include "api/control_jobs.h"
#include "api/engine_view.h"
#include "api/responder.h"
#include "base/limits.h"
#include "base/request_id.h"
#include "store/store_thread.h"

namespace hearth::api {

class ControlApi final : public ControlHandler {
 public:
  // References must outlive this, and this must outlive every message in the store's mailbox:
  // destroy the mailbox (or empty it) after StoreThread::stop() and before this.
  struct Parts {
    StoreThread& store;
    Loop& loop;
    const Limits& limits;
    const EngineView& view;
    RequestIdSource ids{};
  };
  explicit ControlApi(Parts parts);

  // Where answers go; no request may come before it.
  void attach(http::Server& server);
  void attach(Responder& responder);

  bool matches(const http::RequestHead& head) const override;
  // Uploads are spooled up to limits.code_upload_max; other bodies are buffered up to 1 MiB.
  http::HeadDecision on_head(const http::RequestHead& head) override;
  void on_request(ConnectionId connection, http::Request& request) override;
  void on_gone(ConnectionId connection) override;

 private:
  // Answers what needs the engine only. False: it needs the store.
  bool answer_from_view(ConnectionId connection, const RequestId& id, ControlOp op);
  // False: the store has too much to do already.
  bool post_upload(ConnectionId connection, const RequestId& id,
                   const std::shared_ptr<ControlCall>& call);
  // On the store's threads: answer() on the loop's.
  void answer_later(ConnectionId connection, const RequestId& id, ControlOp op,
                    Result<ControlReply> reply);
  void answer(ConnectionId connection, const RequestId& id, ControlOp op,
              Result<ControlReply>& reply);
  void respond_json(ConnectionId connection, const RequestId& id, uint16_t status,
                    std::string_view body);
  void send_archive(ConnectionId connection, const RequestId& id, UniqueFd archive);
  std::string with_live_figures(ControlOp op, ControlReply& reply) const;

  StoreThread& store_;
  const Limits& limits_;
  const EngineView& view_;
  RequestIdSource ids_;
  Downloads downloads_;
  std::optional<ServerResponder> server_;
  Responder* responder_ = nullptr;
};

}  // namespace hearth::api
