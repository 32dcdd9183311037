#include "http/parser.h"

namespace hearth::http {
namespace {

// A one byte chunk costs six bytes; what goes far beyond that is an attempt to keep us busy.
constexpr uint64_t kFramingFree = 16 * 1024;
constexpr uint64_t kFramingPerByte = 16;

// llhttp may hand out one token in several spans. The head is in one piece, so they lie side by
// side.
void extend(std::string_view& token, const char* at, size_t length) {
  token = token.data() == nullptr
              ? std::string_view(at, length)
              : std::string_view(token.data(), static_cast<size_t>(at + length - token.data()));
}

std::string_view trim(std::string_view value) {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  return value;
}

}  // namespace

struct ParserCallbacks {
  static Parser& self(llhttp_t* llhttp) { return *static_cast<Parser*>(llhttp->data); }

  static int on_url(llhttp_t* llhttp, const char* at, size_t length) {
    extend(self(llhttp).target_, at, length);
    return 0;
  }
  static int on_header_field(llhttp_t* llhttp, const char* at, size_t length) {
    Parser& p = self(llhttp);
    if (!p.head_done_) extend(p.name_, at, length);
    return 0;
  }
  static int on_header_field_complete(llhttp_t* llhttp) {
    Parser& p = self(llhttp);
    if (p.head_done_) return 0;
    if (p.header_count_ == p.table_.size()) {
      p.refuse(Code::head_too_large, "more header lines than http.headers");
      return -1;
    }
    p.table_[p.header_count_++] = {p.name_, {}};
    p.name_ = {};
    return 0;
  }
  static int on_header_value(llhttp_t* llhttp, const char* at, size_t length) {
    Parser& p = self(llhttp);
    if (!p.head_done_) extend(p.table_[p.header_count_ - 1].value, at, length);
    return 0;
  }
  static int on_headers_complete(llhttp_t* llhttp) {
    Parser& p = self(llhttp);
    p.head_done_ = true;
    p.keep_alive_ = llhttp_should_keep_alive(llhttp) != 0;
    // An offer to change the protocol may be ignored (RFC 9110, 7.8); without this llhttp would
    // take the body for another protocol's bytes.
    llhttp->upgrade = 0;
    return 0;
  }
  static int on_body(llhttp_t* llhttp, const char* at, size_t length) {
    Parser& p = self(llhttp);
    p.body_bytes_ += length;
    return p.on_part_({at, length}) ? 0 : -1;
  }
  static int on_chunk_header(llhttp_t* llhttp) {
    if (llhttp->content_length != 0) return 0;
    self(llhttp).in_trailers_ = true;
    return HPE_PAUSED;
  }
  static int on_message_complete(llhttp_t*) { return HPE_PAUSED; }

  static const llhttp_settings_t* settings() {
    static const llhttp_settings_t table = [] {
      llhttp_settings_t s;
      llhttp_settings_init(&s);
      s.on_url = &on_url;
      s.on_header_field = &on_header_field;
      s.on_header_field_complete = &on_header_field_complete;
      s.on_header_value = &on_header_value;
      s.on_headers_complete = &on_headers_complete;
      s.on_body = &on_body;
      s.on_chunk_header = &on_chunk_header;
      s.on_message_complete = &on_message_complete;
      return s;
    }();
    return &table;
  }
};

void Parser::reset() {
  llhttp_init(&llhttp_, HTTP_REQUEST, ParserCallbacks::settings());
  llhttp_.data = this;
  guard_.reset();
  trailer_guard_.reset();
  refusal_ = {};
  table_ = {};
  header_count_ = 0;
  name_ = target_ = {};
  body_bytes_ = raw_bytes_ = 0;
  head_done_ = in_trailers_ = keep_alive_ = expects_continue_ = false;
}

Parser::Step Parser::refuse(Code code, std::string_view detail) {
  // The first reason is the one that the client is told.
  if (refusal_.detail.empty()) refusal_ = {code, detail};
  return Step::failed;
}

Parser::Step Parser::refuse_as_llhttp(llhttp_errno_t error) {
  const char* reason = llhttp_get_error_reason(&llhttp_);
  return refuse(error == HPE_INVALID_VERSION ? Code::http_version : Code::http_malformed,
                reason != nullptr && *reason != '\0' ? reason : "the request can't be parsed");
}

Parser::Step Parser::find_head(std::string_view bytes, size_t head_max) {
  switch (guard_.scan(bytes, head_max)) {
    case HeadGuard::Verdict::more:
      return Step::more;
    case HeadGuard::Verdict::complete:
      return Step::done;
    case HeadGuard::Verdict::refused:
      break;
  }
  return refuse(guard_.refusal().code, guard_.refusal().detail);
}

Parser::Step Parser::parse_head(std::string_view bytes, std::span<HeaderView> table,
                                RequestHead& head) {
  table_ = table;
  const std::string_view line = bytes.substr(guard_.begin(), guard_.end() - guard_.begin());
  const llhttp_errno_t error = llhttp_execute(&llhttp_, line.data(), line.size());
  if (error != HPE_OK && error != HPE_PAUSED) return refuse_as_llhttp(error);
  // Guard and llhttp must agree where the head ends; a request on which they don't is not one to
  // guess about.
  const bool ends_elsewhere =
      error == HPE_PAUSED && llhttp_get_error_pos(&llhttp_) != line.data() + line.size();
  if (!head_done_ || ends_elsewhere)
    return refuse(Code::http_malformed, "the head does not end where its empty line is");

  head = RequestHead{};
  head.method = line.substr(0, line.find(' '));
  head.target = target_;
  head.http_1_0 = llhttp_.http_minor == 0;
  head.headers = {table_.data(), header_count_};
  Seen seen;
  for (HeaderView& header : table_.first(header_count_)) {
    header.value = trim(header.value);
    if (!check_header(header, head, seen)) return Step::failed;
  }
  if (!check_framing(head, seen) || !split_target(head)) return Step::failed;
  head.has_body = error == HPE_OK;
  // Without a body llhttp has finished and cleared its fields.
  if (head.has_body && seen.lengths > 0) head.content_length = llhttp_.content_length;
  return head.has_body ? Step::more : Step::done;
}

bool Parser::check_header(const HeaderView& header, RequestHead& head, Seen& seen) {
  switch (header.name.size()) {
    case 4:
      if (equals_ignoring_case(header.name, "host")) {
        ++seen.hosts;
        head.host = header.value;
      }
      break;
    case 6:
      if (equals_ignoring_case(header.name, "expect") && !head.http_1_0) {
        expects_continue_ = equals_ignoring_case(header.value, "100-continue");
        if (!expects_continue_)
          refuse(Code::expectation_failed, "the expectation is not 100-continue");
        return expects_continue_;
      }
      break;
    case 14:
      if (equals_ignoring_case(header.name, "content-length")) ++seen.lengths;
      break;
    case 17:
      if (!equals_ignoring_case(header.name, "transfer-encoding")) break;
      ++seen.transfer_encodings;
      if (equals_ignoring_case(header.value, "chunked")) break;
      refuse(Code::not_supported, "a transfer encoding other than chunked");
      return false;
    default:
      break;
  }
  return true;
}

bool Parser::check_framing(const RequestHead& head, const Seen& seen) {
  std::string_view wrong;
  if (seen.hosts > 1 || (seen.hosts == 0 && !head.http_1_0)) {
    wrong = "HTTP/1.1 needs exactly one Host header";
  } else if (seen.transfer_encodings > 0 && head.http_1_0) {
    wrong = "Transfer-Encoding in an HTTP/1.0 request";
  } else if (seen.transfer_encodings > 1 || seen.lengths > 1) {
    wrong = "the length of the body is given twice";
  } else if (seen.transfer_encodings > 0 && seen.lengths > 0) {
    wrong = "both Content-Length and Transfer-Encoding";
  }
  if (wrong.empty()) return true;
  refuse(Code::http_malformed, wrong);
  return false;
}

bool Parser::split_target(RequestHead& head) {
  constexpr std::string_view kScheme = "http://";
  std::string_view rest = head.target;
  if (rest.find('#') != std::string_view::npos) {
    refuse(Code::http_malformed, "a fragment in the request target");
    return false;
  }
  if (equals_ignoring_case(rest.substr(0, kScheme.size()), kScheme)) {
    // The URL's host wins over the Host header (RFC 9112, 3.2.2), and handlers must check the one
    // that counts.
    rest.remove_prefix(kScheme.size());
    head.host = rest.substr(0, rest.find_first_of("/?"));
    rest.remove_prefix(head.host.size());
    if (head.host.empty() || head.host.find('@') != std::string_view::npos) {
      refuse(Code::http_malformed, "the request target has no valid host");
      return false;
    }
  } else if (!rest.starts_with('/') && !(rest == "*" && head.method == "OPTIONS")) {
    refuse(Code::http_malformed, "the request target is not a path");
    return false;
  }
  const size_t mark = rest.find('?');
  head.path = rest.substr(0, mark);
  if (head.path.empty()) head.path = "/";
  if (mark != std::string_view::npos) head.query = rest.substr(mark + 1);
  return true;
}

Parser::Step Parser::parse_body(std::string_view bytes, BodyFn on_part, size_t& used,
                                BodyFn on_trailers) {
  used = 0;
  on_part_ = on_part;
  on_trailers_ = on_trailers;
  const Step step = in_trailers_ ? parse_trailers(bytes, used) : parse_data(bytes, used);
  if (step == Step::failed) return step;
  raw_bytes_ += used;
  // Trailers that somebody asked for are no framing: who takes them bounds them.
  if (in_trailers_ && on_trailers) return step;
  if (raw_bytes_ - body_bytes_ > kFramingFree + kFramingPerByte * body_bytes_) {
    return refuse(Code::http_malformed, "chunk framing out of proportion to its data");
  }
  return step;
}

Parser::Step Parser::parse_data(std::string_view bytes, size_t& used) {
  const llhttp_errno_t error = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
  if (error != HPE_OK && error != HPE_PAUSED) return refuse_as_llhttp(error);
  used = bytes.size();
  if (error == HPE_OK) return Step::more;
  used = static_cast<size_t>(llhttp_get_error_pos(&llhttp_) - bytes.data());
  if (!in_trailers_) return Step::done;
  llhttp_resume(&llhttp_);
  trailer_guard_.begin_trailers();
  size_t trailers_used = 0;
  const Step step = parse_trailers(bytes.substr(used), trailers_used);
  used += trailers_used;
  return step;
}

// llhttp takes a line feed alone for the end of trailers, and folded lines: what a proxy before us
// may still take for a trailer would be the next request.
Parser::Step Parser::parse_trailers(std::string_view bytes, size_t& used) {
  const HeadGuard::Verdict verdict = trailer_guard_.scan_trailers(bytes, used);
  if (verdict == HeadGuard::Verdict::refused)
    return refuse(trailer_guard_.refusal().code, trailer_guard_.refusal().detail);
  const llhttp_errno_t error = llhttp_execute(&llhttp_, bytes.data(), used);
  if (error != HPE_OK && error != HPE_PAUSED) return refuse_as_llhttp(error);
  const bool ended = error == HPE_PAUSED && llhttp_get_error_pos(&llhttp_) == bytes.data() + used;
  if (ended != (verdict == HeadGuard::Verdict::complete) || (error == HPE_PAUSED && !ended))
    return refuse(Code::http_malformed, "the trailers do not end where their empty line is");
  if (on_trailers_ && !on_trailers_(bytes.substr(0, used))) return Step::failed;
  return ended ? Step::done : Step::more;
}

}  // namespace hearth::http
