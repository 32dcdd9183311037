// Fixed-size storage addressed by {slot, generation}. Sized once; add() on a full slab returns no id. Not thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "base/assert.h"
#include "base/ids.h"

namespace hearth {

template <class T, class IdType>
class Slab {
 public:
  // Allocates `capacity` slots here and none later.
  explicit Slab(uint32_t capacity) : capacity_(capacity), slots_(new Slot[capacity]) {
    for (uint32_t i = 0; i < capacity; ++i) slots_[i].next_free = i + 1;
  }
  ~Slab() {
    for (uint32_t i = 0; i < capacity_; ++i) {
      if (slots_[i].used) slots_[i].value()->~T();
    }
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // The new element's id, or an id without generation when the slab is full.
  template <class... Args>
  IdType add(Args&&... args) {
    if (first_free_ >= capacity_) return {};
    const uint32_t index = first_free_;
    Slot& slot = slots_[index];
    first_free_ = slot.next_free;
    slot.used = true;
    if (++slot.generation == 0) slot.generation = 1;
    new (slot.storage) T(std::forward<Args>(args)...);
    ++size_;
    return {index, slot.generation};
  }

  // The element, or nullptr if it is gone or never was. Any id is safe to ask for.
  T* find(IdType id) {
    if (id.slot >= capacity_) return nullptr;
    Slot& slot = slots_[id.slot];
    return slot.used && slot.generation == id.generation ? slot.value() : nullptr;
  }
  const T* find(IdType id) const { return const_cast<Slab*>(this)->find(id); }

  // The element in a slot, whatever its generation; nullptr when the slot is free.
  T* at_slot(uint32_t index) {
    return index < capacity_ && slots_[index].used ? slots_[index].value() : nullptr;
  }
  IdType id_at(uint32_t index) const { return {index, slots_[index].generation}; }

  void remove(IdType id) {
    T* element = find(id);
    HEARTH_ASSERT(element != nullptr);
    element->~T();
    Slot& slot = slots_[id.slot];
    slot.used = false;
    slot.next_free = first_free_;
    first_free_ = id.slot;
    --size_;
  }

  template <class F>
  void each(F&& f) {
    for (uint32_t i = 0; i < capacity_; ++i) {
      if (slots_[i].used) f(id_at(i), *slots_[i].value());
    }
  }

  uint32_t size() const { return size_; }
  uint32_t capacity() const { return capacity_; }
  bool full() const { return first_free_ >= capacity_; }

 private:
  struct Slot {
    alignas(T) unsigned char storage[sizeof(T)];
    uint32_t generation = 0;
    uint32_t next_free = 0;
    bool used = false;
    T* value() { return std::launder(reinterpret_cast<T*>(storage)); }
  };
  uint32_t capacity_;
  uint32_t first_free_ = 0;
  uint32_t size_ = 0;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace hearth
