// Compiles a policy to the classic BPF program that the kernel runs at every system call.
// Shape: architecture check, x32 check, a binary search over ranges of call numbers with the same
// verdict, then at most the one call's own rules. Jumps to far places go through BPF_JA, so that no
// offset can overflow its 8 bits.
#pragma once
#include <linux/filter.h>

#include <vector>

#include "sandbox/policy.h"

namespace hearth::sandbox {

// A call of another architecture, or of the x32 interface, kills the process; number -1 gets the
// default action. The result has at most BPF_MAXINSNS instructions, or is empty: the policy has no
// default, or is too large.
std::vector<sock_filter> compile_filter(const Policy& policy);

}  // namespace hearth::sandbox
