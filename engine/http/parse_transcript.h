// For tests and fuzzers: what the parser makes of a stream of bytes that arrives in pieces, as text
// that can be compared.
#pragma once
#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "http/parser.h"

namespace hearth::http {

// Feeds a Parser as a connection does: the head in one growing piece, the body as it comes, request
// after request.
class ParseTranscript {
 public:
  explicit ParseTranscript(size_t head_max = 4096, size_t headers_max = 32)
      : head_max_(head_max), table_(headers_max) {}

  void feed(std::string_view bytes) {
    input_.append(bytes);
    while (!refused_ && !input_.empty()) {
      const size_t before = input_.size();
      in_body_ ? take_body() : take_head();
      if (!in_body_ && before == input_.size()) break;
    }
  }

  // "POST /a [host] {body}" for each complete request, then how it ended: "refused NAME", "in a
  // head", "in a body {so far}".
  std::string text() const {
    if (refused_) return text_ + "refused " + std::string(name(parser_.refusal().code));
    if (in_body_) return text_ + "in a body {" + body_ + "}";
    return input_.empty() ? text_ : text_ + "in a head";
  }

 private:
  void take_head() {
    const Parser::Step found = parser_.find_head(input_, head_max_);
    if (found == Parser::Step::more) return;
    RequestHead head;
    const Parser::Step parsed =
        found == Parser::Step::failed ? found : parser_.parse_head(input_, table_, head);
    refused_ = parsed == Parser::Step::failed;
    if (refused_) return;
    request_ = fmt::format("{} {} [{}]", head.method, head.target, head.host);
    for (const HeaderView& h : head.headers) {
      if (!equals_ignoring_case(h.name, "host")) request_ += fmt::format(" {}={}", h.name, h.value);
    }
    input_.erase(0, parser_.head_size());
    in_body_ = true;
    if (parsed == Parser::Step::done) finish();
  }

  void take_body() {
    size_t used = 0;
    const Parser::Step step =
        parser_.parse_body(input_, Parser::BodyFn::to<&ParseTranscript::on_part>(this), used);
    refused_ = step == Parser::Step::failed;
    if (refused_) return;
    input_.erase(0, used);
    if (step == Parser::Step::done) finish();
  }

  bool on_part(std::string_view part) {
    body_.append(part);
    return true;
  }

  void finish() {
    text_ += request_ + " {" + body_ + "}; ";
    body_.clear();
    in_body_ = false;
    parser_.reset();
  }

  const size_t head_max_;
  std::vector<HeaderView> table_;
  Parser parser_;
  std::string input_;
  std::string request_;
  std::string body_;
  std::string text_;
  bool in_body_ = false;
  bool refused_ = false;
};

// In pieces of `step` bytes; 0: all at once.
inline std::string transcript_of(std::string_view bytes, size_t step, size_t head_max = 4096,
                                 size_t headers_max = 32) {
  ParseTranscript transcript(head_max, headers_max);
  if (step == 0) step = bytes.size();
  while (!bytes.empty()) {
    transcript.feed(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  return transcript.text();
}

}  // namespace hearth::http
