// Does the code hold the file that the handler names? A deploy finds out, instead of the first
// call.
#pragma once
#include "base/result.h"
#include "core/function_spec.h"

namespace hearth {

// `code`: the unpacked folder. The spec has been validated. python3: module.function, where the
// module may lie in folders ("a/b.f" or "a.b.f"); nodejs: path/file.function; native: an executable
// file. Errors: invalid_parameter, which names the files that were looked for.
Status check_handler_file(int code, const FunctionSpec& spec);

}  // namespace hearth
