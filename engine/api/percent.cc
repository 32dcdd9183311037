#include "api/percent.h"

namespace hearth::api {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

char percent_next(std::string_view text, size_t& at, Plus plus) {
  const char c = text[at++];
  if (c == '+' && plus == Plus::space) return ' ';
  if (c != '%' || text.size() - at < 2) return c;
  const int high = hex_digit(text[at]);
  const int low = hex_digit(text[at + 1]);
  if (high < 0 || low < 0) return c;
  at += 2;
  return static_cast<char>(high * 16 + low);
}

size_t percent_decode(char* out, std::string_view text, Plus plus) {
  size_t size = 0;
  for (size_t at = 0; at < text.size();) out[size++] = percent_next(text, at, plus);
  return size;
}

bool percent_equal(std::string_view a, std::string_view b, Plus plus) {
  if (a == b) return true;
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (percent_next(a, i, plus) != percent_next(b, j, plus)) return false;
  }
  return i == a.size() && j == b.size();
}

bool next_query_pair(std::string_view& rest, QueryPair& pair) {
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    pair.key = part.substr(0, equals);
    pair.value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    return true;
  }
  return false;
}

}  // namespace hearth::api
