// What V8 has compiled of a revision's sources, kept once a revision for the revision's later
// workers (engine/design/0010-cold-starts.md). The bytes are what a worker sent: nobody looks into
// them, and only workers of the same revision get them. Loop thread only.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "core/function_spec.h"

namespace hearth::worker {

struct CompileCache {
  std::vector<std::string> parts;  // payloads of CACHE frames; each but the last has kPartMax bytes
};
using CompileCachePtr = std::shared_ptr<const CompileCache>;

struct CompileCacheStats {
  uint64_t bytes = 0;      // held, also of those that are still coming
  uint64_t revisions = 0;  // that have one
  // these only grow
  uint64_t made = 0;
  uint64_t hits = 0;       // workers that compiled with it
  uint64_t rejects = 0;    // workers that refused it, or a part of it
  uint64_t evictions = 0;  // dropped for limits.compile_cache_total
};

// READY's aux: what became of the cache that the worker was given.
inline constexpr uint16_t kCacheUsed = 1;
inline constexpr uint16_t kCacheRejected = 2;

// One worker's part in it, from INIT to READY.
class CacheShare {
 public:
  CompileCachePtr given;                                // what it gets ahead of INIT
  bool asked() const { return role_ == Role::making; }  // it is to make one

 private:
  friend class CompileCaches;
  // dropped: what it makes is not kept, since there is no room.
  enum class Role : uint8_t { none, given, making, dropped, made, ready };
  Role role_ = Role::none;
  bool open_ = false;               // a part came that goes on
  std::vector<std::string> parts_;  // of the one that it makes
  uint64_t kept_ = 0;               // bytes in there
  uint64_t sent_ = 0;
};

class CompileCaches {
 public:
  explicit CompileCaches(const Limits& limits) : limits_(limits) {}

  // For a worker that is about to load `spec`: the revision's cache, or the wish for one, which
  // only one worker of a revision is asked to fulfil, once. Anything else than a Node.js function
  // gets neither.
  void begin(CacheShare& share, const FunctionSpecPtr& spec);
  // The next part of what the worker makes. Returns what is wrong with that, static storage, or
  // nothing: then the worker may go on.
  std::string_view add(CacheShare& share, const FunctionSpecPtr& spec, std::string_view part,
                       bool more);
  // READY with this aux. Returns as add().
  std::string_view ready(CacheShare& share, const FunctionSpecPtr& spec, uint16_t aux);
  // INIT_ERROR.
  void failed(CacheShare& share, const FunctionSpecPtr& spec);
  // The worker is gone. One that ended while it made a cache has perhaps ended of that: its
  // revision is left without.
  void gone(CacheShare& share);

  const CompileCacheStats& stats() const { return stats_; }

 private:
  struct Entry {
    // Holds the place in memory, too: no other revision gets this key meanwhile.
    std::weak_ptr<const FunctionSpec> spec;
    CompileCachePtr cache;  // null: being made, or not worth it
    uint64_t bytes = 0;
    std::list<const FunctionSpec*>::iterator place;  // in used_, while there is a cache
  };
  using Entries = std::unordered_map<const FunctionSpec*, Entry>;

  void keep(CacheShare& share, const FunctionSpecPtr& spec);
  // Forgets the revisions that nobody refers to any more.
  void sweep();
  void drop_cache(Entry& entry);
  void drop_parts(CacheShare& share);
  bool make_room(uint64_t bytes);

  const Limits& limits_;
  Entries entries_;
  std::list<const FunctionSpec*> used_;  // those with a cache, least recently used first
  size_t sweep_at_ = 64;                 // entries; doubles with what is left after a sweep
  CompileCacheStats stats_;
};

}  // namespace hearth::worker
