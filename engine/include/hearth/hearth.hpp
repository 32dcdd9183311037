// hearth.h for C++20: handles that release themselves, results instead of error pointers, lambdas
// instead of function and context. Nothing more: no thread, no state and no exception of its own.
// Everything that hearth.h says of threads, times and ownership holds here.
//
//   auto engine = hearth::Engine::open({});
//   if (!engine) return fail(engine.error().message());
//   engine->load_folder("functions/resize");
//   auto reply = engine->invoke("resize", R"({"width": 80})");
//   if (reply) use(reply->payload());
#ifndef HEARTH_HEARTH_HPP
#define HEARTH_HEARTH_HPP

#include <hearth/hearth.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hearth {
inline namespace v1 {

using std::chrono::milliseconds;

namespace detail {
inline hearth_bytes_t bytes(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view view(hearth_bytes_t b) {
  return {static_cast<const char*>(b.data), b.size};
}
inline std::uint64_t ms(milliseconds time) {
  return time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
}
template <auto Function>
struct Release {
  template <class T>
  void operator()(T* handle) const {
    Function(handle);
  }
};
template <class T, auto Function>
using Handle = std::unique_ptr<T, Release<Function>>;
// nullptr for an empty text: "not set" in hearth.h.
inline const char* set(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }
}  // namespace detail

// Why something failed. Never empty.
class Failure {
 public:
  explicit Failure(hearth_error_t* error) : error_(error) {}
  std::string_view name() const { return hearth_error_name(error_.get()); }  // "queue_full"
  std::uint32_t code() const { return hearth_error_code(error_.get()); }
  std::string message() const { return hearth_error_message(error_.get()); }
  std::uint32_t http_status() const { return hearth_error_http_status(error_.get()); }
  bool retryable() const { return hearth_error_retryable(error_.get()) != 0; }

 private:
  detail::Handle<hearth_error_t, hearth_error_free> error_;
};

// A value or a failure. Asking for the side that is not there ends the program.
template <class T = std::monostate>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}
  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return *check(std::get_if<0>(&state_)); }
  const T& operator*() const& { return *check(std::get_if<0>(&state_)); }
  T&& operator*() && { return std::move(*check(std::get_if<0>(&state_))); }
  T* operator->() { return check(std::get_if<0>(&state_)); }
  const T* operator->() const { return check(std::get_if<0>(&state_)); }
  Failure& error() & { return *check(std::get_if<1>(&state_)); }
  const Failure& error() const& { return *check(std::get_if<1>(&state_)); }
  Failure&& error() && { return std::move(*check(std::get_if<1>(&state_))); }

 private:
  template <class P>
  static P check(P pointer) {
    if (pointer == nullptr) std::terminate();
    return pointer;
  }
  std::variant<T, Failure> state_;
};
using Status = Result<>;

namespace detail {
inline Status status(hearth_error_t* error) {
  if (error != nullptr) return Failure(error);
  return std::monostate();
}
}  // namespace detail

// How a call ended. Its views are valid as long as what it was asked of (a Reply), or during the
// callback that it was given to.
class Outcome {
 public:
  explicit Outcome(const hearth_outcome_t& outcome) : outcome_(&outcome) {}
  bool ok() const { return outcome_->kind == HEARTH_REPLY; }
  // The function's own error: payload() is its JSON.
  bool is_function_error() const { return outcome_->kind == HEARTH_FUNCTION_ERROR; }
  std::string_view payload() const { return detail::view(outcome_->payload); }
  std::string_view error_name() const { return outcome_->error_name; }
  std::string_view error_message() const { return detail::view(outcome_->error_message); }
  bool retryable() const { return outcome_->retryable != 0; }
  std::string_view log_tail() const { return detail::view(outcome_->log_tail); }
  std::string_view request_id() const { return outcome_->request_id; }
  std::string_view revision() const { return outcome_->revision; }
  bool cold() const { return outcome_->cold != 0; }
  std::chrono::microseconds exec_time() const {
    return std::chrono::microseconds(outcome_->exec_us);
  }
  const hearth_outcome_t& raw() const { return *outcome_; }

 private:
  const hearth_outcome_t* outcome_;
};

// What a blocking call returned: the function's reply or its own error. Survives its engine.
class Reply {
 public:
  explicit Reply(hearth_reply_t* reply) : reply_(reply) {}
  std::string_view payload() const { return detail::view(hearth_reply_payload(reply_.get())); }
  bool is_error() const { return hearth_reply_is_error(reply_.get()) != 0; }
  Outcome outcome() const { return Outcome(*hearth_reply_outcome(reply_.get())); }

 private:
  detail::Handle<hearth_reply_t, hearth_reply_release> reply_;
};

// A call that runs. Destroying it does not cancel. THREAD-SAFE.
class Call {
 public:
  Call() = default;
  explicit Call(hearth_call_t* call) : call_(call) {}
  void cancel() {
    if (call_) hearth_call_cancel(call_.get());
  }

 private:
  detail::Handle<hearth_call_t, hearth_call_release> call_;
};

// A call that a host function has to answer: exactly once, by reply() or fail(), from any thread.
// One that is destroyed unanswered fails.
class Incoming {
 public:
  Incoming(hearth_incoming_t* call, hearth_bytes_t event) : call_(call), event_(event) {}
  std::string_view event() const { return detail::view(event_); }  // until it is answered
  std::string_view request_id() const { return hearth_incoming_request_id(call_.get()); }
  milliseconds remaining() const { return milliseconds(hearth_incoming_remaining_ms(call_.get())); }
  void write(std::string_view part) { hearth_incoming_write(call_.get(), detail::bytes(part)); }
  void reply(std::string_view json) { hearth_incoming_reply(call_.release(), detail::bytes(json)); }
  void fail(const std::string& type, const std::string& message) {
    hearth_incoming_fail(call_.release(), type.c_str(), message.c_str());
  }

 private:
  static void unanswered(hearth_incoming_t* call) {
    const bool thrown = std::uncaught_exceptions() > 0;
    hearth_incoming_fail(
        call, "Unanswered",
        thrown ? "the host's function threw an exception" : "the host's function did not answer");
  }
  detail::Handle<hearth_incoming_t, unanswered> call_;
  hearth_bytes_t event_;
};

// As hearth_options_t; empty texts are "not set".
struct Options {
  bool host_driven = false;
  bool i_know_this_is_unsafe = false;
  std::string config_path{}, config_yaml{}, state_dir{}, listen{}, sandbox{};
  int log_level = 0;
  std::function<void(int level, std::string_view area, std::string_view text)> log{};
  std::function<void(const hearth_log_line_t& line)> function_log{};
};

struct InvokeOptions {
  milliseconds timeout{0};
  bool want_log_tail = false;
  bool http_event = false;
  std::string client_context_json{};
};

struct HostOptions {
  std::uint32_t concurrency = 1;
  milliseconds timeout{0};
  std::uint32_t queue = 0;
};

struct File {
  std::string path;
  std::string_view content;
  bool executable = false;
};

// An engine, closed with this object: drain() or close() before, if calls are to end in peace.
class Engine {
 public:
  using DoneFn = std::function<void(const Outcome&)>;
  using PartFn = std::function<void(std::string_view)>;
  using Handler = std::function<void(Incoming)>;

  static Result<Engine> open(Options options) {
    auto kept = std::make_unique<Options>(std::move(options));  // its log functions are called
    hearth_options_t o;
    HEARTH_INIT(&o);
    o.flags = (kept->host_driven ? std::uint32_t{HEARTH_HOST_DRIVEN} : 0u) |
              (kept->i_know_this_is_unsafe ? std::uint32_t{HEARTH_I_KNOW_THIS_IS_UNSAFE} : 0u);
    o.config_path = detail::set(kept->config_path);
    o.config_yaml = detail::set(kept->config_yaml);
    o.state_dir = detail::set(kept->state_dir);
    o.listen = detail::set(kept->listen);
    o.sandbox = detail::set(kept->sandbox);
    o.log_level = kept->log_level;
    if (kept->log) o.log = on_log;
    if (kept->function_log) o.function_log = on_function_log;
    o.log_ctx = o.function_log_ctx = kept.get();
    hearth_engine_t* engine = nullptr;
    if (hearth_error_t* error = hearth_engine_open(&o, &engine)) return Failure(error);
    return Engine(engine, std::move(kept));
  }
  Engine(Engine&&) noexcept = default;
  Engine& operator=(Engine&& other) noexcept {
    engine_ = std::move(other.engine_);  // closes ours, which still calls our log functions
    options_ = std::move(other.options_);
    return *this;
  }

  Status close(milliseconds drain) {
    if (hearth_error_t* error = hearth_engine_close(engine_.get(), detail::ms(drain)))
      return Failure(error);
    static_cast<void>(engine_.release());
    return std::monostate();
  }
  void drain() { hearth_engine_drain(engine_.get()); }
  int fd() const { return hearth_engine_fd(engine_.get()); }
  Status step(milliseconds most) {
    return detail::status(hearth_engine_step(engine_.get(), detail::ms(most)));
  }
  std::string address() const {  // empty without a listener
    const char* address = hearth_engine_address(engine_.get());
    return address != nullptr ? address : "";
  }
  std::string_view sandbox() const { return hearth_engine_sandbox(engine_.get()); }
  hearth_engine_t* raw() const { return engine_.get(); }

  // Loading gives the revision. Empty texts are "not set", times of 0 the default.
  Result<std::string> load(const hearth_source_t& source, milliseconds timeout = {}) {
    char revision[65];
    if (hearth_error_t* error =
            hearth_function_load(engine_.get(), &source, detail::ms(timeout), revision))
      return Failure(error);
    return std::string(revision);
  }
  Result<std::string> load_folder(const std::string& folder, const std::string& name = {}) {
    hearth_source_t source;
    HEARTH_INIT(&source);
    source.folder = folder.c_str();
    source.name = detail::set(name);
    return load(source);
  }
  Result<std::string> load_files(const std::string& name, const std::vector<File>& files,
                                 const std::string& manifest_yaml = {}) {
    std::vector<hearth_file_t> list(files.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
      HEARTH_INIT(&list[i]);
      list[i].path = files[i].path.c_str();
      list[i].content = detail::bytes(files[i].content);
      list[i].mode = files[i].executable ? 0755 : 0644;
    }
    hearth_source_t source;
    HEARTH_INIT(&source);
    source.files = list.data();
    source.file_count = static_cast<std::uint32_t>(list.size());
    source.manifest_yaml = detail::set(manifest_yaml);
    source.name = detail::set(name);
    return load(source);
  }
  Status remove(const std::string& name, milliseconds timeout = {}) {
    return detail::status(hearth_function_remove(engine_.get(), name.c_str(), detail::ms(timeout)));
  }
  // `handler` runs on the engine's thread, and is destroyed there when the function is gone. When
  // it throws, its call fails. (Every other callback must not throw: that ends the program.)
  Status define(const std::string& name, Handler handler, const HostOptions& options = {}) {
    auto kept = std::make_unique<Handler>(std::move(handler));
    hearth_host_function_t function;
    HEARTH_INIT(&function);
    function.name = name.c_str();
    function.concurrency = options.concurrency;
    function.timeout_ms = detail::ms(options.timeout);
    function.queue = options.queue;
    function.handler = on_call;
    function.on_removed = on_removed;
    function.ctx = kept.get();
    if (hearth_error_t* error = hearth_function_define(engine_.get(), &function, 0)) {
      Failure failure(error);
      // on_removed comes in any case: the engine's then.
      if (failure.name() == "timed_out") static_cast<void>(kept.release());
      return failure;
    }
    static_cast<void>(kept.release());
    return std::monostate();
  }

  // Blocks. A failure of the function itself is a Reply with is_error().
  Result<Reply> invoke(const std::string& function, std::string_view payload,
                       const InvokeOptions& options = {}) {
    const hearth_request_t request = request_of(function, payload, options);
    hearth_reply_t* reply = nullptr;
    if (hearth_error_t* error = hearth_invoke(engine_.get(), &request, &reply))
      return Failure(error);
    return Reply(reply);
  }
  // `done` runs exactly once, on the engine's thread, unless this returns a failure.
  Result<Call> invoke_async(const std::string& function, std::string_view payload, DoneFn done,
                            const InvokeOptions& options = {}) {
    return invoke_stream(function, payload, nullptr, std::move(done), options);
  }
  // The same, with `part` for what comes of the reply before its end.
  Result<Call> invoke_stream(const std::string& function, std::string_view payload, PartFn part,
                             DoneFn done, const InvokeOptions& options = {}) {
    auto back = std::make_unique<Back>(Back{std::move(part), std::move(done)});
    const hearth_request_t request = request_of(function, payload, options);
    hearth_call_t* call = nullptr;
    if (hearth_error_t* error = hearth_invoke_stream(
            engine_.get(), &request, back->part ? on_part : nullptr, on_done, back.get(), &call))
      return Failure(error);
    static_cast<void>(back.release());  // on_done frees it
    return Call(call);
  }

  Result<std::string> metrics(milliseconds timeout = {}) {
    hearth_text_t* text = nullptr;
    return text_of(hearth_engine_metrics(engine_.get(), detail::ms(timeout), &text), text);
  }
  Result<std::string> functions(milliseconds timeout = {}) {
    hearth_text_t* text = nullptr;
    return text_of(hearth_engine_functions(engine_.get(), detail::ms(timeout), &text), text);
  }
  Result<std::string> logs(const std::string& function, std::uint32_t lines = 0,
                           milliseconds timeout = {}) {
    hearth_text_t* text = nullptr;
    hearth_error_t* error =
        hearth_function_logs(engine_.get(), function.c_str(), lines, detail::ms(timeout), &text);
    return text_of(error, text);
  }

 private:
  struct Back {
    PartFn part;
    DoneFn done;
  };
  struct Close {
    void operator()(hearth_engine_t* engine) const {
      hearth_error_free(hearth_engine_close(engine, 0));
    }
  };
  Engine(hearth_engine_t* engine, std::unique_ptr<Options> options)
      : options_(std::move(options)), engine_(engine) {}

  static hearth_request_t request_of(const std::string& function, std::string_view payload,
                                     const InvokeOptions& options) {
    hearth_request_t request;
    HEARTH_INIT(&request);
    request.flags = (options.want_log_tail ? std::uint32_t{HEARTH_WANT_LOG_TAIL} : 0u) |
                    (options.http_event ? std::uint32_t{HEARTH_HTTP_EVENT} : 0u);
    request.function = function.c_str();
    request.payload = detail::bytes(payload);
    request.timeout_ms = detail::ms(options.timeout);
    request.client_context_json = detail::set(options.client_context_json);
    return request;
  }
  static Result<std::string> text_of(hearth_error_t* error, hearth_text_t* const& text) {
    if (error != nullptr) return Failure(error);
    const detail::Handle<hearth_text_t, hearth_text_free> owner(text);
    return std::string(hearth_text_data(text), hearth_text_size(text));
  }
  static void on_log(void* ctx, int level, const char* area, hearth_bytes_t text) noexcept {
    static_cast<Options*>(ctx)->log(level, area, detail::view(text));
  }
  static void on_function_log(void* ctx, const hearth_log_line_t* line) noexcept {
    static_cast<Options*>(ctx)->function_log(*line);
  }
  static void on_part(void* ctx, hearth_bytes_t part) noexcept {
    static_cast<Back*>(ctx)->part(detail::view(part));
  }
  static void on_done(void* ctx, const hearth_outcome_t* outcome) noexcept {
    const std::unique_ptr<Back> back(static_cast<Back*>(ctx));
    if (back->done) back->done(Outcome(*outcome));
  }
  // What it throws ends here: its call was answered, or fails when the Incoming is destroyed.
  static void on_call(void* ctx, hearth_incoming_t* call, hearth_bytes_t event) noexcept {
#if defined(__cpp_exceptions)
    try {
      (*static_cast<Handler*>(ctx))(Incoming(call, event));
    } catch (...) {
    }
#else
    (*static_cast<Handler*>(ctx))(Incoming(call, event));
#endif
  }
  static void on_removed(void* ctx) { delete static_cast<Handler*>(ctx); }

  std::unique_ptr<Options> options_;
  std::unique_ptr<hearth_engine_t, Close> engine_;  // closed before its log functions go
};

}  // namespace v1
}  // namespace hearth

#endif
