// Writes text into a pooled buffer that grows as needed. A failure (the pool's limit) is remembered
// and asked for once, at the end.
#pragma once
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/buffer_pool.h"
#include "base/json_text.h"

namespace hearth::api {

class ByteWriter {
 public:
  // `expected`: the first buffer's size; what turns out longer is moved to a larger one.
  ByteWriter(BufferPool& pool, size_t expected)
      : pool_(pool), buffer_(pool.take(expected)), failed_(!buffer_) {}

  // Makes sure of `room` bytes. False: the pool is exhausted, here or before.
  bool reserve(size_t room) {
    if (failed_) return false;
    if (buffer_.room() >= room) return true;
    failed_ = !pool_.grow(buffer_, room);
    return !failed_;
  }
  // Where the next byte goes. After a reserve() the caller may write there and commit() what it
  // wrote.
  char* end() { return buffer_.data() + buffer_.size(); }
  void commit(const char* new_end) {
    buffer_.set_size(static_cast<size_t>(new_end - buffer_.data()));
  }

  void raw(std::string_view bytes) {
    if (reserve(bytes.size())) buffer_.append(bytes);
  }
  // `text` escaped for the inside of a JSON string. Reserves six times its size: for texts that a
  // head may hold, not for bodies.
  void escaped(std::string_view text) {
    if (reserve(json_escaped_max(text.size()))) commit(write_json_escaped(end(), text));
  }
  void quoted(std::string_view text) {
    raw("\"");
    escaped(text);
    raw("\"");
  }
  void number(int64_t value) {
    if (reserve(20)) commit(std::to_chars(end(), end() + 20, value).ptr);
  }

  bool failed() const { return failed_; }
  std::string_view view() const { return buffer_.view(); }
  size_t size() const { return buffer_.size(); }
  void drop_last() { buffer_.set_size(buffer_.size() - 1); }
  // The buffer with what was written; the writer is empty afterwards.
  Buffer take() { return std::move(buffer_); }

 private:
  BufferPool& pool_;
  Buffer buffer_;
  bool failed_;
};

}  // namespace hearth::api
