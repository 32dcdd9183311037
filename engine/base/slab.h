// Fixed-size storage addressed by {slot, generation}. Sized once; add() on a full slab returns no
// id. Not thread-safe. Slots that were never used cost address space, not memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "base/assert.h"
#include "base/ids.h"

namespace hearth {

template <class T, class IdType>
class Slab {
 public:
  // Reserves `capacity` slots here and allocates none later.
  explicit Slab(uint32_t capacity)
      : capacity_(capacity), slots_(static_cast<Slot*>(std::calloc(capacity, sizeof(Slot)))) {
    HEARTH_ASSERT(slots_ != nullptr);
  }
  ~Slab() {
    for (uint32_t i = 0; i < touched_; ++i) {
      if (slots_[i].used) slots_[i].value()->~T();
    }
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // The new element's id, or an id without generation when the slab is full.
  template <class... Args>
  IdType add(Args&&... args) {
    uint32_t index;
    if (first_free_ != 0) {
      index = first_free_ - 1;
      first_free_ = slots_[index].next_free;
    } else if (touched_ < capacity_) {
      index = touched_++;
    } else {
      return {};
    }
    Slot& slot = slots_[index];
    slot.used = true;
    if (++slot.generation == 0) slot.generation = 1;
    new (slot.storage) T(std::forward<Args>(args)...);
    ++size_;
    return {index, slot.generation};
  }

  // The element, or nullptr if it is gone or never was. Any id is safe to ask for.
  T* find(IdType id) {
    if (id.slot >= touched_) return nullptr;
    Slot& slot = slots_[id.slot];
    return slot.used && slot.generation == id.generation ? slot.value() : nullptr;
  }
  const T* find(IdType id) const { return const_cast<Slab*>(this)->find(id); }

  // The element in a slot, whatever its generation; nullptr when the slot is free.
  T* at_slot(uint32_t index) {
    return index < touched_ && slots_[index].used ? slots_[index].value() : nullptr;
  }
  IdType id_at(uint32_t index) const { return {index, slots_[index].generation}; }

  void remove(IdType id) {
    T* element = find(id);
    HEARTH_ASSERT(element != nullptr);
    element->~T();
    Slot& slot = slots_[id.slot];
    slot.used = false;
    slot.next_free = first_free_;
    first_free_ = id.slot + 1;
    --size_;
  }

  // `f(id, element)` for each element; it may remove the one that it is given.
  template <class F>
  void each(F&& f) {
    for (uint32_t i = 0; i < touched_; ++i) {
      if (slots_[i].used) f(id_at(i), *slots_[i].value());
    }
  }
  template <class F>
  void each(F&& f) const {
    const_cast<Slab*>(this)->each([&](IdType id, const T& element) { f(id, element); });
  }

  uint32_t size() const { return size_; }
  uint32_t capacity() const { return capacity_; }
  bool full() const { return size_ == capacity_; }

 private:
  struct Slot {
    alignas(T) unsigned char storage[sizeof(T)];
    uint32_t generation;
    uint32_t next_free;  // index + 1; 0 = none
    bool used;
    T* value() { return std::launder(reinterpret_cast<T*>(storage)); }
  };
  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };
  uint32_t capacity_;
  uint32_t touched_ = 0;     // slots below were used at least once
  uint32_t first_free_ = 0;  // index + 1; 0 = none
  uint32_t size_ = 0;
  std::unique_ptr<Slot[], Free> slots_;
};

}  // namespace hearth
