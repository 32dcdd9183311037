#include "dev/dotenv.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>

#include "config/read_file.h"

namespace hearth::dev {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

bool is_key_start(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? true : c == '_'; }
bool is_key_char(char c) { return is_key_start(c) || (c >= '0' && c <= '9'); }

// One line of the file, and where it stands.
class Line {
 public:
  Line(std::string_view text, std::string_view file, int number)
      : rest_(text), file_(file), number_(number) {}

  // Nothing: an empty line or a comment.
  Result<std::optional<std::pair<std::string, std::string>>> read() {
    skip_blanks(rest_);
    if (rest_.empty() || rest_.front() == '#') return std::optional<Pair>();
    if (rest_.starts_with("export ") || rest_.starts_with("export\t")) {
      rest_.remove_prefix(6);
      skip_blanks(rest_);
    }
    std::string key = HEARTH_TRY(read_key());
    std::string value = HEARTH_TRY(read_value(key));
    if (value.find('\0') != std::string::npos) return wrong("a value can't have a NUL byte");
    return std::optional<Pair>({std::move(key), std::move(value)});
  }

 private:
  using Pair = std::pair<std::string, std::string>;

  Error wrong(std::string_view what) const {
    return Error{Code::config_invalid, fmt::format("{}:{}: {}", file_, number_, what)};
  }

  Result<std::string> read_key() {
    size_t size = 0;
    while (size < rest_.size() && is_key_char(rest_[size])) ++size;
    if (size == 0 || !is_key_start(rest_.front()))
      return wrong("a line is KEY=VALUE; a key is letters, digits and '_', and no digit is first");
    std::string key(rest_.substr(0, size));
    rest_.remove_prefix(size);
    skip_blanks(rest_);
    if (!rest_.starts_with('=')) return wrong(fmt::format("'=' is missing behind '{}'", key));
    rest_.remove_prefix(1);
    skip_blanks(rest_);
    return key;
  }

  Result<std::string> read_value(const std::string& key) {
    if (rest_.starts_with('\'')) return read_quoted(key, '\'');
    if (rest_.starts_with('"')) return read_quoted(key, '"');
    size_t end = 0;
    // '#' starts a comment only behind white space, so that a URL's fragment needs no quotes.
    while (end < rest_.size() && !(rest_[end] == '#' && (end == 0 || is_blank(rest_[end - 1]))))
      ++end;
    while (end > 0 && is_blank(rest_[end - 1])) --end;
    return std::string(rest_.substr(0, end));
  }

  Result<std::string> read_quoted(const std::string& key, char quote) {
    std::string value;
    for (size_t i = 1; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (c == quote) {
        rest_.remove_prefix(i + 1);
        skip_blanks(rest_);
        if (!rest_.empty() && rest_.front() != '#')
          return wrong(fmt::format("there is text behind the quotes of '{}'", key));
        return value;
      }
      if (c != '\\' || quote == '\'') {
        value += c;
        continue;
      }
      if (++i == rest_.size()) break;
      value += unescaped(rest_[i]);
    }
    return wrong(
        fmt::format("the quote of '{}' does not end; \\n in double quotes is a new line", key));
  }

  static std::string unescaped(char c) {
    switch (c) {
      case 'n':
        return "\n";
      case 't':
        return "\t";
      case 'r':
        return "\r";
      case '"':
      case '\\':
      case '$':
      case '`':
        return std::string(1, c);
      default:
        return {'\\', c};
    }
  }

  std::string_view rest_;
  std::string_view file_;
  int number_;
};

}  // namespace

Result<Environment> parse_dotenv(std::string_view text, std::string_view file) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Environment pairs;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    auto pair = HEARTH_TRY(Line(line, file, number).read());
    if (!pair) continue;
    const auto known = std::find_if(pairs.begin(), pairs.end(),
                                    [&](const auto& other) { return other.first == pair->first; });
    if (known != pairs.end()) {
      known->second = std::move(pair->second);
    } else {
      pairs.push_back(*std::move(pair));
    }
  }
  return pairs;
}

Result<Environment> load_dotenv(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 && errno == ENOENT) return Environment();
  const std::string text = HEARTH_TRY(read_file(path, kDotenvMax, Code::config_invalid));
  return parse_dotenv(text, path);
}

Environment merged(Environment base, const Environment& extra) {
  std::map<std::string, std::string> all(base.begin(), base.end());
  for (const auto& [key, value] : extra) all[key] = value;
  return {all.begin(), all.end()};
}

}  // namespace hearth::dev
