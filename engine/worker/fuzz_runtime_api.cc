// What is read of a custom worker's requests beyond HTTP itself: any bytes are taken, and what
// comes out of them is what headers and JSON may have.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json_scanner.h"
#include "http/message.h"
#include "worker/runtime_api_route.h"

using namespace hearth;
using namespace hearth::worker;

namespace {

void require(bool holds) {
  if (!holds) abort();
}

bool is_object(std::string_view text) {
  JsonScanner scanner(text);
  return scanner.peek() == JsonScanner::Kind::object && scanner.skip_value() && scanner.at_end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = text.find('\n');
  const std::string_view first = text.substr(0, line);
  const std::string_view rest =
      line == std::string_view::npos ? std::string_view() : text.substr(line + 1);
  const ApiRoute route = api_route("POST", first);
  require(route.request_id.empty() || first.find(route.request_id) != std::string_view::npos);
  const ApiContext context = api_context(rest);
  for (const std::string& value : {context.client_context, context.trace_id, context.arn})
    require(http::valid_header("X", value));
  require(is_object(api_error_json(rest, first)));
  require(is_object(api_trailer_error_json(rest, first)));
  return 0;
}
