// Takes HTTP/1.1 responses apart, one at a time, as they come in. For the load client: keeps only
// what its tally needs.
#pragma once
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace hearth::load {

struct Response {
  int status = 0;
  bool keep_alive = true;
  bool has_retry_after = false;
  std::string function_error;  // X-Amz-Function-Error
  std::string error_type;      // X-Amzn-ErrorType
  std::string body;
};

class ResponseReader {
 public:
  enum class State { kMore, kDone, kBroken };

  void reset() { *this = ResponseReader(); }

  // Adds bytes. kDone: response() is whole, and nothing came behind it. kBroken: these bytes are no
  // response to one request.
  State feed(std::string_view bytes) {
    buffer_.append(bytes);
    while (!head_done_) {
      const size_t end = buffer_.find("\r\n\r\n");
      if (end == std::string::npos)
        return buffer_.size() > kHeadMax ? State::kBroken : State::kMore;
      if (!parse_head(std::string_view(buffer_).substr(0, end))) return State::kBroken;
      buffer_.erase(0, end + 4);
      head_done_ = response_.status >= 200;  // 100 Continue is followed by the real head
    }
    return chunked_ ? feed_chunks() : feed_sized();
  }

  const Response& response() const { return response_; }

 private:
  static constexpr size_t kHeadMax = 65536;

  State feed_sized() {
    if (buffer_.size() < length_) return State::kMore;
    response_.body = buffer_;
    return buffer_.size() == length_ ? State::kDone : State::kBroken;
  }

  State feed_chunks() {
    for (;;) {
      const size_t line = buffer_.find("\r\n");
      if (line == std::string::npos) return State::kMore;
      char* end = nullptr;
      const size_t size = strtoull(buffer_.c_str(), &end, 16);
      if (end == buffer_.c_str()) return State::kBroken;
      if (buffer_.size() < line + 2 + size + 2) return State::kMore;
      response_.body.append(buffer_, line + 2, size);
      buffer_.erase(0, line + 2 + size + 2);
      if (size == 0) return buffer_.empty() ? State::kDone : State::kBroken;
    }
  }

  bool parse_head(std::string_view head) {
    if (head.size() < 12 || head.substr(0, 7) != "HTTP/1.") return false;
    response_.status = atoi(std::string(head.substr(9, 3)).c_str());
    response_.keep_alive = head[7] == '1';
    for (size_t at = head.find("\r\n"); at != std::string_view::npos;) {
      const size_t next = head.find("\r\n", at + 2);
      const auto line = head.substr(at + 2, next == std::string_view::npos ? next : next - at - 2);
      if (!parse_header(line)) return false;
      at = next;
    }
    return response_.status >= 100 && response_.status <= 599;
  }

  bool parse_header(std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    auto value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    if (name == "content-length") length_ = strtoull(std::string(value).c_str(), nullptr, 10);
    if (name == "transfer-encoding") chunked_ = value == "chunked";
    if (name == "connection" && value == "close") response_.keep_alive = false;
    if (name == "retry-after") response_.has_retry_after = true;
    if (name == "x-amz-function-error") response_.function_error = value;
    if (name == "x-amzn-errortype") response_.error_type = value;
    return true;
  }

  Response response_;
  std::string buffer_;
  bool head_done_ = false;
  bool chunked_ = false;
  size_t length_ = 0;
};

}  // namespace hearth::load
