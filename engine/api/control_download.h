// Sends an archive to a client by parts: read on the store's thread, written on the loop's, never
// more than a little ahead of what the client takes.
#pragma once
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "api/responder.h"
#include "base/timer_wheel.h"
#include "base/unique_fd.h"
#include "store/store_thread.h"

namespace hearth::api {

// Loop thread only.
class Downloads {
 public:
  // References must outlive this; this must outlive every message in the store's mailbox.
  Downloads(StoreThread& store, Loop& loop) : store_(store), loop_(loop) {}

  void attach(StreamResponder& stream) { stream_ = &stream; }
  // Answers the connection's request with the file, from its begin to its end.
  void begin(ConnectionId connection, UniqueFd file, const http::ResponseHead& head);
  void on_gone(ConnectionId connection) { active_.erase(connection); }
  size_t active() const { return active_.size(); }

 private:
  static constexpr size_t kPart = 256 * 1024;
  static constexpr int64_t kAheadMax = 512 * 1024;  // bytes that may wait for the client
  static constexpr milliseconds kRetry{10};

  struct Download {
    Downloads* owner = nullptr;
    ConnectionId connection;
    std::shared_ptr<UniqueFd> file;  // shared with the job that reads it
    uint64_t offset = 0;
    Timer timer;
    void next();
  };
  void next(Download& download);
  void on_part(ConnectionId connection, const Result<std::string>& part);

  StoreThread& store_;
  Loop& loop_;
  StreamResponder* stream_ = nullptr;
  std::unordered_map<ConnectionId, std::unique_ptr<Download>> active_;
};

}  // namespace hearth::api
