#include "api/control_upload.h"

#include <fmt/core.h>

#include <cstring>

#include "base/base64.h"
#include "store/files.h"

namespace hearth::api {
namespace {

constexpr std::string_view kArchiveKey = "ZipFile";
constexpr size_t kArchivesMax = 16;
constexpr size_t kChunk = 64 * 1024;  // characters decoded at once
static_assert(kChunk % 4 == 0);

// Where the string ends whose first character is at `begin`: the position of its closing quote, or
// npos.
size_t string_end(std::string_view text, size_t begin) {
  for (size_t at = begin; at < text.size(); ++at) {
    const void* quote = std::memchr(text.data() + at, '"', text.size() - at);
    if (quote == nullptr) return text.npos;
    at = static_cast<size_t>(static_cast<const char*>(quote) - text.data());
    size_t backslashes = 0;
    while (at - backslashes > begin && text[at - backslashes - 1] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return at;
  }
  return text.npos;
}

class Scanner {
 public:
  explicit Scanner(std::string_view body) : body_(body) {}

  Result<ScannedBody> run() {
    while (at_ < body_.size()) {
      HEARTH_TRY(body_[at_] == '"' ? take_string() : take_other(body_[at_]));
      if (out_.json.size() > kControlJsonMax) {
        return Error{
            Code::body_too_large,
            fmt::format("the request has more than {} bytes beside the code", kControlJsonMax)};
      }
    }
    return std::move(out_);
  }

 private:
  Status take_string() {
    const size_t end = string_end(body_, at_ + 1);
    if (end == body_.npos) {
      return Error{Code::invalid_request, "the body is not JSON: a string does not end"};
    }
    const std::string_view inside = body_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (is_value_ && key_ == kArchiveKey && out_.archives.size() < kArchivesMax) {
      out_.json += fmt::format("\"{}\"", out_.archives.size());
      out_.archives.push_back(inside);
    } else {
      if (inside.size() > kControlJsonMax) {
        return Error{Code::body_too_large, "the request has a text that is too long"};
      }
      out_.json.append("\"").append(inside).append("\"");
    }
    last_ = inside;
    is_value_ = false;
    return ok();
  }

  Status take_other(char c) {
    if (c == ':') {
      key_ = last_;
      is_value_ = true;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      is_value_ = false;
    }
    if ((c == '{' || c == '[') && ++depth_ > kControlDepthMax) {
      return Error{Code::invalid_request,
                   fmt::format("the body is nested deeper than {} levels", kControlDepthMax)};
    }
    if ((c == '}' || c == ']') && depth_ > 0) --depth_;
    out_.json += c;
    ++at_;
    return ok();
  }

  std::string_view body_;
  size_t at_ = 0;
  size_t depth_ = 0;
  std::string_view last_;  // the last string
  std::string_view key_;   // the string before the last colon
  bool is_value_ = false;  // a colon was the last thing but white space
  ScannedBody out_;
};

// The character that begins at `at`, with JSON's escapes taken off; moves `at` behind it. '\0' for
// an escape that can't stand in base64.
char next_character(std::string_view text, size_t& at) {
  const char c = text[at++];
  if (c != '\\') return c;
  if (at == text.size()) return '\0';
  const char kind = text[at++];
  if (kind == '/') return '/';
  if (kind == 'n' || kind == 'r') return '\n';
  if (kind != 'u' || text.size() - at < 4) return '\0';
  unsigned value = 0;
  for (size_t i = 0; i < 4; ++i) {
    const char h = text[at++];
    const bool digit = h >= '0' && h <= '9';
    const char lower = static_cast<char>(h | 0x20);
    if (!digit && (lower < 'a' || lower > 'f')) return '\0';
    value = value * 16 + static_cast<unsigned>(digit ? h - '0' : lower - 'a' + 10);
  }
  return value < 0x80 ? static_cast<char>(value) : '\0';
}

// Appends characters from `at` on, without line breaks, until `clean` has kChunk of them. Returns
// where it stopped.
size_t take_characters(std::string_view text, size_t at, std::string& clean) {
  while (at < text.size() && clean.size() < kChunk) {
    const std::string_view rest = text.substr(at, kChunk - clean.size());
    const std::string_view plain = rest.substr(0, rest.find('\\'));
    clean += plain;
    at += plain.size();
    if (plain.size() == rest.size()) continue;
    if (const char c = next_character(text, at); c != '\n') clean += c;
  }
  return at;
}

Error bad_base64(std::string_view why) {
  return Error{Code::invalid_parameter, fmt::format("ZipFile is not base64: {}", why)};
}

}  // namespace

Result<ScannedBody> scan_body(std::string_view body) { return Scanner(body).run(); }

Status decode_archive(std::string_view escaped, int file) {
  std::string clean;
  clean.reserve(kChunk);
  bool padded = false;
  for (size_t at = 0; at < escaped.size();) {
    at = take_characters(escaped, at, clean);
    if (clean.empty()) continue;
    if (padded) return bad_base64("something follows the padding");
    padded = clean.ends_with('=');
    // A chunk that is not the last one holds whole groups of four.
    const auto size = base64_decode(clean.data(), clean);
    if (!size) return bad_base64(fmt::format("a wrong character or length before byte {}", at));
    HEARTH_TRY(write_all(file, {clean.data(), *size}));
    clean.clear();
  }
  return ok();
}

}  // namespace hearth::api
