// .env files: environment variables of a function while it is developed. A pure function of the
// text; any thread.
//
//   # a comment
//   export KEY=value     # a comment behind white space
//   QUOTED='as it is'
//   ESCAPED="two\nlines"
//
// Nothing is expanded: $ and ` mean themselves.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::dev {

using Environment = std::vector<std::pair<std::string, std::string>>;

inline constexpr size_t kDotenvMax = 64 * 1024;  // bytes of a file

// The pairs in the order of the file; a key that is there twice has its last value. `file` stands
// in messages. Errors: config_invalid, which names the file, the line and what is wrong.
Result<Environment> parse_dotenv(std::string_view text, std::string_view file);

// The same of a file; a file that does not exist is empty. Errors: io_failed too.
Result<Environment> load_dotenv(const std::string& path);

// Puts `extra` over `base`; the result is sorted by key, as FunctionSpec wants it.
Environment merged(Environment base, const Environment& extra);

}  // namespace hearth::dev
