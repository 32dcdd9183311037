// What `hearth new` and `hearth event` hand out: function templates and sample events. They are
// files of this folder (templates/, events/), embedded byte for byte. Everything here is static
// storage and may be used from any thread.
#pragma once
#include <span>
#include <string_view>

namespace hearth::kit {

struct TemplateFile {
  std::string_view path;  // relative, without "..": "app.py"
  std::string_view bytes;
  bool executable;
};

// A function's folder. In README.md and function.yaml the template's name stands for the name of
// the function that is made of it; it occurs there for nothing else.
struct Template {
  std::string_view name;     // "http-python"
  std::string_view runtime;  // as function.yaml has it
  std::string_view help;     // one line
  std::string_view test;     // the command that runs its tests, in its folder
  bool built;                // `make` comes before deploy
  bool http;                 // called by its URL; else by an event
  std::span<const TemplateFile> files;
};

std::span<const Template> templates();
const Template* find_template(std::string_view name);  // null: there is none

// A value that a sample event lets its caller choose, as an option of `hearth event`.
struct EventField {
  std::string_view name;   // "method"
  std::string_view value;  // what stands behind it in a usage line: "METHOD"
  std::string_view help;
};

struct SampleEvent {
  std::string_view name;                     // "api-gateway-v2"
  std::string_view help;                     // one line
  std::string_view json;                     // the whole event, indented, with a newline at its end
  std::span<const std::string_view> fields;  // names of those EventFields that it has
};

// Every field, once; different events may share one.
std::span<const EventField> event_fields();
std::span<const SampleEvent> sample_events();
const SampleEvent* find_sample_event(std::string_view name);  // null: there is none

}  // namespace hearth::kit
