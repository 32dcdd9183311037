// A warm call allocates nothing in this folder: every heap allocation of the process is counted
// while Invoke and function URL calls run.
#include <atomic>
#include <cstdlib>
#include <new>

#include "api/front.h"
#include "tests/catch.h"

namespace {

std::atomic<uint64_t> allocations{0};

void* counted(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace hearth::api {
namespace {

// Keeps the one call in flight, without allocating.
struct QuietPort final : InvokePort {
  FunctionId find(std::string_view name) const override {
    return name == "hello" ? FunctionId{1, 1} : FunctionId{};
  }
  const FunctionSpecPtr* spec(FunctionId) const override { return nullptr; }
  Result<InvocationId> submit(CallRequest&& request) override {
    held = std::move(request);
    return InvocationId{1, 1};
  }
  void abandon(InvocationId) override {}
  void go_on(InvocationId) override {}
  void reply(std::string_view payload) {
    Outcome outcome;
    outcome.payload = payload;
    outcome.request_id = held.request_id;
    outcome.log_tail = "a line\n";
    held.payload.owner.release();
    held.done({1, 1}, outcome);
  }
  CallRequest held;
};

struct QuietResponder final : Responder {
  bool respond(ConnectionId, const http::ResponseHead& head, std::string_view body) override {
    status = head.status;
    bytes += body.size();
    return true;
  }
  bool start(ConnectionId, const http::ResponseHead&) override { return false; }
  int64_t write(ConnectionId, std::string_view) override { return -1; }
  bool finish(ConnectionId) override { return false; }
  void abort(ConnectionId) override {}
  const http::ServerStats& stats() const override { return stats_; }
  int status = 0;
  size_t bytes = 0;
  http::ServerStats stats_;
};

struct Warm {
  Limits limits;
  SystemClock clock;
  BufferPool buffers{mebibytes(8)};
  QuietPort port;
  QuietResponder responder;
  Front front{{.port = port, .buffers = buffers, .limits = limits, .clock = clock}};

  // Allocations of 100 calls, the first of which (that fill the pool) are not counted.
  uint64_t count(http::Request& request, std::string_view reply, int status) {
    front.attach(responder);
    uint64_t before = 0;
    for (int i = 0; i < 110; ++i) {
      if (i == 10) before = allocations.load();
      front.on_head(request);
      front.on_request({1, 1}, request);
      port.reply(reply);
      if (responder.status != status) return UINT64_MAX;
    }
    return allocations.load() - before;
  }
};

http::Request request_for(std::string_view method, std::string_view path, std::string_view query,
                          std::span<const http::HeaderView> headers, std::string_view body) {
  http::Request request;
  request.method = method;
  request.path = path;
  request.query = query;
  request.headers = headers;
  request.host = "localhost:4327";
  request.peer = "127.0.0.1";
  request.body = body;
  request.has_body = !body.empty();
  return request;
}

constexpr std::string_view kBody =
    R"({"name":"world","text":"a longer text than any small string holds, with \"escapes\""})";

}  // namespace

TEST_CASE("a warm invoke allocates nothing") {
  const std::array<http::HeaderView, 4> headers{
      {{"Host", "localhost:4327"},
       {"Content-Type", "application/json"},
       {"X-Amz-Log-Type", "Tail"},
       {"X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678"}}};
  http::Request request =
      request_for("POST", "/2015-03-31/functions/hello/invocations", "", headers, kBody);
  Warm warm;
  REQUIRE(warm.count(request, R"({"message":"Hello world"})", 200) == 0);
}

TEST_CASE("a warm function url call allocates nothing") {
  const std::array<http::HeaderView, 5> headers{{{"Host", "localhost:4327"},
                                                 {"User-Agent", "a-client-with-a-name/1.0"},
                                                 {"Accept", "*/*"},
                                                 {"Cookie", "session=0123456789abcdef; theme=dark"},
                                                 {"Content-Type", "application/json"}}};
  http::Request request =
      request_for("POST", "/fn/hello/some/path", "a=1&b=two%20words&a=3", headers, kBody);
  Warm warm;
  const std::string_view reply =
      R"({"statusCode":201,"headers":{"content-type":"application/json","x-a":"\u00e9"},)"
      R"("cookies":["s=1; Path=/; HttpOnly"],"body":"{\"message\":\"Hello world\"}","isBase64Encoded":false})";
  REQUIRE(warm.count(request, reply, 201) == 0);
}

}  // namespace hearth::api
