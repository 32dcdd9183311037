// Variables that count only when a process starts: a function that has one takes no parked worker
// and is no zygote; its process is started with its whole environment. See
// design/0009-warm-workers.md. Pure functions.
#pragma once
#include <string_view>

#include "core/function_spec.h"

namespace hearth {

// Is `name` read by the dynamic linker, the C library or the runtime itself before any code of the
// function runs?
bool counts_at_start(Runtime runtime, std::string_view name);

// The first such variable of a function; empty = it has none.
std::string_view start_variable(const FunctionSpec& spec);

// Is its process started with its environment? A native function's always is: what its executable
// reads, nobody knows.
bool starts_with_environment(const FunctionSpec& spec);

}  // namespace hearth
