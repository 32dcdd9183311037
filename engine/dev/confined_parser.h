// Starts an interpreter that only parses: the one thing that reads a function's code outside of a
// worker. It is kept from everything that parsing needs not, so that an error in the parser gives
// no more than a worker has: no privileges and no way to them, no network, no file to write, no
// environment, two seconds of processor time. As root it runs as nobody.
#pragma once
#include <sys/types.h>

namespace hearth::dev {

// `program` with `arguments` (the last is null), which reads `in` and says on `err`. Returns the
// child, which the caller ends and waits for; -1: it can't be started.
pid_t start_parser(const char* program, const char* const* arguments, int in, int err);

}  // namespace hearth::dev
