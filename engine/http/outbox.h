// What is to be sent on one socket: directly as far as the kernel takes it, the rest kept in one
// pooled buffer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "base/buffer_pool.h"

namespace hearth::http {

class Outbox {
 public:
  enum class Result : uint8_t {
    sent,
    waiting,
    failed
  };  // failed: the peer is gone, or there is no memory for the rest

  // At most kPartsMax parts, sent with one system call. What the socket does not take is copied.
  // `sent_bytes` grows by what was sent.
  static constexpr size_t kPartsMax = 4;
  Result send(int fd, BufferPool& buffers, std::initializer_list<std::string_view> parts,
              uint64_t& sent_bytes);
  // Sends what waits.
  Result flush(int fd, uint64_t& sent_bytes);

  size_t waiting() const { return buffer_.size() - begin_; }
  void reset();

 private:
  bool keep(BufferPool& buffers, std::initializer_list<std::string_view> parts, size_t skip);

  Buffer buffer_;
  size_t begin_ = 0;  // what lies before was sent
};

}  // namespace hearth::http
