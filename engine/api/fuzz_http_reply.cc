// Replies of functions are hostile: whatever they hold, reading one ends, and what it gives may
// stand in a response.
#include <cstdint>
#include <cstdlib>

#include "api/http_reply.h"
#include "base/units.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  static BufferPool pool(mebibytes(64));
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  for (const std::string_view path : {std::string_view(), std::string_view("/fn/hello")}) {
    api::HttpReply reply;
    if (!api::read_http_reply(payload, {path}, pool, reply)) continue;
    if (reply.status < 200 || reply.status > 599) std::abort();
    for (const http::HeaderView& header : reply.header_span()) {
      if (!http::valid_header(header.name, header.value)) std::abort();
    }
    if (!http::valid_header("content-type", reply.content_type)) std::abort();
    if (reply.body.size() > size) std::abort();
  }
  return 0;
}
