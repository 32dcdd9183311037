// The embedded files, as files.list names them. content.cc is made by CMake.
#pragma once
#include <span>
#include <string_view>

#include "kit/kit.h"

namespace hearth::kit {

// The files of one template, in the order of files.list; empty when there is none of that name.
std::span<const TemplateFile> template_files(std::string_view name);

// events/NAME.json; empty when there is none.
std::string_view event_file(std::string_view name);

}  // namespace hearth::kit
