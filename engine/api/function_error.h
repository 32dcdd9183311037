// Function errors that the engine noticed itself (a timeout, a crash), in the shape in which Lambda
// reports them.
#pragma once
#include "base/buffer_pool.h"
#include "core/ports.h"

namespace hearth::api {

// Does a call that ended with `code` count as the function's error (Invoke: 200 with
// X-Amz-Function-Error), and not as a refusal?
bool is_function_error(Code code);

// {"errorType":...,"errorMessage":"RequestId: ... Error: ..."}, and "logTail" with the log's last
// bytes when the outcome has them. The outcome is a platform_error whose code is_function_error().
// An empty Buffer: the pool is exhausted.
Buffer write_function_error(BufferPool& pool, const Outcome& outcome);

}  // namespace hearth::api
