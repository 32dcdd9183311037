// Where the syntax error of an ES module is: V8 tells the loader, but Node's error does not say it.
// Any thread; runs `node --check`, which parses and runs nothing, confined (confined_parser.h), and
// blocks for at most two seconds.
#pragma once
#include <string>
#include <string_view>

namespace hearth::dev {

// Is it a syntax error of Node whose text has no place?
bool lacks_place(std::string_view problem);

// Looks at the JavaScript file of `folder` that was saved last. "FILE:LINE" and the line with its
// marks, or empty: that file has no error, or can't be looked at.
std::string find_syntax_error(const std::string& node, const std::string& folder);

}  // namespace hearth::dev
