// A test program: the control plane on a real server, without an engine. Prints its URL, then
// serves until its standard input ends. Usage: control_server STATE_FOLDER
#include <unistd.h>

#include <cstdio>
#include <string>

#include "api/control_api.h"
#include "api/error_reply.h"
#include "loop/poll.h"

namespace hearth::api {
namespace {

class NoEngine final : public EngineView {
 public:
  std::string version_json() const override { return R"({"version":"test"})"; }
  std::string state_json() const override { return "{}"; }
  std::string sandbox_json() const override { return "{}"; }
  std::string doctor_json() const override { return "{}"; }
  std::string function_json(std::string_view) const override { return R"({"workers":0})"; }
};

class ControlOnly final : public http::Handler {
 public:
  explicit ControlOnly(ControlApi& control) : control_(control) {}
  http::HeadDecision on_head(const http::RequestHead& head) override {
    if (control_.matches(head)) return control_.on_head(head);
    return {http::HeadDecision::Body::refuse, 0, Code::route_unknown, {}};
  }
  void on_request(ConnectionId connection, http::Request& request) override {
    control_.on_request(connection, request);
  }
  void on_gone(ConnectionId connection) override { control_.on_gone(connection); }
  void render_refusal(const http::Refusal& refusal, const http::RequestHead*,
                      http::RefusalAnswer& answer) override {
    render_error(answer, ids_.next(), refusal.code, refusal.detail);
  }

 private:
  RequestIdSource ids_;
  ControlApi& control_;
};

// Runs the loop until standard input ends.
void serve(Loop& loop) {
  Poll input;
  HEARTH_ASSERT(input.start(loop, STDIN_FILENO, UV_READABLE,
                            Poll::EventFn::plain(
                                [](void* context, int) {
                                  char bytes[64];
                                  if (::read(STDIN_FILENO, bytes, sizeof bytes) <= 0) {
                                    static_cast<Loop*>(context)->stop();
                                  }
                                },
                                &loop)));
  loop.run();
}

int run(const char* state) {
  SystemClock clock;
  Loop loop(clock);
  const Limits limits;
  BufferPool buffers(limits.buffers_max);
  FdLogSink sink(STDERR_FILENO);
  const Log log(&sink, LogLevel::info);
  NoEngine engine;
  Mailbox mailbox(loop, 64);
  RuntimeCatalogue runtimes({{Runtime::python3, 0, "3.12.1", "/usr/bin/python3.12"},
                             {Runtime::nodejs, 0, "20.19.2", "/usr/bin/node"}},
                            Substitute::never);
  StoreThread store(mailbox, clock, log, {state, limits, std::move(runtimes)});
  ControlApi control({store, loop, limits, engine});
  ControlOnly handler(control);
  if (const auto opened = store.open(); !opened) {
    std::fprintf(stderr, "%s\n", opened.error().message().c_str());
    return 1;
  }
  http::Server server(loop, buffers, limits, handler, log, store.folder().spool_path());
  control.attach(server);
  const auto address = server.listen("127.0.0.1:0", false);
  if (!address) return 1;
  store.start();
  std::printf("http://%s\n", address->c_str());
  std::fflush(stdout);
  serve(loop);
  store.stop();
  return 0;
}

}  // namespace
}  // namespace hearth::api

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: control_server STATE_FOLDER\n");
    return 2;
  }
  return hearth::api::run(argv[1]);
}
