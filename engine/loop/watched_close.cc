// Only in builds under ThreadSanitizer, linked with --wrap=syscall.
//
// libuv closes descriptors by syscall(SYS_close), which ThreadSanitizer doesn't see: for it the
// descriptor lives on in the thread that made it, and the next thread that is given the same number
// races with it. Two engines in one process did that now and then. Here such a close goes through
// close(), which is watched; all other calls pass as they are.

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>

extern "C" {
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_close) return close(static_cast<int>(arguments[0]));
  return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                        arguments[4], arguments[5]);
}
}
