// The host drives: a descriptor for its loop, and one turn after the other.
#include <algorithm>

#include "capi/engine_handle.h"
#include "capi/error.h"
#include "capi/inside.h"

using hearth::Code;
using hearth::capi::to_c;

int hearth_engine_fd(const hearth_engine_t* engine) { return engine->fd(); }

hearth_error_t* hearth_engine_step(hearth_engine_t* engine, uint64_t max_ms) {
  hearth::capi::Hub& hub = engine->hub();
  if (hub.driver() == hearth::capi::Driver::library)
    return to_c(Code::not_supported,
                "the engine has a thread of its own; open it with "
                "HEARTH_HOST_DRIVEN to drive it");
  if (hearth::capi::Inside::now())
    return to_c(Code::would_deadlock, "hearth_engine_step inside a callback");
  if (!hub.on_engine_thread())
    return to_c(Code::wrong_thread, "only the thread that opened the engine drives it");
  constexpr uint64_t kLongest = 3'600'000;
  hub.step(hearth::milliseconds(std::min(max_ms, kLongest)));
  if (engine->spawner_lost()) return to_c(Code::spawner_lost, "close the engine and open another");
  return nullptr;
}
