// As clients/python/app.py, as far as a client without a JSON library goes.
#include <aws/lambda-runtime/runtime.h>

#include <unistd.h>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

using aws::lambda_runtime::invocation_request;
using aws::lambda_runtime::invocation_response;

namespace {

bool asks(const invocation_request& request, const char* what) {
  return request.payload.find(std::string("\"do\": \"") + what + '"') != std::string::npos;
}

long number(const invocation_request& request, const std::string& key) {
  const size_t at = request.payload.find('"' + key + "\": ");
  return at == std::string::npos ? 0 : std::atol(request.payload.c_str() + at + key.size() + 4);
}

std::string text(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

invocation_response handle(const invocation_request& request) {
  // In ASCII: its escaper of messages crashes on anything else.
  if (asks(request, "error"))
    return invocation_response::failure("an error with \"quotes\"", "MyError", "");
  if (asks(request, "exit")) _exit(3);
  if (asks(request, "large"))
    return invocation_response::success(
        '"' + std::string(static_cast<size_t>(number(request, "bytes")), 'x') + '"',
        "application/json");
  if (asks(request, "sleep"))
    std::this_thread::sleep_for(std::chrono::milliseconds(number(request, "ms")));
  std::cerr << "a line of " << request.request_id << std::endl;
  std::string reply = "{\"event\": " + request.payload + ", \"request_id\": \"" +
                      request.request_id + "\", \"arn\": \"" + request.function_arn +
                      "\", \"left_ms\": " + std::to_string(request.get_time_remaining().count()) +
                      ", \"name\": \"" + text("AWS_LAMBDA_FUNCTION_NAME") + "\", \"handler\": \"" +
                      text("_HANDLER") + "\", \"trace\": \"" + request.xray_trace_id +
                      "\", \"pid\": " + std::to_string(getpid()) + "}";
  return invocation_response::success(std::move(reply), "application/json");
}

}  // namespace

int main() {
  if (std::getenv("FAIL_INIT") != nullptr) {
    std::cerr << "the init was told to fail" << std::endl;
    return 1;
  }
  aws::lambda_runtime::run_handler(handle);
  return 0;
}
