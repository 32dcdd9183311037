// What the engine tells of itself and of its functions, as texts.
#include <algorithm>
#include <string>

#include "capi/blocking.h"
#include "capi/error.h"

struct hearth_text {
  std::string text;
};

namespace hearth::capi {
namespace {

constexpr uint32_t kLinesDefault = 100;
constexpr uint32_t kLinesMax = 10'000;
constexpr size_t kBytesALine = 512;         // to begin with; doubled until there are enough
constexpr size_t kLogBytesMax = 64u << 20;  // limits.log_function_max by default

using Text = std::shared_ptr<Answer<std::string>>;

// `make` blocks; it is not asked for what nobody could be given.
template <class Make>
hearth_error_t* give(hearth_text_t** out, Make make) {
  if (out == nullptr) return to_c(Code::invalid_parameter, "out is NULL");
  Result<std::string> text = make();
  if (!text) return to_c(text.error());
  *out = new hearth_text{std::move(*text)};
  return nullptr;
}

// A text of several lines keeps them, each after the first indented, so that none can pass for a
// line of another request.
void append_line(std::string& out, const LogPage::Line& line) {
  out.append(line.time).append(" ");
  std::string id = line.request_id == "-" ? "" : line.request_id.substr(0, 8);
  id.resize(8, ' ');
  out += id;
  std::string_view body = line.text;
  if (body.ends_with('\n')) body.remove_suffix(1);
  for (size_t start = 0; start <= body.size();) {
    const size_t end = std::min(body.find('\n', start), body.size());
    out += start == 0 ? " " : "    ";
    append_escaped(out, body.substr(start, end - start));
    out += "\n";
    start = end + 1;
  }
}

// All pages from about `bytes` before the end on.
Result<std::vector<LogPage::Line>> tail_lines(LogFiles& logs, const std::string& function,
                                              size_t bytes) {
  std::vector<LogPage::Line> lines;
  LogQuery query;
  query.cursor = fmt::format("tail:{}", bytes);
  for (;;) {
    LogPage page = HEARTH_TRY(logs.read(function, query));
    std::move(page.lines.begin(), page.lines.end(), std::back_inserter(lines));
    if (page.cursor == query.cursor || page.lines.empty()) return lines;
    query.cursor = std::move(page.cursor);
  }
}

Result<std::string> read_tail(LogFiles& logs, const std::string& function, uint32_t wanted) {
  std::vector<LogPage::Line> lines;
  size_t before = 0;
  for (size_t bytes = wanted * kBytesALine;; bytes *= 4) {
    lines = HEARTH_TRY(tail_lines(logs, function, bytes));
    const bool all = lines.size() == before;  // more bytes gave no more lines
    if (lines.size() >= wanted || all || bytes >= kLogBytesMax) break;
    before = lines.size();
  }
  std::string out;
  const size_t first = lines.size() > wanted ? lines.size() - wanted : 0;
  for (size_t i = first; i < lines.size(); ++i) append_line(out, lines[i]);
  return out;
}

Result<std::string> logs_of(hearth_engine& handle, const char* function, uint32_t lines,
                            uint64_t timeout_ms) {
  if (function == nullptr) return Error{Code::invalid_parameter, "function is NULL"};
  const std::string name(function);
  const auto known = ask<bool>(handle, timeout_ms, [name](Engine& engine, const auto& told) {
    told->set(static_cast<bool>(engine.invoke_port().find(name)));
  });
  if (!known) return known.error();
  if (!*known) return Error{Code::function_unknown, fmt::format("Function not found: {}", name)};
  return read_tail(handle.engine().store().logs(), name,
                   std::min(lines == 0 ? kLinesDefault : lines, kLinesMax));
}

}  // namespace
}  // namespace hearth::capi

const char* hearth_text_data(const hearth_text_t* text) { return text->text.c_str(); }
size_t hearth_text_size(const hearth_text_t* text) { return text->text.size(); }
void hearth_text_free(hearth_text_t* text) { delete text; }

hearth_error_t* hearth_engine_metrics(hearth_engine_t* engine, uint64_t timeout_ms,
                                      hearth_text_t** out) {
  using namespace hearth::capi;
  const auto tell = [](hearth::Engine& e, const Text& told) { told->set(e.metrics_text()); };
  return give(out, [&] { return ask<std::string>(*engine, timeout_ms, tell); });
}

hearth_error_t* hearth_engine_functions(hearth_engine_t* engine, uint64_t timeout_ms,
                                        hearth_text_t** out) {
  using namespace hearth::capi;
  const auto tell = [](hearth::Engine& e, const Text& told) { told->set(e.functions_json()); };
  return give(out, [&] { return ask<std::string>(*engine, timeout_ms, tell); });
}

hearth_error_t* hearth_function_logs(hearth_engine_t* engine, const char* function, uint32_t lines,
                                     uint64_t timeout_ms, hearth_text_t** out) {
  using namespace hearth::capi;
  return give(out, [&] { return logs_of(*engine, function, lines, timeout_ms); });
}
