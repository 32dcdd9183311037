// Counts heap allocations of the calling thread, in builds with HEARTH_COUNT_ALLOCS; bench/ divides
// them by calls.
#pragma once
#include <cstdint>

namespace hearth {

#ifdef HEARTH_COUNT_ALLOCS
inline constexpr bool kAllocationsCounted = true;
#else
inline constexpr bool kAllocationsCounted = false;
#endif

// operator new and malloc of this thread so far; 0 in other builds.
uint64_t thread_allocations();

}  // namespace hearth
