// What the control plane shows of the running engine, as JSON texts. The engine implements it. Loop
// thread only; cheap enough to be called from there.
#pragma once
#include <string>
#include <string_view>

namespace hearth::api {

class EngineView {
 public:
  virtual ~EngineView() = default;
  // Each returns one JSON object.
  virtual std::string version_json() const = 0;
  virtual std::string state_json() const = 0;    // workers, queues, limits in use
  virtual std::string sandbox_json() const = 0;  // mode and layers
  virtual std::string doctor_json() const = 0;   // what this machine allows, interpreters
  // Live figures of a function (workers, queue, calls in flight), or an empty text when the engine
  // does not have it.
  virtual std::string function_json(std::string_view function) const = 0;
};

}  // namespace hearth::api
