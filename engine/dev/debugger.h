// --debug: the worker opens its debugger in its own network, which nothing outside of the sandbox
// reaches; a relay carries the developer's connections there. The sandbox stays as it is.
#pragma once
#include <cstdint>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "core/function_spec.h"

namespace hearth::dev {

// One worker that opens its debugger at 127.0.0.1:`port` of its own network before it loads the
// code, and calls that may wait at breakpoints for as long as `limits` let them. Errors:
// invalid_parameter: there is no debugger for its runtime.
Status prepare_for_debugger(FunctionSpec& spec, uint16_t port, const Limits& limits);

// Why the debugger of the function in `folder` can't be used, and what to do; empty: it can.
std::string debugger_problem(const FunctionSpec& spec, const std::string& folder);

}  // namespace hearth::dev
