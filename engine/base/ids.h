// {slot, generation} ids: what is carried across every asynchronous gap instead of a pointer. A
// slot that was freed gets a new generation, so that a late answer finds nothing instead of
// somebody else's call.
#pragma once
#include <cstdint>
#include <functional>

namespace hearth {

template <class Tag>
struct Id {
  uint32_t slot = 0;
  uint32_t generation = 0;  // 0 = no id

  explicit operator bool() const { return generation != 0; }
  friend bool operator==(const Id&, const Id&) = default;
};

using InvocationId = Id<struct InvocationTag>;
using WorkerId = Id<struct WorkerTag>;
using FunctionId = Id<struct FunctionTag>;
using ConnectionId = Id<struct ConnectionTag>;

}  // namespace hearth

template <class Tag>
struct std::hash<hearth::Id<Tag>> {
  size_t operator()(const hearth::Id<Tag>& id) const {
    return (static_cast<size_t>(id.generation) << 32) ^ id.slot;
  }
};
