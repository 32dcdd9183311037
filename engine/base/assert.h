// HEARTH_ASSERT: for our own bugs only; stays on in release. Bytes from clients, workers, plug-ins,
// disks and the OS are input and get an Error.
#pragma once

namespace hearth::detail {
[[noreturn]] void assert_failed(const char* expression, const char* file, int line);
}

#define HEARTH_ASSERT(expression)                     \
  (__builtin_expect(static_cast<bool>(expression), 1) \
       ? void(0)                                      \
       : ::hearth::detail::assert_failed(#expression, __FILE__, __LINE__))
