#include "http/head_guard.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace hearth::http {
namespace {

// Bytes that may stand inside a line and end nothing. 0x80..0xff pass: llhttp decides where they
// may stand.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 256; ++c) plain[static_cast<size_t>(c)] = c != 0x7f;
  return plain;
}();

bool is_plain(char c) { return kPlain[static_cast<unsigned char>(c)]; }

// The first byte at or after `at` that is not plain, or `end`. Eight bytes a step: a byte below
// 0x20 borrows into its top bit, and so does 0x7f once it is turned into zero; top bits that were
// set before (0x80..0xff are plain) don't count. A borrow can only mark bytes behind a true one.
size_t skip_plain(const char* bytes, size_t at, size_t end) {
  static_assert(std::endian::native == std::endian::little);
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kTops = kOnes * 0x80;
  while (end - at >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + at, 8);
    const uint64_t below = word - kOnes * 0x20;
    const uint64_t deletes = (word ^ (kOnes * 0x7f)) - kOnes;
    const uint64_t found = (below | deletes) & ~word & kTops;
    if (found != 0) return at + static_cast<size_t>(std::countr_zero(found)) / 8;
    at += 8;
  }
  while (at < end && is_plain(bytes[at])) ++at;
  return at;
}

}  // namespace

HeadGuard::Verdict HeadGuard::scan(std::string_view bytes, size_t head_max) {
  const size_t end = std::min(bytes.size(), head_max);
  while (position_ < end) {
    if (at_ == At::line || at_ == At::request_line) {
      position_ = skip_plain(bytes.data(), position_, end);
      if (position_ == end) break;
    }
    if (!step(bytes)) return Verdict::refused;
    if (complete_) return Verdict::complete;
  }
  if (position_ < head_max) return Verdict::more;
  refuse(Code::head_too_large, "the request line and the headers are longer than http.head");
  return Verdict::refused;
}

HeadGuard::Verdict HeadGuard::scan_trailers(std::string_view part, size_t& used) {
  position_ = 0;
  while (position_ < part.size() && !complete_) {
    if (!step(part)) return Verdict::refused;
  }
  used = position_;
  return complete_ ? Verdict::complete : Verdict::more;
}

bool HeadGuard::step(std::string_view bytes) {
  const char c = bytes[position_];
  switch (at_) {
    case At::start:
      if (c != '\r') {
        at_ = At::request_line;  // the byte is looked at again there
        return true;
      }
      // Some clients send an empty line behind a body; RFC 9112 (2.2) asks servers to take one.
      if (begin_ != 0)
        return refuse(Code::http_malformed, "more than one empty line before the request line");
      at_ = At::start_lf;
      break;
    case At::request_line:
      if (c != '\r') return refuse(Code::http_malformed, "a control character in the request line");
      if (!end_request_line(bytes.substr(begin_, position_ - begin_))) return false;
      at_ = At::request_line_lf;
      break;
    case At::line_start:
      if (c == ' ' || c == '\t') return refuse(Code::http_malformed, "a folded header line");
      if (c == ':') return refuse(Code::http_malformed, "a header without a name");
      at_ = c == '\r' ? At::end_lf : At::line;
      if (at_ == At::line) return true;
      break;
    case At::line:
      if (c == '\r') {
        at_ = At::line_lf;
      } else if (c != '\t' && !is_plain(c)) {
        return refuse(Code::http_malformed, "a control character in a header line");
      }
      break;
    case At::start_lf:
    case At::request_line_lf:
    case At::line_lf:
    case At::end_lf:
      if (c != '\n') return refuse(Code::http_malformed, "a carriage return without a line feed");
      complete_ = at_ == At::end_lf;
      if (at_ == At::start_lf) begin_ = position_ + 1;
      at_ = at_ == At::start_lf ? At::start : At::line_start;
      break;
  }
  ++position_;
  return true;
}

bool HeadGuard::end_request_line(std::string_view line) {
  if (!line.ends_with(" HTTP/1.1") && !line.ends_with(" HTTP/1.0")) {
    return refuse(Code::http_version, "the request line does not end in HTTP/1.1 or HTTP/1.0");
  }
  if (std::count(line.begin(), line.end(), ' ') == 2) return true;
  return refuse(
      Code::http_malformed,
      "the request line is not a method, a target and a version with one space between them");
}

bool HeadGuard::refuse(Code code, std::string_view detail) {
  refusal_ = {code, detail};
  return false;
}

}  // namespace hearth::http
