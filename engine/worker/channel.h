// One worker's socket: frames out in batches, frames in by whole reads, the calls that are on it.
// What the frames mean is for the owner. Loop thread only. A warm call allocates nothing here.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "base/buffer_pool.h"
#include "base/unique_fd.h"
#include "core/ports.h"
#include "loop/loop.h"
#include "loop/poll.h"
#include "worker/compile_cache.h"
#include "worker/frame.h"
#include "worker/reply_parts.h"

namespace hearth::worker {

// A call that the worker has: for log lines, large replies, and the question whether it can have
// started.
struct OpenCall {
  InvocationId id;
  RequestId request_id;
  uint64_t start_offset =
      0;  // of its CALL frame in the stream to the worker; UINT64_MAX = not yet in it
  bool sent_whole = false;  // its event is in the stream to the last byte
  bool replying = false;    // REPLY with MORE has come
  bool stream = false;
  bool reply_is_error = false;
  uint32_t exec_us = 0;
  uint32_t uncredited = 0;  // reply bytes since the last CREDIT
  ReplyParts reply;         // while it is held: no CREDIT
};

class Channel {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Returns false when the channel is to be read no further (the worker was given up).
    virtual bool on_frame(Channel& channel, const Frame& frame) = 0;
    virtual void on_broken(Channel& channel, std::string_view what) = 0;  // bytes that are no frame
    virtual void on_closed(Channel& channel) = 0;  // end of file, or a socket error
    virtual void on_batch_end() = 0;  // everything that one read held has been handed over
    virtual void on_dirty(
        Channel& channel) = 0;  // has frames to write; flush() is to be called this turn
  };

  // `read_buffer` is shared by all channels of a loop; views into it die with on_batch_end.
  Channel(Loop& loop, BufferPool& buffers, Owner& owner, std::string& read_buffer, uint32_t index);
  Status open(UniqueFd fd);
  void close();
  bool is_open() const { return fd_.valid(); }
  uint32_t index() const { return index_; }

  void send_call(const CallFrame& call);
  void send_control(FrameType type, InvocationId id, uint16_t aux, std::string_view payload = {});
  // CACHE frames ahead of INIT, part by part as the worker reads. Control frames may go between.
  void send_cache(CompileCachePtr cache);
  // Behind what is left of the cache.
  void send_init(std::string_view json);
  // A FORK frame, with descriptors that stay the caller's, at once and behind everything that
  // waits. False: the worker doesn't read its socket, or is gone.
  bool send_fork(InvocationId id, std::span<const int> fds);
  // Writes what waits with one system call; the rest follows when the socket has room.
  void flush();
  // Reads what is there now until the socket is empty, `most` bytes at most. For the last words of
  // a worker that has exited.
  void drain(size_t most);

  OpenCall* find(InvocationId id);
  void forget(InvocationId id);
  // The call that runs longest; nullptr when the worker has none.
  const OpenCall* head() const { return open_calls() == 0 ? nullptr : &calls_[first_]; }
  bool any_byte_sent(InvocationId id) const;

 private:
  void on_poll(int events);
  // One read. Returns bytes read, 0 at the end, -1 when the socket is empty.
  ssize_t read_once();
  bool parse(std::string_view bytes);
  void pump();
  bool pump_cache();
  bool idle_out() const { return waiting_.empty() && cache_ == nullptr; }
  size_t open_calls() const { return calls_.size() - first_; }
  bool emit(OpenCall& call, const CallFrame& frame);
  char* reserve(size_t bytes);
  void mark_dirty();
  void watch();

  Loop& loop_;
  BufferPool& buffers_;
  Owner& owner_;
  std::string& read_buffer_;
  const uint32_t index_;
  UniqueFd fd_;
  Poll poll_;
  Buffer carry_;  // the begin of a frame whose end has not come
  Buffer out_;    // frames that wait to be written, from out_start_
  size_t out_start_ = 0;
  uint64_t written_ = 0;  // bytes of the stream so far
  bool dirty_ = false;
  bool blocked_ = false;         // the socket is full: waits for writability
  std::vector<OpenCall> calls_;  // in the order of sending; those before first_ have ended
  size_t first_ = 0;
  std::vector<CallFrame>
      waiting_;  // calls behind a large event; front is being written from waiting_offset_
  size_t waiting_offset_ = 0;
  CompileCachePtr cache_;  // parts from cache_part_ on are not in the stream yet
  size_t cache_part_ = 0;
  std::string init_;  // INIT, when it waits for that
};

}  // namespace hearth::worker
