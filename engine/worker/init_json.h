// The INIT object of runtimes/protocol.md.
#pragma once
#include <string>
#include <string_view>

#include "base/limits.h"
#include "core/function_spec.h"

namespace hearth::worker {

// What is asked of the worker beside loading the function.
struct InitWishes {
  bool zygote = false;         // it is to be forked, not called
  bool compile_cache = false;  // it is to make one (compile_cache.h)
};

// `root`: where the worker sees its code. The environment holds the function's own variables and
// what Lambda promises beside them; a function's own value wins, but for the names that say what it
// is.
std::string init_json(const FunctionSpec& spec, std::string_view root, const Limits& limits,
                      InitWishes wishes = {});

// The same environment as an ENVIRONMENT frame has it: "NAME=VALUE" and a zero byte each. What is
// put in front of Node's options stands for the argument that is left out then
// (spawner_protocol.h).
std::string start_environment(const FunctionSpec& spec, std::string_view root);

// "arn:aws:lambda:us-east-1:000000000000:function:NAME": what AWS clients expect to see; region and
// account mean nothing here.
std::string function_arn(std::string_view name);

}  // namespace hearth::worker
