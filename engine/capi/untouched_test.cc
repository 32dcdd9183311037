// The host after an engine is the host before it; and a large host is no harder than a small one.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <clocale>
#include <map>
#include <thread>

#include "capi/test_rig.h"

using namespace hearth_test;

extern char** environ;

namespace {

// Everything of a process that a library has no business with, as text.
std::string state_of_the_host() {
  std::string out;
  uid_t r, e, s;
  ::getresuid(&r, &e, &s);
  out += std::to_string(r) + "," + std::to_string(e) + "," + std::to_string(s) + "\n";
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    out += std::to_string(reinterpret_cast<uintptr_t>(action.sa_handler)) + ":" +
           std::to_string(action.sa_flags) + " ";
  }
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int number = 1; number < NSIG; ++number)
    out += ::sigismember(&mask, number) == 1 ? '1' : '0';
  out += "\ndumpable " + std::to_string(::prctl(PR_GET_DUMPABLE)) + " subreaper ";
  int subreaper = 0;
  ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
  out += std::to_string(subreaper) + " new privileges " +
         std::to_string(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  const mode_t mask_of_files = ::umask(0);
  ::umask(mask_of_files);
  out += "\numask " + std::to_string(mask_of_files) + " in " +
         std::filesystem::current_path().string() + " locale " + std::setlocale(LC_ALL, nullptr);
  for (char** entry = environ; *entry != nullptr; ++entry) out += std::string("\n") + *entry;
  for (const int fd : {0, 1, 2}) {
    struct stat info {};
    ::fstat(fd, &info);
    out += "\n" + std::to_string(info.st_ino) + " " + std::to_string(::fcntl(fd, F_GETFL)) + " " +
           std::to_string(::fcntl(fd, F_GETFD));
  }
  return out;
}

// SIGKILL, SIGSTOP and the two that the C library keeps for itself can't be blocked.
constexpr const char* kAllSignals = "fffffffe7ffbfeff";

// Thread -> the signals that it blocks, as the kernel says it.
std::map<std::string, std::string> blocked_signals() {
  std::map<std::string, std::string> masks;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream in(task.path() / "status");
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("SigBlk:")) masks[task.path().filename()] = line.substr(8);
    }
  }
  return masks;
}

// A signal's disposition for one test.
class Handled {
 public:
  Handled(int number, void (*handler)(int)) : number_(number) {
    struct sigaction action {};
    action.sa_handler = handler;
    REQUIRE(::sigaction(number, &action, &before_) == 0);
  }
  ~Handled() { ::sigaction(number_, &before_, nullptr); }
  Handled(const Handled&) = delete;
  Handled& operator=(const Handled&) = delete;

 private:
  int number_;
  struct sigaction before_ {};
};

void use_an_engine() {
  Engine engine;
  REQUIRE(engine.load("f", kEcho) == "");
  CHECK(engine.invoke("f", "1") == "1");
}

}  // namespace

TEST_CASE("nothing of the host is changed, while an engine runs and after it") {
  struct sigaction own {};
  own.sa_handler = [](int) {};
  own.sa_flags = SA_RESTART;
  REQUIRE(::sigaction(SIGUSR1, &own, nullptr) == 0);
  const std::string before = state_of_the_host();
  {
    Engine engine;
    REQUIRE(engine.load("f", kEcho) == "");
    CHECK(engine.invoke("f", "1") == "1");
    CHECK(state_of_the_host() == before);
  }
  CHECK(state_of_the_host() == before);
}

TEST_CASE("the library's descriptors are closed on exec") {
  Engine engine;
  REQUIRE(engine.load("f", kEcho) == "");
  CHECK(engine.invoke("f", "1") == "1");
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::atoi(entry.path().filename().c_str());
    const int flags = ::fcntl(fd, F_GETFD);
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(entry.path(), ignored);
    INFO(fd << " " << target);
    const bool ours = target.find("hearth") != std::string::npos ||
                      target.starts_with("anon_inode:[event") ||
                      target.starts_with("anon_inode:[pidfd");
    if (ours && flags >= 0) CHECK((flags & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("the library's threads block all signals, and the masks of the host's are as before") {
  // One more thread of the host, with a mask that no other has.
  std::atomic<bool> stop{false}, ready{false};
  std::thread own([&] {
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, SIGUSR2);
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    ready = true;
    while (!stop) std::this_thread::sleep_for(1ms);
  });
  while (!ready) std::this_thread::yield();
  const std::map<std::string, std::string> before = blocked_signals();
  CHECK(before.size() >= 2);
  {
    Engine engine;
    REQUIRE(engine.load("f", kEcho) == "");
    CHECK(engine.invoke("f", "1") == "1");
    size_t ours = 0;
    for (const auto& [thread, blocked] : blocked_signals()) {
      INFO(thread << " " << blocked);
      const auto known = before.find(thread);
      if (known != before.end()) {
        CHECK(blocked == known->second);
      } else {
        ++ours;
        CHECK(blocked == kAllSignals);
      }
    }
    CHECK(ours >= 3);  // the engine's, the store's, the log writer's
  }
  CHECK(blocked_signals() == before);
  stop = true;
  own.join();
}

TEST_CASE("the host's own children are the host's to wait for") {
  Engine engine;
  REQUIRE(engine.load("f", kEcho) == "");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(7);
  CHECK(engine.invoke("f", "1") == "1");
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 7);
  engine.close();
  // Nothing of the library is left to wait for.
  CHECK(::waitpid(-1, &status, WNOHANG) == -1);
}

TEST_CASE("a host that ignores the ends of its children is served") {
  const Handled ignored(SIGCHLD, SIG_IGN);
  use_an_engine();
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("a host whose handler collects every child is served, and gets its own") {
  static std::atomic<pid_t> child{-1};
  static std::atomic<int> own{0}, others{0};
  own = others = 0;
  const Handled handled(SIGCHLD, [](int) {
    const int kept = errno;
    for (pid_t pid = 0; (pid = ::waitpid(-1, nullptr, WNOHANG)) > 0;)
      ++(pid == child ? own : others);
    errno = kept;
  });
  for (int round = 0; round < 3; ++round) {
    Engine engine;
    REQUIRE(engine.load("f",
                        "import os\n"
                        "def handler(e, c):\n"
                        "    os._exit(1) if e else None\n") == "");
    const int after_open = others;
    CHECK(engine.invoke("f", "1") == "!worker_lost");
    CHECK(engine.invoke("f", "0") == "null");
    CHECK(others == after_open);  // ends of workers are none of the host's
    int go[2];                    // it ends when the handler can know it
    REQUIRE(::pipe(go) == 0);
    child = ::fork();
    if (child == 0) {
      ::close(go[1]);
      char byte = 0;
      ::_exit(static_cast<int>(::read(go[0], &byte, 1)));
    }
    ::close(go[0]);
    ::close(go[1]);
    while (own != round + 1) std::this_thread::yield();
    CHECK(engine.invoke("f", "0") == "null");
    CHECK(engine.close() == "");
    CHECK(others <= after_open + 1);  // the spawner, if the library was not first
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  }
}

TEST_CASE("a host that waits for any child in a thread of its own is served") {
  std::atomic<bool> stop{false};
  std::thread reaper([&] {
    while (!stop) {
      if (::waitpid(-1, nullptr, 0) < 0) std::this_thread::sleep_for(1ms);
    }
  });
  for (int round = 0; round < 3; ++round) use_an_engine();
  stop = true;
  reaper.join();
}

TEST_CASE("a host with many threads and much memory is served") {
  const size_t size = static_cast<size_t>(scaled(2'048)) << 20;
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 100; ++i) {
    threads.emplace_back([&] {
      while (!stop) std::this_thread::sleep_for(20ms);
    });
  }
  use_an_engine();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  ::munmap(memory, size);
}

#ifdef HEARTH_LIBRARY
TEST_CASE("the library can be loaded at run time, twice, with its names to itself") {
  for (int round = 0; round < 2; ++round) {
    void* library = ::dlopen(HEARTH_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    const auto open =
        reinterpret_cast<decltype(&hearth_engine_open)>(::dlsym(library, "hearth_engine_open"));
    const auto close =
        reinterpret_cast<decltype(&hearth_engine_close)>(::dlsym(library, "hearth_engine_close"));
    REQUIRE((open != nullptr && close != nullptr));
    hearth_engine_t* engine = nullptr;
    CHECK(take(open(nullptr, &engine)) == "");
    CHECK(take(close(engine, 0)) == "");
    CHECK(::dlclose(library) == 0);
  }
}
#endif
