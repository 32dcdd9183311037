// A small blocking HTTP/1.1 client for the command line tools and tests: no loop, no threads. Plain
// http only. One thread at a time.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hearth::http {

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
  // Content-Length and Connection are the client's; so is Host when none is given. Error of call()
  // for what is not valid_header(): usage.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct ClientResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  // The first header of that name (lower case), or empty.
  std::string_view header(std::string_view lower) const;
};

class Client {
 public:
  // `url`: "http://127.0.0.1:4327"; a host name is looked up at each connect. Errors: usage (not a
  // URL that we speak), which names what is wrong.
  static Result<Client> open(std::string_view url);

  // Keeps the connection for the next call. `timeout` is for the whole exchange (the look-up of a
  // host name aside). The response is limited to `response_max` bytes of body. A call on a
  // connection that turns out to have been closed meanwhile is sent once more on a new one, as long
  // as no byte of a response came.
  // Errors: usage, server_unreachable (names the address and what to do), io_failed (broken off,
  // out of time, too long), http_malformed.
  Result<ClientResponse> call(const ClientRequest& request, std::chrono::milliseconds timeout,
                              size_t response_max = 64u << 20);
  const std::string& url() const { return url_; }

 private:
  class Exchange;

  Client() = default;
  Status connect(std::chrono::steady_clock::time_point deadline);

  std::string url_;
  std::string host_;
  std::string port_;
  std::string host_header_;
  UniqueFd fd_;  // idle between calls
};

}  // namespace hearth::http
