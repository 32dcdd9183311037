// hearth event: sample events, to call functions with.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/event_fields.h"
#include "cli/input.h"
#include "config/nearest.h"
#include "kit/kit.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

Exit list_events(const EventOptions& options, Output& output) {
  json all = json::array();
  std::vector<std::vector<std::string>> rows = {{"EVENT", "WHAT IT IS", "OPTIONS"}};
  for (const kit::SampleEvent& event : kit::sample_events()) {
    std::string fields;
    json names = json::array();
    for (const std::string_view name : event.fields) {
      fields += fmt::format("{}--{}", fields.empty() ? "" : " ", name);
      names.push_back(fmt::format("--{}", name));
    }
    all.push_back({{"name", event.name}, {"description", event.help}, {"options", names}});
    rows.push_back({std::string(event.name), std::string(event.help), fields});
  }
  output.out(options.json ? all.dump(2) + "\n" : table(rows));
  return Exit::ok;
}

bool may_be_a_file(std::string_view name) {
  for (const kit::EventField& field : kit::event_fields()) {
    if (field.name == name) return field.value == "TEXT" || field.value == "JSON";
  }
  return false;
}

}  // namespace

Exit run_event(const EventOptions& options, Output& output) {
  if (options.list) return list_events(options, output);
  const kit::SampleEvent* event = kit::find_sample_event(options.name);
  if (event == nullptr) {
    std::vector<std::string_view> names;
    for (const kit::SampleEvent& known : kit::sample_events()) names.push_back(known.name);
    return report(output,
                  Failure{Exit::usage, fmt::format("'{}' is not a sample event", options.name), "",
                          fmt::format("did you mean `hearth event {}`? `hearth event --list` shows "
                                      "all",
                                      nearest(options.name, names))});
  }
  std::map<std::string, std::string> fields = options.fields;
  for (auto& [name, value] : fields) {
    if (!may_be_a_file(name)) continue;
    auto text = read_input(value);
    if (!text)
      return report(output, Failure{Exit::usage, fmt::format("--{} can't be read", name),
                                    text.error().detail, "name a file that is there: @FILE"});
    value = *std::move(text);
  }
  const auto filled = fill_event(*event, fields);
  if (!filled)
    return report(output,
                  Failure{Exit::usage, fmt::format("can't make the event {}", event->name),
                          filled.error().detail, "`hearth event --list` shows the options"});
  output.out(*filled);
  return Exit::ok;
}

}  // namespace hearth::cli
