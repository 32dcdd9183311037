// A load client that counts exactly: each call that it sends ends in one of: a reply (by status), a
// closed connection, a timeout. One thread, one epoll, keep-alive connections with one call in
// flight on each. Prints one JSON object.
//
//   hearth_load --port 4327 --connections 64 --calls 100000 --call echo 1
//   /2015-03-31/functions/echo/invocations '{"n":@N@}' '"n":@N@'
//
// --call NAME WEIGHT PATH BODY EXPECT may be repeated. "@N@" in BODY and EXPECT becomes the call's
// number, so that a reply that belongs to another call is seen. A 200 reply without EXPECT in it
// counts as wrong_body (an empty EXPECT takes anything).
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/load/response_reader.h"

namespace {

using hearth::load::Response;
using hearth::load::ResponseReader;
using std::chrono::steady_clock;

struct CallKind {
  std::string name;
  unsigned weight = 1;
  std::string path, body, expect;
};

struct Options {
  uint16_t port = 0;
  size_t connections = 1;
  uint64_t calls = 0;      // 0 = no limit; then `seconds` ends the run
  double seconds = 0;      // 0 = no limit
  int timeout_ms = 30000;  // of one call
  int patience_ms =
      0;  // how long to go on trying to connect when refused; 0 = a refused connection is given up
  uint64_t seed = 1;
  std::vector<CallKind> kinds;
};

struct Tally {
  uint64_t sent = 0, closed = 0, closed_unserved = 0, timed_out = 0, wrong_body = 0, malformed = 0;
  std::map<int, uint64_t> status;
  std::map<std::string, uint64_t>
      function_errors;  // 200 with X-Amz-Function-Error, by errorType of the body
  std::map<std::string, uint64_t>
      refusals;  // other statuses, "429 QueueFull": status and reason, else the error type
  uint64_t refused_without_reason = 0;  // 429 without Retry-After or without a reason
  std::vector<uint32_t> latency_us;
};

struct Connection {
  int fd = -1;
  bool connected = false;
  bool busy = false;
  bool served = false;  // has had a reply
  size_t kind = 0;
  uint64_t number = 0;
  std::string out;
  size_t out_done = 0;
  ResponseReader reader;
  steady_clock::time_point started, retry_at{};
};

std::string with_number(const std::string& text, uint64_t number) {
  std::string out = text;
  for (size_t at; (at = out.find("@N@")) != std::string::npos;)
    out.replace(at, 3, std::to_string(number));
  return out;
}

// The value of the first "key":"value" in a JSON text; good enough for a tally.
std::string json_field(std::string_view body, std::string_view key) {
  const std::string quoted = '"' + std::string(key) + '"';
  size_t at = body.find(quoted);
  if (at == std::string_view::npos) return "";
  at = body.find('"', body.find(':', at));
  if (at == std::string_view::npos) return "";
  const size_t end = body.find('"', at + 1);
  return std::string(body.substr(at + 1, std::min<size_t>(end - at - 1, 64)));
}

class Client {
 public:
  explicit Client(Options options) : options_(std::move(options)), random_(options_.seed) {
    for (const auto& kind : options_.kinds) weights_ += kind.weight;
    tallies_.resize(options_.kinds.size());
    connections_.resize(options_.connections);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
  }

  // Runs to the end of the calls or of the time. 0 = every call is accounted for.
  int run() {
    start_ = steady_clock::now();
    for (auto& connection : connections_) open(connection);
    epoll_event events[256];
    while (!finished()) {
      const int count = epoll_wait(epoll_, events, 256, 20);
      for (int i = 0; i < count; ++i) {
        auto& connection = connections_[events[i].data.u32];
        if (connection.fd >= 0) on_event(connection, events[i].events);
      }
      sweep();
    }
    print();
    uint64_t sent = 0, ended = 0;
    for (const auto& tally : tallies_) {
      sent += tally.sent;
      ended += tally.closed + tally.timed_out + tally.malformed;
      for (const auto& [status, n] : tally.status) ended += n;
    }
    return sent == ended ? 0 : 1;
  }

 private:
  bool time_is_up() const {
    return options_.seconds > 0 &&
           std::chrono::duration<double>(steady_clock::now() - start_).count() >= options_.seconds;
  }
  bool may_send() const {
    return (options_.calls == 0 || next_number_ < options_.calls) && !time_is_up();
  }
  bool finished() const {
    if (busy_ > 0) return false;
    return !may_send() || given_up_ == connections_.size();
  }

  void open(Connection& connection) {
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) {
      ++refused_;
      ++given_up_;
      return;
    }
    const int on = 1;
    setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection.connected = connection.served = false;
    const int result =
        connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    if (result != 0 && errno != EINPROGRESS) {
      on_refused(connection);
      return;
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP;
    event.data.u32 = static_cast<uint32_t>(&connection - connections_.data());
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
  }

  void on_refused(Connection& connection) {
    ++refused_;
    close(connection.fd);
    connection.fd = -1;
    const auto now = steady_clock::now();
    if (refused_since_ == steady_clock::time_point{}) refused_since_ = now;
    if (now - refused_since_ < std::chrono::milliseconds(options_.patience_ms)) {
      connection.retry_at = now + std::chrono::milliseconds(50);
    } else {
      ++given_up_;
    }
  }

  void on_event(Connection& connection, uint32_t events) {
    if (!connection.connected) {
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return on_refused(connection);
      if ((events & EPOLLOUT) == 0) return;
      connection.connected = true;
      refused_since_ = {};
      send_next(connection);
      return;
    }
    if ((events & EPOLLOUT) != 0 && connection.busy) flush(connection);
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 && connection.fd >= 0)
      receive(connection);
  }

  size_t pick_kind() {
    if (options_.kinds.size() == 1) return 0;
    auto left = std::uniform_int_distribution<unsigned>(0, weights_ - 1)(random_);
    size_t kind = 0;
    while (left >= options_.kinds[kind].weight) left -= options_.kinds[kind++].weight;
    return kind;
  }

  void send_next(Connection& connection) {
    if (!may_send()) return;
    connection.kind = pick_kind();
    connection.number = next_number_++;
    const auto& kind = options_.kinds[connection.kind];
    const std::string body = with_number(kind.body, connection.number);
    connection.out =
        "POST " + kind.path +
        " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    connection.out_done = 0;
    connection.busy = true;
    connection.started = steady_clock::now();
    connection.reader.reset();
    ++busy_;
    ++tallies_[connection.kind].sent;
    flush(connection);
  }

  void flush(Connection& connection) {
    while (connection.out_done < connection.out.size()) {
      const ssize_t n = send(connection.fd, connection.out.data() + connection.out_done,
                             connection.out.size() - connection.out_done, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0)
        return;  // the reply, or the end of the connection, says what happened: an early refusal
                 // may still be readable
      connection.out_done += static_cast<size_t>(n);
    }
  }

  void receive(Connection& connection) {
    char buffer[65536];
    for (;;) {
      const ssize_t n = recv(connection.fd, buffer, sizeof buffer, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return on_closed(connection);
      if (!connection.busy)
        continue;  // bytes that nobody asked for: counted below as malformed if they turn up inside
                   // a call
      switch (connection.reader.feed({buffer, static_cast<size_t>(n)})) {
        case ResponseReader::State::kMore:
          break;
        case ResponseReader::State::kBroken:
          ++tallies_[connection.kind].malformed;
          end_call(connection);
          return reopen(connection);
        case ResponseReader::State::kDone:
          if (!on_reply(connection)) return;
          break;
      }
    }
  }

  void end_call(Connection& connection) {
    connection.busy = false;
    --busy_;
  }

  // False: the connection was closed, and perhaps opened anew.
  bool on_reply(Connection& connection) {
    auto& tally = tallies_[connection.kind];
    const Response& reply = connection.reader.response();
    ++tally.status[reply.status];
    connection.served = true;
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() -
                                                                            connection.started);
    tally.latency_us.push_back(static_cast<uint32_t>(std::min<int64_t>(took.count(), UINT32_MAX)));
    if (reply.status == 200 && !reply.function_error.empty()) {
      ++tally.function_errors[json_field(reply.body, "errorType")];
    } else if (reply.status == 200) {
      const std::string expect =
          with_number(options_.kinds[connection.kind].expect, connection.number);
      if (reply.body.find(expect) == std::string::npos) ++tally.wrong_body;
    } else {
      const std::string reason = json_field(reply.body, "Reason");
      ++tally.refusals[std::to_string(reply.status) + ' ' +
                       (reason.empty() ? reply.error_type : reason)];
      if (reply.status == 429 && (!reply.has_retry_after || reason.empty()))
        ++tally.refused_without_reason;
    }
    const bool keep = reply.keep_alive;
    end_call(connection);
    if (keep) {
      send_next(connection);
    } else {
      reopen(connection);
    }
    return keep;
  }

  void on_closed(Connection& connection) {
    if (connection.busy) {
      ++tallies_[connection.kind].closed;
      if (!connection.served) ++tallies_[connection.kind].closed_unserved;
      end_call(connection);
    }
    reopen(connection);
  }

  void reopen(Connection& connection) {
    close(connection.fd);
    connection.fd = -1;
    if (may_send()) {
      open(connection);
    } else {
      ++given_up_;
    }
  }

  // Ends calls that got no answer in time, and tries refused connections again.
  void sweep() {
    const auto now = steady_clock::now();
    for (auto& connection : connections_) {
      if (connection.busy &&
          now - connection.started > std::chrono::milliseconds(options_.timeout_ms)) {
        ++tallies_[connection.kind].timed_out;
        end_call(connection);
        reopen(connection);
      }
      if (connection.fd < 0 && connection.retry_at != steady_clock::time_point{} &&
          now >= connection.retry_at) {
        connection.retry_at = {};
        if (may_send()) {
          open(connection);
        } else {
          ++given_up_;
        }
      }
    }
  }

  void print() const;

  Options options_;
  std::mt19937_64 random_;
  unsigned weights_ = 0;
  int epoll_ = -1;
  uint64_t next_number_ = 0, refused_ = 0;
  size_t busy_ = 0, given_up_ = 0;
  steady_clock::time_point start_, refused_since_{};
  std::vector<Connection> connections_;
  std::vector<Tally> tallies_;
};

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + '"';
}

template <class Map>
std::string object(const Map& map) {
  std::string out = "{";
  for (const auto& [key, value] : map) {
    if (out.size() > 1) out += ", ";
    if constexpr (std::is_same_v<std::decay_t<decltype(key)>, int>) {
      out += '"' + std::to_string(key) + '"';
    } else {
      out += quoted(key);
    }
    out += ": " + std::to_string(value);
  }
  return out + "}";
}

uint32_t percentile(std::vector<uint32_t> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return values[at];
}

void Client::print() const {
  const double seconds = std::chrono::duration<double>(steady_clock::now() - start_).count();
  printf("{\"seconds\": %.3f, \"connect_refused\": %llu, \"calls\": {", seconds,
         static_cast<unsigned long long>(refused_));
  for (size_t i = 0; i < tallies_.size(); ++i) {
    const auto& tally = tallies_[i];
    printf(
        "%s%s: {\"sent\": %llu, \"closed\": %llu, \"closed_unserved\": %llu, \"timed_out\": %llu, "
        "\"malformed\": %llu, "
        "\"wrong_body\": %llu, ",
        i == 0 ? "" : ", ", quoted(options_.kinds[i].name).c_str(),
        static_cast<unsigned long long>(tally.sent), static_cast<unsigned long long>(tally.closed),
        static_cast<unsigned long long>(tally.closed_unserved),
        static_cast<unsigned long long>(tally.timed_out),
        static_cast<unsigned long long>(tally.malformed),
        static_cast<unsigned long long>(tally.wrong_body));
    printf(
        "\"refused_without_reason\": %llu, \"status\": %s, \"function_errors\": %s, \"refusals\": "
        "%s, ",
        static_cast<unsigned long long>(tally.refused_without_reason), object(tally.status).c_str(),
        object(tally.function_errors).c_str(), object(tally.refusals).c_str());
    printf("\"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u}", percentile(tally.latency_us, 0.5),
           percentile(tally.latency_us, 0.99), percentile(tally.latency_us, 1.0));
  }
  printf("}}\n");
}

[[noreturn]] void usage() {
  fprintf(stderr,
          "usage: hearth_load --port N [--connections N] [--calls N] [--seconds S] [--timeout-ms "
          "N] [--patience-ms N] [--seed N]\n"
          "                   --call NAME WEIGHT PATH BODY EXPECT ...\n");
  exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--call" && i + 5 < argc) {
      options.kinds.push_back({argv[i + 1], static_cast<unsigned>(atoi(argv[i + 2])), argv[i + 3],
                               argv[i + 4], argv[i + 5]});
      i += 5;
      continue;
    }
    if (i + 1 >= argc) usage();
    const char* value = argv[++i];
    if (name == "--port")
      options.port = static_cast<uint16_t>(atoi(value));
    else if (name == "--connections")
      options.connections = static_cast<size_t>(atoll(value));
    else if (name == "--calls")
      options.calls = static_cast<uint64_t>(atoll(value));
    else if (name == "--seconds")
      options.seconds = atof(value);
    else if (name == "--timeout-ms")
      options.timeout_ms = atoi(value);
    else if (name == "--patience-ms")
      options.patience_ms = atoi(value);
    else if (name == "--seed")
      options.seed = static_cast<uint64_t>(atoll(value));
    else
      usage();
  }
  const bool bounded = options.calls > 0 || options.seconds > 0;
  if (options.port == 0 || options.kinds.empty() || options.connections == 0 || !bounded) usage();
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  return Client(parse(argc, argv)).run();
}
