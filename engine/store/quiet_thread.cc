#include "store/quiet_thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace hearth {

std::thread start_quiet_thread(const char* name, std::function<void()> body) {
  // A new thread inherits the mask: blocking before it starts leaves no window.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([name, body = std::move(body)] {
    pthread_setname_np(pthread_self(), name);
    body();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace hearth
