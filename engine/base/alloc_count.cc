#include "base/alloc_count.h"

#include <cstddef>

#ifdef HEARTH_COUNT_ALLOCS

// The C library's own names for what the functions below stand before.
extern "C" void* __libc_malloc(size_t size);
extern "C" void* __libc_calloc(size_t count, size_t size);
extern "C" void* __libc_realloc(void* memory, size_t size);

namespace {
thread_local uint64_t allocations;
}

// operator new, libuv and the C libraries all come through here.
extern "C" void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
extern "C" void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
extern "C" void* realloc(void* memory, size_t size) {
  ++allocations;
  return __libc_realloc(memory, size);
}

uint64_t hearth::thread_allocations() { return allocations; }

#else

uint64_t hearth::thread_allocations() { return 0; }

#endif
