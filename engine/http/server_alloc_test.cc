// Goal: a warm keep-alive request costs no heap allocation. This program's operator new counts.
#include <cstdlib>
#include <new>

#include "http/server_rig.h"

namespace {
uint64_t allocations = 0;
}

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace hearth::http {
namespace {

struct HelloHandler : Handler {
  Server* server = nullptr;
  uint64_t body_bytes = 0;
  HeadDecision on_head(const RequestHead&) override { return {.body_max = 1u << 20}; }
  void on_request(ConnectionId connection, Request& request) override {
    body_bytes += request.body.size();
    const HeaderView headers[] = {{"X-One", "1"}};
    server->respond(connection, {.content_type = "application/json", .headers = headers}, "{}");
  }
  void on_gone(ConnectionId) override {}
  void render_refusal(const Refusal&, const RequestHead*, RefusalAnswer&) override {}
};

// Sends `pieces`, one a turn, `times` times, and reads the responses without touching the heap.
void exchange(Loop& loop, RawClient& client, int fd, std::initializer_list<std::string_view> pieces,
              int times) {
  char buffer[1024];
  for (int i = 0; i < times; ++i) {
    for (const std::string_view piece : pieces) {
      client.send(piece);
      loop.step(milliseconds(1));
    }
    while (::recv(fd, buffer, sizeof buffer, 0) <= 0) loop.step(milliseconds(1));
  }
}

}  // namespace

TEST_CASE("a thousand warm requests allocate nothing") {
  SystemClock clock;
  BufferPool buffers(64u << 20);
  Limits limits;
  HelloHandler handler;
  Loop loop(clock);
  Server server(loop, buffers, limits, handler, Log(), "/tmp");
  handler.server = &server;
  const auto where = server.listen("127.0.0.1:0", false);
  REQUIRE(where);
  RawClient client(static_cast<uint16_t>(std::stoi(where->substr(where->rfind(':') + 1))));
  const std::string whole = post("/a", "hello");
  const std::string_view head = std::string_view(whole).substr(0, whole.size() - 5);

  exchange(loop, client, client.fd(), {whole}, 10);
  exchange(loop, client, client.fd(), {head, "he", "llo"}, 10);
  exchange(loop, client, client.fd(), {head.substr(0, 10), head.substr(10), "hello"}, 10);
  const uint64_t before = allocations;
  exchange(loop, client, client.fd(), {whole}, 1000);
  exchange(loop, client, client.fd(), {head, "he", "llo"}, 1000);
  exchange(loop, client, client.fd(), {head.substr(0, 10), head.substr(10), "hello"}, 1000);
  const uint64_t made = allocations - before;
  CHECK(made == 0);
  CHECK(handler.body_bytes == 3030 * 5);
}

}  // namespace hearth::http
