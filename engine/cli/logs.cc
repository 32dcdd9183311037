// hearth logs
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/daemon.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

constexpr milliseconds kFollowEvery{250};
constexpr int kPageLines = 1'000;
constexpr size_t kIdShown = 8;

std::string scalar_text(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key)) return {};
  const json& value = object[key];
  if (value.is_string()) return value.get<std::string>();
  return value.is_number() ? value.dump() : std::string();
}

class LogPrinter {
 public:
  LogPrinter(const LogsOptions& options, Output& output) : options_(options), output_(output) {}

  // Prints one answer; returns how many lines it had.
  size_t print(const json& page) {
    std::string text;
    const double lost = number_of(page, "lost");
    if (lost > 0) text += lost_line(static_cast<uint64_t>(lost));
    size_t count = 0;
    if (page.is_object() && page.contains("lines") && page["lines"].is_array()) {
      for (const json& line : page["lines"]) {
        text += options_.json ? dump_line(line) : line_text(line);
        ++count;
      }
    }
    output_.out(text);
    return count;
  }

 private:
  std::string lost_line(uint64_t lost) const {
    if (options_.json) return dump_line(json{{"lost", lost}});
    return fmt::format("... {} {} lost here (log.rate or log.max in hearth.yaml)\n", lost,
                       lost == 1 ? "line was" : "lines were");
  }

  // A text of several lines keeps them, each after the first indented, so that none can pass for a
  // line of another request.
  std::string line_text(const json& line) const {
    std::string id = scalar_text(line, "request_id").substr(0, kIdShown);
    id.resize(kIdShown, ' ');
    std::string out =
        fmt::format("{} {}", shown(output_, scalar_text(line, "time")), shown(output_, id));
    std::string body = scalar_text(line, "text");
    if (body.ends_with('\n')) body.pop_back();
    for (size_t start = 0; start <= body.size();) {
      const size_t end = std::min(body.find('\n', start), body.size());
      out += start == 0 ? " " : "    ";
      out += shown(output_, std::string_view(body).substr(start, end - start)) + "\n";
      start = end + 1;
    }
    return out;
  }

  const LogsOptions& options_;
  Output& output_;
};

std::string target_of(const LogsOptions& options, const std::string& cursor) {
  std::string target = fmt::format("/hearth/v1/functions/{}/logs?max={}", options.name, kPageLines);
  if (!cursor.empty()) target += "&cursor=" + url_encoded(cursor);
  if (!options.request_id.empty()) target += "&request_id=" + url_encoded(options.request_id);
  return target;
}

}  // namespace

Exit run_logs(const LogsOptions& options, Output& output) {
  Failure failure;
  auto daemon = Daemon::open(options.server, failure);
  if (!daemon) return report(output, failure);
  LogPrinter printer(options, output);
  std::string cursor;
  for (;;) {
    http::ClientResponse response;
    if (!daemon->call("GET", target_of(options, cursor), "", response, failure))
      return report(output, failure);
    if (response.status == 404) return report(output, unknown_function(*daemon, options.name));
    if (response.status != 200)
      return report(output, refusal(response, fmt::format("can't read the log of {}", options.name),
                                    options.name));
    const json page = parse_body(response);
    if (!page.is_object() || !page.contains("lines")) return report(output, no_daemon(*daemon));
    const size_t lines = printer.print(page);
    const std::string next = scalar_text(page, "cursor");
    const bool moved = !next.empty() && next != cursor;
    if (moved) cursor = next;
    if (lines > 0 && moved) continue;
    if (!options.follow) return Exit::ok;
    std::this_thread::sleep_for(kFollowEvery);
  }
}

}  // namespace hearth::cli
