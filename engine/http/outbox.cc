#include "http/outbox.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "base/socket_io.h"

namespace hearth::http {
namespace {

ssize_t send_parts(int fd, std::initializer_list<std::string_view> parts) {
  if (parts.size() == 1) return send_now(fd, parts.begin()->data(), parts.begin()->size());
  iovec vectors[Outbox::kPartsMax];
  size_t count = 0;
  for (const std::string_view part : parts) {
    if (!part.empty()) vectors[count++] = {const_cast<char*>(part.data()), part.size()};
  }
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = count;
  ssize_t n = 0;
  do {
    n = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n;
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS; }

}  // namespace

Outbox::Result Outbox::send(int fd, BufferPool& buffers,
                            std::initializer_list<std::string_view> parts, uint64_t& sent_bytes) {
  size_t total = 0;
  for (const std::string_view part : parts) total += part.size();
  size_t sent = 0;
  if (waiting() == 0) {
    const ssize_t n = send_parts(fd, parts);
    if (n < 0 && !would_block()) return Result::failed;
    if (n > 0) sent = static_cast<size_t>(n);
    sent_bytes += sent;
    if (sent == total) return Result::sent;
  }
  return keep(buffers, parts, sent) ? Result::waiting : Result::failed;
}

bool Outbox::keep(BufferPool& buffers, std::initializer_list<std::string_view> parts, size_t skip) {
  size_t rest = 0;
  for (const std::string_view part : parts) rest += part.size();
  rest -= skip;
  if (begin_ > 0 && buffer_.room() < rest) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, waiting());
    buffer_.set_size(waiting());
    begin_ = 0;
  }
  if (!buffers.grow(buffer_, rest)) return false;
  for (std::string_view part : parts) {
    const size_t left_out = skip < part.size() ? skip : part.size();
    part.remove_prefix(left_out);
    skip -= left_out;
    buffer_.append(part);
  }
  return true;
}

Outbox::Result Outbox::flush(int fd, uint64_t& sent_bytes) {
  if (waiting() == 0) return Result::sent;
  const ssize_t n = send_now(fd, buffer_.data() + begin_, waiting());
  if (n < 0) return would_block() ? Result::waiting : Result::failed;
  begin_ += static_cast<size_t>(n);
  sent_bytes += static_cast<uint64_t>(n);
  if (waiting() > 0) return Result::waiting;
  reset();
  return Result::sent;
}

void Outbox::reset() {
  buffer_.release();
  begin_ = 0;
}

}  // namespace hearth::http
