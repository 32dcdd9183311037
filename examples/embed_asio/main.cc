// An Asio program that drives an engine on its own loop: no second thread, callbacks on the thread
// of io_context. The same three steps fit epoll, libuv or glib: watch the descriptor, step when it
// is readable, watch again.
//
//   embed_asio FOLDER    the function's folder, here echo/
#include <hearth/hearth.h>

#include <asio.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void check(const char* what, hearth_error_t* error) {
  if (error == nullptr) return;
  std::fprintf(stderr, "%s: %s\n", what, hearth_error_message(error));
  hearth_error_free(error);
  std::exit(1);
}

// Steps the engine whenever its descriptor is readable; due timers make it readable too.
class EngineOnAsio {
 public:
  EngineOnAsio(asio::io_context& io, hearth_engine_t* engine)
      : engine_(engine), descriptor_(io, hearth_engine_fd(engine)) {
    watch();
  }
  // The descriptor belongs to the engine.
  ~EngineOnAsio() { descriptor_.release(); }

 private:
  void watch() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [this](const asio::error_code& error) {
                             if (error) return;
                             check("step", hearth_engine_step(engine_, 0));
                             watch();
                           });
  }

  hearth_engine_t* engine_;
  asio::posix::stream_descriptor descriptor_;
};

// A call each 50 ms from a timer of the host, until three replies have come.
class Caller {
 public:
  Caller(asio::io_context& io, hearth_engine_t* engine) : io_(io), timer_(io), engine_(engine) {
    wait();
  }
  bool succeeded() const { return replies_ == kCalls; }

 private:
  static constexpr int kCalls = 3;

  void wait() {
    timer_.expires_after(std::chrono::milliseconds(50));
    timer_.async_wait([this](const asio::error_code& error) {
      if (!error) call();
    });
  }
  void call() {
    const std::string event = "{\"call\": " + std::to_string(++calls_) + "}";
    hearth_request_t request;
    HEARTH_INIT(&request);
    request.function = "echo";
    request.payload = {event.data(), event.size()};
    request.timeout_ms = 10'000;
    check("invoke", hearth_invoke_async(engine_, &request, on_done, this, nullptr));
    if (calls_ < kCalls) wait();
  }
  // Inside hearth_engine_step(): the thread of io_context, so nothing here needs a lock.
  static void on_done(void* ctx, const hearth_outcome_t* outcome) {
    auto* self = static_cast<Caller*>(ctx);
    if (outcome->kind == HEARTH_REPLY) ++self->replies_;
    std::printf("%.*s%s\n", static_cast<int>(outcome->payload.size),
                static_cast<const char*>(outcome->payload.data), outcome->error_name);
    if (++self->ended_ == kCalls) self->io_.stop();
  }

  asio::io_context& io_;
  asio::steady_timer timer_;
  hearth_engine_t* engine_;
  int calls_ = 0, ended_ = 0, replies_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: embed_asio FOLDER\n");
    return 2;
  }
  hearth_options_t options;
  HEARTH_INIT(&options);
  options.flags = HEARTH_HOST_DRIVEN;
  hearth_engine_t* engine = nullptr;
  check("open", hearth_engine_open(&options, &engine));

  hearth_source_t source;
  HEARTH_INIT(&source);
  source.folder = argv[1];
  source.name = "echo";
  check("load", hearth_function_load(engine, &source, 0, nullptr));

  bool succeeded = false;
  {
    asio::io_context io;
    const EngineOnAsio on_asio(io, engine);
    const Caller caller(io, engine);
    io.run();
    succeeded = caller.succeeded();
  }
  check("close", hearth_engine_close(engine, 1000));
  return succeeded ? 0 : 1;
}
