// Pooled byte buffers in a few size classes. A warm call takes and returns buffers without touching
// the heap. Loop thread only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace hearth {

class BufferPool;

// Owns one buffer of a pool and gives it back when destroyed. Move-only. `size` is what is used of
// `capacity`.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this == &other) return *this;
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }
  ~Buffer() { release(); }

  explicit operator bool() const { return data_ != nullptr; }
  char* data() { return data_; }
  const char* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  size_t room() const { return capacity_ - size_; }
  std::string_view view() const { return {data_, size_}; }
  void set_size(size_t size) {
    HEARTH_ASSERT(size <= capacity_);
    size_ = size;
  }
  void clear() { size_ = 0; }
  // The caller has made sure of the room.
  void append(std::string_view bytes) {
    HEARTH_ASSERT(bytes.size() <= room());
    if (!bytes.empty()) std::memcpy(data_ + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  // Gives the buffer back now.
  void release();

 private:
  friend class BufferPool;
  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

class BufferPool {
 public:
  // `bytes_max`: the most that may be taken at once. Free buffers are kept up to `keep_max` bytes.
  explicit BufferPool(uint64_t bytes_max, uint64_t keep_max = 16u << 20);
  ~BufferPool();  // every buffer has come back
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // A buffer of at least `capacity` bytes, size 0; an empty Buffer when bytes_max would be passed.
  Buffer take(size_t capacity);
  // Makes sure that `buffer` has `room` more bytes, moving it to a larger one if need be. false:
  // bytes_max is reached; buffer unchanged.
  bool grow(Buffer& buffer, size_t room);

  uint64_t bytes_taken() const { return taken_; }

 private:
  friend class Buffer;
  void give_back(char* data, size_t capacity);

  static constexpr size_t kClasses[] = {2048, 16384, 65536 + 256, 262144, 1u << 20, 8u << 20};
  static constexpr size_t kClassCount = sizeof kClasses / sizeof kClasses[0];
  std::vector<char*> free_[kClassCount];
  uint64_t bytes_max_;
  uint64_t keep_max_;
  uint64_t taken_ = 0;
  uint64_t kept_ = 0;
};

}  // namespace hearth
