// Runs a seccomp filter in user space, for tests. Knows exactly the instructions that the compiler
// of filter.cc emits.
#pragma once
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace hearth::sandbox {

// What the filter returns for `data`; nothing = the program is not valid (falls off its end, jumps
// out, unknown instruction).
inline std::optional<uint32_t> run_filter(const std::vector<sock_filter>& code,
                                          const seccomp_data& data) {
  uint32_t accumulator = 0;
  for (size_t at = 0; at < code.size(); ++at) {
    const sock_filter& op = code[at];
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (op.k % 4 != 0 || op.k + 4 > sizeof data) return std::nullopt;
        memcpy(&accumulator, reinterpret_cast<const char*>(&data) + op.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= op.k;
        break;
      case BPF_JMP | BPF_JA:
        at += op.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += accumulator == op.k ? op.jt : op.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += accumulator >= op.k ? op.jt : op.jf;
        break;
      case BPF_RET | BPF_K:
        return op.k;
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace hearth::sandbox
