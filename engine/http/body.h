// Collects the body of one request: in place when it came in one piece, else in a pooled buffer or
// in a file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/buffer_pool.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "http/message.h"

namespace hearth::http {

class Body {
 public:
  // Holds nothing afterwards.
  void reset();

  // The next body goes to memory: at most `max` bytes.
  void to_memory(BufferPool& buffers, uint64_t max);
  // The next body goes to an unlinked file in `folder`. Errors: disk_full, io_failed.
  Status to_file(const std::string& folder, uint64_t max);

  // Takes the next part. `part` must stay where it is until settle(), which the caller calls before
  // it changes those bytes. False: refusal() says why (body_too_large, buffers_full, disk_full,
  // io_failed).
  bool add(std::string_view part);
  // Copies what still lies in the caller's bytes. False as above.
  bool settle();

  // Puts the complete body into `request`: views and pointers into this.
  void give_to(Request& request);

  // Makes `detail`, static storage, its refusal; returns false.
  bool refuse(Code code, std::string_view detail);
  uint64_t size() const { return size_; }
  const Refusal& refusal() const { return refusal_; }

 private:
  bool append(std::string_view part);
  bool write_to_file(std::string_view part);

  BufferPool* buffers_ = nullptr;
  std::string_view in_place_;
  Buffer buffer_;
  UniqueFd file_;
  uint64_t size_ = 0;
  uint64_t max_ = 0;
  Refusal refusal_;
};

}  // namespace hearth::http
