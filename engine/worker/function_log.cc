#include "worker/function_log.h"

#include <algorithm>

namespace hearth::worker {

bool RateLimit::pass(uint64_t bytes, MonotonicTime now, uint64_t& dropped) {
  dropped = 0;
  if (last_ == MonotonicTime{}) last_ = now;
  const auto elapsed_us = static_cast<uint64_t>(std::max<int64_t>(to_us(now - last_), 0));
  if (elapsed_us >= 60'000'000) {
    tokens_ = burst_;
    last_ = now;
  } else {
    // The clock moves on by the time of whole bytes only, so that a low rate gains in small steps
    // too.
    const uint64_t gained = rate_ * elapsed_us / 1'000'000;
    tokens_ = std::min(burst_, tokens_ + gained);
    if (rate_ != 0) last_ += microseconds(gained * 1'000'000 / rate_);
  }
  if (bytes > tokens_) {
    ++dropped_;
    ++dropped_total_;
    return false;
  }
  tokens_ -= bytes;
  dropped = take_dropped();
  return true;
}

void LogTail::add(InvocationId call, std::string_view text) {
  if (!(call == call_)) {
    call_ = call;
    text_.clear();
  }
  if (text_.capacity() < 2 * kSize) text_.reserve(2 * kSize);
  if (text.size() >= kSize) {
    text_.assign(text.substr(text.size() - kSize));
    return;
  }
  // Cut in halves of the reserve: each byte moves once at most.
  if (text_.size() + text.size() + 1 > 2 * kSize)
    text_.erase(0, text_.size() - (kSize - text.size()));
  text_.append(text);
}

std::string_view LogTail::view(InvocationId call) const {
  if (call && !(call == call_)) return {};
  const std::string_view all = text_;
  return all.size() > kSize ? all.substr(all.size() - kSize) : all;
}

}  // namespace hearth::worker
