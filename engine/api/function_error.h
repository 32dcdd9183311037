// Function errors that the engine noticed itself (a timeout, a crash), in the shape in which Lambda
// reports them.
#pragma once
#include "base/buffer_pool.h"
#include "base/clock.h"
#include "core/ports.h"

namespace hearth::api {

// Does a call that ended so, without a reply, count as the function's error (Invoke: 200 with
// X-Amz-Function-Error)? Else the platform refuses it: the answer is the catalogue's error. What is
// the platform's fault never counts as the function's.
bool is_function_error(const Outcome& outcome);

// {"errorType":...,"errorMessage":"RequestId: ... Error: ..."}, and "logTail" with the log's last
// bytes when the outcome has them. The outcome is a platform_error that is_function_error(). An
// empty Buffer: the pool is exhausted.
Buffer write_function_error(BufferPool& pool, const Outcome& outcome);

// Bytes that write_failure_lines() writes at most.
inline constexpr size_t kFailureLinesMax = 1'024;

// What Lambda's log says of such an error: "TIME ID Task timed out after 3.00 seconds", or
// "RequestId: ID Error: Runtime exited with error: ..." and the error's type on a line of its own.
// Writes to `out`, which has kFailureLinesMax bytes of room; returns the size: 0 for every other
// outcome.
size_t write_failure_lines(char* out, const Outcome& outcome, WallTime now);

}  // namespace hearth::api
