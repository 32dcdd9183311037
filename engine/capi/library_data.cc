// Debian's archive of libuv was not compiled for shared libraries: it reaches some of libc's
// variables in a way that only a program can. In libhearth.so these names mean the following (by
// the linker's --wrap, see library.cmake).
#include <netinet/in.h>
#include <stdio.h>

extern "C" {
extern FILE* __real_stderr;
FILE* __wrap_stderr = nullptr;

extern const in6_addr __wrap_in6addr_any;
const in6_addr __wrap_in6addr_any = IN6ADDR_ANY_INIT;

// Nothing of libuv that reads the environment is used here.
char** __wrap_environ = nullptr;
char** __wrap___environ = nullptr;

__attribute__((constructor(101))) static void find_stderr() { __wrap_stderr = __real_stderr; }
}
