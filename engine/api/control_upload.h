// Request bodies that carry code: JSON with a base64 text of up to limits.code_upload inside. The
// text is cut out before the rest is parsed, and decoded straight to a file, so that an upload
// takes no memory of its size. Any thread; no shared state.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::api {

inline constexpr size_t kControlJsonMax = 1u << 20;  // of a body, without the code in it
inline constexpr size_t kControlDepthMax = 32;       // of nested objects and arrays

struct ScannedBody {
  std::string json;  // the body; each string value of a key "ZipFile" is an index into `archives`
  std::vector<std::string_view> archives;  // what stood there, still escaped; views into the body
};

// Looks at quotes, brackets and colons only: what is no JSON comes out as no JSON. Errors:
// body_too_large (more than kControlJsonMax is left), invalid_request (depth).
Result<ScannedBody> scan_body(std::string_view body);

// Decodes base64 (as base64_decode() takes it; escaped line breaks are passed over) from the inside
// of a JSON string to a file. Errors: invalid_parameter, disk_full, io_failed.
Status decode_archive(std::string_view escaped, int file);

}  // namespace hearth::api
