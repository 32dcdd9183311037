// A thread in which every signal is blocked, so that a host's handlers never run there.
#pragma once
#include <functional>
#include <thread>

namespace hearth {

// `name`: at most 15 characters, static storage. The caller's own mask is as before afterwards.
std::thread start_quiet_thread(const char* name, std::function<void()> body);

}  // namespace hearth
