// A small blocking HTTP/1.1 client for the command line tools and tests: no loop, no threads. Plain http only.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::http {

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
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
  // `url`: "http://127.0.0.1:4327". Errors: usage (not a URL that we speak), which names what is wrong.
  static Result<Client> open(std::string_view url);
  // Keeps the connection for the next call. Errors: server_unreachable (names the address and what to do), io_failed, http_malformed.
  // `timeout` is for the whole exchange. The response is limited to `response_max` bytes.
  Result<ClientResponse> call(const ClientRequest& request, std::chrono::milliseconds timeout, size_t response_max = 64u << 20);
  const std::string& url() const { return url_; }

 private:
  Client() = default;
  std::string url_;
  std::string host_;
  std::string port_;
  int fd_ = -1;

 public:
  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  ~Client();
};

}  // namespace hearth::http
