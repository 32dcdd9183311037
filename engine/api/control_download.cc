#include "api/control_download.h"

#include <unistd.h>

#include <cerrno>

#include "store/files.h"

namespace hearth::api {
namespace {

Result<std::string> read_part(int file, uint64_t offset, size_t size) {
  std::string part(size, '\0');
  for (;;) {
    const ssize_t n = ::pread(file, part.data(), size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("read the archive");
    part.resize(static_cast<size_t>(n));
    return part;
  }
}

}  // namespace

void Downloads::Download::next() { owner->next(*this); }

void Downloads::begin(ConnectionId connection, UniqueFd file, const http::ResponseHead& head) {
  if (!stream_->start(connection, head)) return;
  auto download = std::make_unique<Download>();
  download->owner = this;
  download->connection = connection;
  download->file = std::make_shared<UniqueFd>(std::move(file));
  next(*(active_[connection] = std::move(download)));
}

void Downloads::next(Download& download) {
  const ConnectionId connection = download.connection;
  const int64_t waiting = stream_->write(connection, {});
  if (waiting < 0) {
    active_.erase(connection);
    return;
  }
  const auto read = [this, connection, file = download.file,
                     offset = download.offset](FunctionService&) {
    auto part = std::make_shared<Result<std::string>>(read_part(file->get(), offset, kPart));
    store_.answer([this, connection, part] { on_part(connection, *part); });
  };
  // A busy store is asked again, as a slow client is waited for.
  if (waiting > kAheadMax || !store_.post(read)) {
    loop_.timers().arm(download.timer, loop_.now() + kRetry,
                       Callback<void()>::to<&Download::next>(&download));
  }
}

void Downloads::on_part(ConnectionId connection, const Result<std::string>& part) {
  const auto it = active_.find(connection);
  if (it == active_.end()) return;
  if (!part) {
    active_.erase(it);
    stream_->abort(connection);
    return;
  }
  if (part->empty()) {
    active_.erase(it);
    stream_->finish(connection);
    return;
  }
  it->second->offset += part->size();
  if (stream_->write(connection, *part) < 0) {
    active_.erase(connection);
    return;
  }
  // The write may have told us that the client is gone.
  if (const auto still = active_.find(connection); still != active_.end()) next(*still->second);
}

}  // namespace hearth::api
