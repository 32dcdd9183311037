// What a command says of a function's folder that it can't use. Looks at the folder only.
#pragma once
#include <string>

#include "base/result.h"

namespace hearth::cli {

// What is wrong, as a sentence for people: errors that name a file, an option or a key say enough
// by their detail, others by their code too.
std::string folder_problem(const Error& error);

// What to do about `folder`: a command to type, or a file to correct.
std::string folder_advice(const std::string& folder);

}  // namespace hearth::cli
