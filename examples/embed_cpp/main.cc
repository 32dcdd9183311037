// A service of the kind that exists already: TCP, one line a request, one thread a connection. Its
// requests are answered by functions: "price" is Python in a confined worker, "stock" begins as a
// C++ handler in this process and moves into a worker when somebody asks for it.
//
//   embed_cpp PORT FOLDER    PORT 0: a free one; FOLDER: functions/
//
//   price {"item": "tea", "count": 3}      ok {"item":"tea","total":7.5}
//   move stock                             ok moved
#include <hearth/hearth.hpp>

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr size_t kLineMax = 64 * 1024;

bool say(const char* what, const hearth::Failure& failure) {
  std::fprintf(stderr, "%s: %s\n", what, failure.message().c_str());
  return false;
}

void must(bool succeeded, const char* what) {
  if (succeeded) return;
  std::perror(what);
  std::exit(1);
}

// --- the functions: all that is new in the service ----------------------------------------------

class Functions {
 public:
  Functions(hearth::Engine engine, std::string folder)
      : engine_(std::move(engine)), folder_(std::move(folder)) {}

  // Prints why, when it fails.
  bool prepare() {
    const auto loaded = engine_.load_folder(folder_ + "/price");
    if (!loaded) return say("price", loaded.error());
    // Trusted code of this process, under the same names, queues, limits and metrics.
    const auto defined = engine_.define("stock", [](hearth::Incoming call) {
      const bool tea = call.event().find("tea") != std::string_view::npos;
      call.reply(tea ? R"({"left":40,"by":"host"})" : R"({"left":7,"by":"host"})");
    });
    return defined || say("stock", defined.error());
  }

  // Blocks this connection's thread only.
  std::string call(const std::string& function, std::string_view event) {
    const auto reply = engine_.invoke(function, event, {.timeout = 5s});
    if (!reply) return "refused " + std::string(reply.error().name());
    return (reply->is_error() ? "failed " : "ok ") + std::string(reply->payload());
  }

  // From this process into a worker: callers go on calling the same name.
  std::string move(const std::string& function) {
    const auto loaded = engine_.load_folder(folder_ + "/" + function);
    return loaded ? "ok moved" : "refused " + std::string(loaded.error().name());
  }

  void close() { static_cast<void>(engine_.close(1s)); }

 private:
  hearth::Engine engine_;
  std::string folder_;
};

// --- the service --------------------------------------------------------------------------------

class Service {
 public:
  Service(Functions& functions, uint16_t port) : functions_(functions) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    must(bind(listener_, plain, size) == 0 && listen(listener_, 64) == 0, "listen");
    must(getsockname(listener_, plain, &size) == 0, "getsockname");
    std::printf("ready on port %d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  void stop() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    close(listener_);
    {
      const std::lock_guard lock(mutex_);
      for (const int peer : peers_) shutdown(peer, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void accept_all() {
    for (;;) {
      const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) return;
      const std::lock_guard lock(mutex_);
      peers_.push_back(peer);
      threads_.emplace_back([this, peer] { serve(peer); });
    }
  }

  void serve(int peer) {
    std::string input;
    char part[4096];
    for (ssize_t got; input.size() < kLineMax && (got = read(peer, part, sizeof part)) > 0;) {
      input.append(part, static_cast<size_t>(got));
      for (size_t end; (end = input.find('\n')) != std::string::npos; input.erase(0, end + 1)) {
        const std::string reply = answer(std::string_view(input).substr(0, end)) + "\n";
        if (send(peer, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) break;
      }
    }
    const std::lock_guard lock(mutex_);
    peers_.erase(std::find(peers_.begin(), peers_.end(), peer));
    close(peer);
  }

  std::string answer(std::string_view line) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string name(line.substr(0, space));
    const std::string_view rest = line.substr(std::min(space + 1, line.size()));
    return name == "move" ? functions_.move(std::string(rest)) : functions_.call(name, rest);
  }

  Functions& functions_;
  int listener_ = -1;
  std::thread acceptor_;
  std::mutex mutex_;  // guards both
  std::vector<int> peers_;
  std::vector<std::thread> threads_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: embed_cpp PORT FOLDER\n");
    return 2;
  }
  // Signals stay the service's own; blocked before there are threads, taken by sigwait() below.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  auto engine = hearth::Engine::open({});
  if (!engine) return say("open", engine.error()), 1;
  Functions functions(std::move(*engine), argv[2]);
  if (!functions.prepare()) return 1;
  Service service(functions, static_cast<uint16_t>(std::atoi(argv[1])));
  int number = 0;
  sigwait(&ends, &number);
  service.stop();
  functions.close();
  return 0;
}
