#include "worker/channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/socket_io.h"

namespace hearth::worker {
namespace {

// Large events are put into the stream part by part, so that a worker never holds more than this in
// our memory.
constexpr size_t kOutHigh = 4 * kPartMax;
constexpr int kReadsPerEvent = 4;
constexpr size_t kEndedMost = 64;  // ended calls that are kept before the rest moves up

}  // namespace

Channel::Channel(Loop& loop, BufferPool& buffers, Owner& owner, std::string& read_buffer,
                 uint32_t index)
    : loop_(loop), buffers_(buffers), owner_(owner), read_buffer_(read_buffer), index_(index) {
  calls_.reserve(kEndedMost + 72);  // limits.prefetch (64) and a few calls at once
}

Status Channel::open(UniqueFd fd) {
  fd_ = std::move(fd);
  return poll_.start(loop_, fd_.get(), UV_READABLE, Poll::EventFn::to<&Channel::on_poll>(this));
}

void Channel::close() {
  poll_.stop();
  fd_.reset();
  carry_.release();
  out_.release();
  out_start_ = 0;
  waiting_.clear();
  cache_.reset();
}

OpenCall* Channel::find(InvocationId id) {
  for (size_t i = first_; i < calls_.size(); ++i) {
    if (calls_[i].id == id) return &calls_[i];
  }
  return nullptr;
}

void Channel::forget(InvocationId id) {
  OpenCall* const call = find(id);
  if (call == nullptr) return;
  const auto at = calls_.begin() + (call - calls_.data());
  if (call != &calls_[first_]) {
    calls_.erase(at);
    return;
  }
  // Replies mostly come in the order of the calls: then nothing is moved but once in a while.
  call->reply.whole.release();
  if (++first_ < calls_.size() && first_ < kEndedMost) return;
  calls_.erase(calls_.begin(), calls_.begin() + static_cast<ptrdiff_t>(first_));
  first_ = 0;
}

bool Channel::any_byte_sent(InvocationId id) const {
  for (size_t i = first_; i < calls_.size(); ++i) {
    if (calls_[i].id == id) return calls_[i].start_offset < written_;
  }
  return true;
}

// ---- out

void Channel::mark_dirty() {
  if (dirty_ || blocked_) return;
  dirty_ = true;
  owner_.on_dirty(*this);
}

// Room for `bytes` at the end of the stream; nullptr when the engine's payload memory is used up.
char* Channel::reserve(size_t bytes) {
  if (out_start_ == out_.size()) {
    out_start_ = 0;
    out_.clear();
  }
  if (!out_ || out_.room() < bytes) {
    if (out_start_ > 0) {
      std::memmove(out_.data(), out_.data() + out_start_, out_.size() - out_start_);
      out_.set_size(out_.size() - out_start_);
      out_start_ = 0;
    }
    // 16 KiB at least: a batch of small calls grows into it once and keeps it.
    if (!buffers_.grow(out_, std::max<size_t>(bytes, out_ ? 0 : 16'384))) return nullptr;
  }
  char* at = out_.data() + out_.size();
  out_.set_size(out_.size() + bytes);
  return at;
}

void Channel::send_control(FrameType type, InvocationId id, uint16_t aux,
                           std::string_view payload) {
  if (!is_open()) return;
  char* at = reserve(kHeaderSize + payload.size());
  if (at == nullptr) return;  // the worker misses a hint; deadlines still hold
  encode_header(at, {static_cast<uint32_t>(payload.size()), type, 0, aux, id});
  if (!payload.empty()) std::memcpy(at + kHeaderSize, payload.data(), payload.size());
  mark_dirty();
}

void Channel::send_cache(CompileCachePtr cache) {
  if (!is_open()) return;
  cache_ = std::move(cache);
  cache_part_ = 0;
  pump();
  mark_dirty();
}

void Channel::send_init(std::string_view json) {
  if (cache_ != nullptr)
    init_ = json;
  else
    send_control(FrameType::init, {}, 0, json);
}

// The CACHE frames for which there is room, then INIT. False: some are left. The worker does
// without a cache that the engine has no memory to send.
bool Channel::pump_cache() {
  while (cache_part_ < cache_->parts.size()) {
    if (out_.size() - out_start_ >= kOutHigh) return false;
    const std::string& part = cache_->parts[cache_part_];
    char* at = reserve(kHeaderSize + part.size());
    if (at == nullptr) break;
    const bool last = ++cache_part_ == cache_->parts.size();
    encode_header(at, {static_cast<uint32_t>(part.size()),
                       FrameType::cache_given,
                       last ? uint8_t{0} : kFlagMore,
                       0,
                       {}});
    std::memcpy(at + kHeaderSize, part.data(), part.size());
  }
  cache_.reset();
  if (!init_.empty()) send_control(FrameType::init, {}, 0, std::exchange(init_, {}));
  return true;
}

bool Channel::send_fork(InvocationId id, std::span<const int> fds) {
  flush();
  if (!is_open() || blocked_ || !idle_out()) return false;
  char header[kHeaderSize];
  encode_header(header, {0, FrameType::fork, 0, 0, id});
  iovec data{header, sizeof header};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kForkDescriptors)] = {};
  HEARTH_ASSERT(fds.size() == kForkDescriptors);
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  // On a stream socket 16 bytes go whole or not at all: less than a buffer's least size.
  if (::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) != ssize_t{kHeaderSize})
    return false;
  written_ += kHeaderSize;
  return true;
}

void Channel::send_call(const CallFrame& frame) {
  OpenCall& call = calls_.emplace_back();
  call.id = frame.id;
  call.request_id = frame.request_id;
  call.start_offset = UINT64_MAX;
  if (!is_open()) return;  // its exit is on the way
  const bool small = frame.payload.size() + frame.extension.size() <= kPartMax;
  if (idle_out() && small && out_.size() - out_start_ < kOutHigh && emit(call, frame)) {
    mark_dirty();
    return;
  }
  waiting_.push_back(frame);
  pump();
  mark_dirty();
}

// The CALL frame with the whole event, or its first part.
bool Channel::emit(OpenCall& call, const CallFrame& frame) {
  const size_t first =
      std::min(frame.payload.size(), kPartMax - std::min(kPartMax, frame.extension.size()));
  const size_t length = kCallFixedSize + frame.extension.size() + first;
  const uint64_t offset = written_ + (out_.size() - out_start_);
  char* at = reserve(kHeaderSize + length);
  if (at == nullptr) return false;
  const bool whole = first == frame.payload.size();
  const auto flags =
      static_cast<uint8_t>((whole ? 0 : kFlagMore) | (frame.http_event ? kFlagHttp : 0));
  encode_header(at, {static_cast<uint32_t>(length), FrameType::call, flags,
                     static_cast<uint16_t>(frame.extension.size()), frame.id});
  at += kHeaderSize;
  put_u64(at, static_cast<uint64_t>(to_us(frame.deadline.time_since_epoch())));
  std::memcpy(at + 8, frame.request_id.bytes.data(), 16);
  at += kCallFixedSize;
  if (!frame.extension.empty()) std::memcpy(at, frame.extension.data(), frame.extension.size());
  if (first != 0) std::memcpy(at + frame.extension.size(), frame.payload.data(), first);
  call.start_offset = offset;
  call.sent_whole = whole;
  waiting_offset_ = first;
  return true;
}

// Moves waiting calls into the stream as far as there is room.
void Channel::pump() {
  if (cache_ != nullptr && !pump_cache()) return;
  while (!waiting_.empty() && out_.size() - out_start_ < kOutHigh) {
    const CallFrame& frame = waiting_.front();
    OpenCall* call = find(frame.id);
    if (call == nullptr) {  // ended while it waited
      waiting_.erase(waiting_.begin());
      continue;
    }
    if (call->start_offset == UINT64_MAX) {
      if (!emit(*call, frame)) return;
    } else {
      const size_t part = std::min(frame.payload.size() - waiting_offset_, kPartMax);
      char* at = reserve(kHeaderSize + part);
      if (at == nullptr) return;
      call->sent_whole = waiting_offset_ + part == frame.payload.size();
      const uint8_t flags = call->sent_whole ? 0 : kFlagMore;
      encode_header(at, {static_cast<uint32_t>(part), FrameType::body, flags, 0, frame.id});
      std::memcpy(at + kHeaderSize, frame.payload.data() + waiting_offset_, part);
      waiting_offset_ += part;
    }
    if (call->sent_whole) waiting_.erase(waiting_.begin());
  }
}

void Channel::flush() {
  dirty_ = false;
  if (!is_open()) return;
  for (;;) {
    const size_t size = out_.size() - out_start_;
    if (size == 0) break;
    const ssize_t n = send_now(fd_.get(), out_.data() + out_start_, size);
    if (n < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK)
        out_start_ = out_.size();  // gone: the read side will say so
      break;
    }
    written_ += static_cast<uint64_t>(n);
    out_start_ += static_cast<size_t>(n);
    if (static_cast<size_t>(n) < size) break;
    if (idle_out()) break;
    pump();
  }
  if (!idle_out()) pump();
  const bool blocked = out_start_ < out_.size();
  // A busy worker keeps its buffer from batch to batch; a quiet one gives a large one back.
  if (!blocked &&
      (out_.capacity() > kOutHigh || (open_calls() <= 1 && out_.capacity() > kPartMax))) {
    out_.release();
    out_start_ = 0;
  }
  if (blocked != blocked_) {
    blocked_ = blocked;
    poll_.set(blocked ? UV_READABLE | UV_WRITABLE : UV_READABLE);
  }
}

// ---- in

void Channel::on_poll(int events) {
  if (events == 0) {
    owner_.on_closed(*this);
    owner_.on_batch_end();
    return;
  }
  if ((events & UV_WRITABLE) != 0) flush();
  if ((events & UV_READABLE) == 0) return;
  for (int i = 0; i < kReadsPerEvent && is_open(); ++i) {
    const ssize_t n = read_once();
    if (n == 0) owner_.on_closed(*this);
    owner_.on_batch_end();
    if (n <= 0 || static_cast<size_t>(n) < read_buffer_.size() / 2) return;
  }
}

ssize_t Channel::read_once() {
  char* into = read_buffer_.data();
  size_t room = read_buffer_.size();
  const size_t carried = carry_.size();
  if (carried !=
      0) {  // the shared buffer takes the carried bytes first, so that frames are whole again
    std::memcpy(into, carry_.data(), carried);
    into += carried;
    room -= carried;
  }
  const ssize_t n = receive_now(fd_.get(), into, room);
  if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
  if (n == 0) return 0;
  carry_.clear();
  parse({read_buffer_.data(), carried + static_cast<size_t>(n)});
  return n;
}

bool Channel::parse(std::string_view bytes) {
  for (;;) {
    Frame frame;
    std::string_view what;
    switch (take_worker_frame(bytes, frame, what)) {
      case Take::frame:
        if (!owner_.on_frame(*this, frame)) return false;
        if (!is_open()) return false;
        continue;
      case Take::invalid:
        owner_.on_broken(*this, what);
        return false;
      case Take::incomplete:
        break;
    }
    if (bytes.empty()) {
      carry_.release();
      return true;
    }
    if (!buffers_.grow(carry_, bytes.size())) {
      owner_.on_broken(*this, "the engine has no memory for its frames");
      return false;
    }
    carry_.append(bytes);
    return true;
  }
}

void Channel::drain(size_t most) {
  size_t total = 0;
  while (is_open() && total < most) {
    const ssize_t n = read_once();
    owner_.on_batch_end();
    if (n <= 0) return;
    total += static_cast<size_t>(n);
  }
}

}  // namespace hearth::worker
