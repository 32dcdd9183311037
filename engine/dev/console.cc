#include "dev/console.h"

#include <fmt/core.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>

namespace hearth::dev {
namespace {

using nlohmann::json;

constexpr const char* kGreen = "32";
constexpr const char* kRed = "31";
constexpr const char* kYellow = "33";
constexpr const char* kCyan = "36";
constexpr const char* kDim = "2";
constexpr const char* kBold = "1";

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

double ms(microseconds time) { return static_cast<double>(time.count()) / 1'000; }

std::string escaped(std::string_view text) {
  std::string out;
  append_escaped(out, text);
  return out;
}

const char* status_colour(int status) {
  if (status >= 500 || status == 0) return kRed;
  return status >= 400 ? kYellow : kGreen;
}

const char* level_colour(int level) {
  if (level >= 4) return kRed;
  return level == 3 ? kYellow : kDim;
}

json call_json(const CallLine& call) {
  json event{{"event", "call"},
             {"function", call.function},
             {"method", call.method},
             {"path", call.path},
             {"status", call.status == 0 ? json(nullptr) : json(call.status)},
             {"duration_ms", ms(call.took)},
             {"request_id", call.request_id},
             {"error", call.error.empty() ? json(nullptr) : json(call.error)}};
  if (!call.ran) return event;
  event["cold"] = call.cold;
  if (call.cold) event["init_ms"] = ms(call.init);
  if (call.memory_bytes != 0) event["memory_mb"] = (call.memory_bytes + (1u << 20) - 1) >> 20;
  return event;
}

}  // namespace

Console::Console(Form form, const Clock& clock, Write write)
    : form_(form), clock_(clock), write_(std::move(write)) {}

std::string Console::paint(const char* code, std::string_view text) const {
  if (form_ != Form::colour) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string Console::time() const {
  const std::time_t now =
      std::chrono::duration_cast<seconds>(clock_.wall().time_since_epoch()).count();
  std::tm local{};
  ::localtime_r(&now, &local);
  return paint(kDim, fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec));
}

void Console::line(std::string text) {
  text += '\n';
  write_(text);
}

void Console::ready(const std::string& url, const std::vector<std::string>& names, bool folders,
                    std::string_view sandbox) {
  if (form_ == Form::json) {
    return write_(
        dump({{"event", "ready"}, {"url", url}, {"functions", names}, {"sandbox", sandbox}}));
  }
  line(fmt::format("hearth dev at {}  (sandbox: {})", paint(kBold, url), sandbox));
  const std::string port = url.substr(url.rfind(':'));
  if (names.size() == 1) line(fmt::format("  {}  {}/", paint(kCyan, escaped(names[0])), url));
  for (const std::string& name : names) {
    line(fmt::format("  {}  {}/fn/{}/  http://{}.localhost{}/", paint(kCyan, escaped(name)), url,
                     escaped(name), escaped(name), port));
  }
  if (names.empty()) {
    line(folders ? "  no function could be read yet: what is wrong is said above"
                 : "  no function yet: save app.py, index.mjs or function.yaml there");
  }
  line(paint(kDim, "  saves are loaded at once; Ctrl-C ends"));
}

void Console::call(const CallLine& call) {
  if (form_ == Form::json) return write_(dump(call_json(call)));
  const std::string status = call.status == 0 ? "gone" : std::to_string(call.status);
  std::string text =
      fmt::format("{} {} {} {}  {}  {:.1f} ms", time(), paint(kCyan, escaped(call.function)),
                  escaped(call.method), escaped(call.path),
                  paint(status_colour(call.status), status), ms(call.took));
  if (call.ran) {
    text += call.cold ? paint(kYellow, fmt::format("  cold (init {:.1f} ms)", ms(call.init)))
                      : paint(kDim, "  warm");
    if (call.memory_bytes != 0)
      text += paint(kDim, fmt::format("  {} MB", (call.memory_bytes + (1u << 20) - 1) >> 20));
  }
  if (!call.error.empty()) text += "  " + paint(kRed, escaped(call.error));
  line(std::move(text));
}

void Console::log(const LogLine& log) {
  if (form_ == Form::json) {
    return write_(
        dump({{"event", "log"},
              {"function", log.function},
              {"request_id", log.request_id.empty() ? json(nullptr) : json(log.request_id)},
              {"level", log.level},
              {"text", log.text}}));
  }
  const std::string text = escaped(log.text);
  line(fmt::format("{} {} {} {}", time(), paint(kCyan, escaped(log.function)), paint(kDim, "|"),
                   log.level == 0 ? text : paint(level_colour(log.level), text)));
}

void Console::loaded(std::string_view function, milliseconds took, bool first) {
  if (form_ == Form::json) {
    return write_(dump({{"event", "loaded"},
                        {"function", function},
                        {"duration_ms", took.count()},
                        {"first", first}}));
  }
  line(fmt::format("{} {} {} {}", time(), paint(kCyan, escaped(function)),
                   paint(kGreen, first ? "loaded" : "new code is live"),
                   paint(kDim, fmt::format("{} ms", took.count()))));
}

void Console::load_failed(std::string_view function, std::string_view error, bool serving_old) {
  if (form_ == Form::json) {
    return write_(dump({{"event", "load_failed"},
                        {"function", function},
                        {"error", error},
                        {"serving_old", serving_old}}));
  }
  std::string text = fmt::format(
      "{} {} {}", time(), paint(kCyan, escaped(function)),
      paint(kRed, serving_old ? "not loaded, the code before goes on:" : "not loaded:"));
  for (size_t start = 0; start < error.size();) {
    const size_t end = std::min(error.find('\n', start), error.size());
    text += (start == 0 ? " " : "\n    ") + escaped(error.substr(start, end - start));
    start = end + 1;
  }
  line(std::move(text));
}

void Console::unchanged(std::string_view function) {
  if (form_ == Form::json) return write_(dump({{"event", "unchanged"}, {"function", function}}));
  line(fmt::format("{} {} {}", time(), paint(kCyan, escaped(function)),
                   paint(kDim, "this is what serves already")));
}

void Console::removed(std::string_view function) {
  if (form_ == Form::json) return write_(dump({{"event", "removed"}, {"function", function}}));
  line(fmt::format("{} {} removed", time(), paint(kCyan, escaped(function))));
}

void Console::warning(std::string_view text) {
  if (form_ == Form::json) return write_(dump({{"event", "warning"}, {"text", text}}));
  line(paint(kYellow, "warning: " + escaped(text)));
}

void Console::stopping() {
  if (form_ == Form::json) return write_(dump({{"event", "stopping"}}));
  line(paint(kDim, "stopping"));
}

Console::Form form_for(int fd, bool json) {
  if (json) return Console::Form::json;
  const char* no_colour = ::getenv("NO_COLOR");
  const char* terminal = ::getenv("TERM");
  const bool wanted = (no_colour == nullptr || no_colour[0] == '\0') &&
                      (terminal == nullptr || std::string_view(terminal) != "dumb");
  return ::isatty(fd) == 1 && wanted ? Console::Form::colour : Console::Form::plain;
}

Console::Write write_to(int fd, std::function<void()> on_gone) {
  return [fd, on_gone = std::move(on_gone)](std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::write(fd, text.data(), text.size());
      if (n > 0) {
        text.remove_prefix(static_cast<size_t>(n));
      } else if (n < 0 && errno == EAGAIN) {
        pollfd room{fd, POLLOUT, 0};
        ::poll(&room, 1, 1'000);
      } else if (n == 0 || errno != EINTR) {
        if (n < 0 && errno == EPIPE) on_gone();
        return;
      }
    }
  };
}

}  // namespace hearth::dev
