#include "worker/compile_cache.h"

#include <algorithm>
#include <utility>

#include "worker/frame.h"

namespace hearth::worker {

void CompileCaches::begin(CacheShare& share, const FunctionSpecPtr& spec) {
  if (spec->runtime != Runtime::nodejs || limits_.compile_cache_per_function == 0) return;
  if (entries_.size() >= sweep_at_) {
    sweep();
    sweep_at_ = std::max<size_t>(64, entries_.size() * 2);
  }
  const auto [found, is_new] = entries_.try_emplace(spec.get());
  Entry& entry = found->second;
  if (is_new) {
    entry.spec = spec;
    share.role_ = CacheShare::Role::making;
  } else if (entry.cache != nullptr) {
    share.role_ = CacheShare::Role::given;
    share.given = entry.cache;
    used_.splice(used_.end(), used_, entry.place);
  }
}

std::string_view CompileCaches::add(CacheShare& share, const FunctionSpecPtr& spec,
                                    std::string_view part, bool more) {
  using Role = CacheShare::Role;
  if (share.role_ == Role::ready) return "CACHE came after READY";
  if (share.role_ == Role::made) return "CACHE came twice";
  if (share.role_ != Role::making && share.role_ != Role::dropped)
    return "CACHE of a worker that was not asked for one";
  share.sent_ += part.size();
  if (share.sent_ > limits_.compile_cache_per_function)
    return "CACHE is larger than limits.compile_cache_per_function";
  share.open_ = more;
  if (share.role_ == Role::making && !make_room(part.size())) {
    drop_parts(share);  // the room is taken by what is still coming from other workers
    share.role_ = Role::dropped;
    entries_.erase(spec.get());  // a later worker may be asked
  }
  if (share.role_ == Role::making) {
    share.parts_.emplace_back(part);
    share.kept_ += part.size();
    stats_.bytes += part.size();
    if (!more) keep(share, spec);
  }
  if (!more) share.role_ = Role::made;
  return {};
}

// Nobody else erases the entry of a worker that makes one: it has no cache yet, and the worker
// holds its revision.
void CompileCaches::keep(CacheShare& share, const FunctionSpecPtr& spec) {
  sweep();
  const auto found = entries_.find(spec.get());
  HEARTH_ASSERT(found != entries_.end() && found->second.cache == nullptr);
  auto cache = std::make_shared<CompileCache>();
  cache->parts = std::move(share.parts_);
  Entry& entry = found->second;
  entry.cache = std::move(cache);
  entry.bytes = std::exchange(share.kept_, 0);
  entry.place = used_.insert(used_.end(), spec.get());
  ++stats_.made;
  ++stats_.revisions;
}

std::string_view CompileCaches::ready(CacheShare& share, const FunctionSpecPtr& spec,
                                      uint16_t aux) {
  const CacheShare::Role role = std::exchange(share.role_, CacheShare::Role::ready);
  const CompileCachePtr given = std::move(share.given);
  if (share.open_) return "READY came within CACHE";
  if ((aux & ~(kCacheUsed | kCacheRejected)) != 0) return "READY has not the right form";
  if (aux != 0 && role != CacheShare::Role::given)
    return "READY tells of a CACHE that was not sent";
  if ((aux & kCacheUsed) != 0) ++stats_.hits;
  if ((aux & kCacheRejected) == 0) return {};
  ++stats_.rejects;
  // Another Node.js, say, that was installed meanwhile: a later worker makes a new one.
  const auto found = entries_.find(spec.get());
  if (found == entries_.end() || found->second.cache != given) return {};
  drop_cache(found->second);
  entries_.erase(found);
  return {};
}

void CompileCaches::failed(CacheShare& share, const FunctionSpecPtr& spec) {
  if (share.role_ != CacheShare::Role::making || share.sent_ != 0) return;
  share.role_ = CacheShare::Role::none;
  entries_.erase(spec.get());  // it has not even begun: a later worker may be asked
}

void CompileCaches::gone(CacheShare& share) {
  share.given.reset();
  drop_parts(share);
}

void CompileCaches::sweep() {
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (!at->second.spec.expired()) {
      ++at;
      continue;
    }
    if (at->second.cache != nullptr) drop_cache(at->second);
    at = entries_.erase(at);
  }
}

void CompileCaches::drop_cache(Entry& entry) {
  used_.erase(entry.place);
  stats_.bytes -= std::exchange(entry.bytes, 0);
  --stats_.revisions;
  entry.cache.reset();
}

void CompileCaches::drop_parts(CacheShare& share) {
  stats_.bytes -= std::exchange(share.kept_, 0);
  share.parts_.clear();
  share.parts_.shrink_to_fit();
}

// Revisions that are used least lose theirs first; they may make one again.
bool CompileCaches::make_room(uint64_t bytes) {
  while (stats_.bytes + bytes > limits_.compile_cache_total) {
    if (used_.empty()) return false;
    const auto found = entries_.find(used_.front());
    drop_cache(found->second);
    entries_.erase(found);
    ++stats_.evictions;
  }
  return true;
}

}  // namespace hearth::worker
