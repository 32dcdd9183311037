#include "sandbox/layers.h"

#include <stdio.h>

#include "sandbox/filter.h"
#include "sandbox/landlock.h"
#include "sandbox/launch.h"
#include "sandbox/policy.h"

namespace hearth::sandbox {

Failure Filters::compile_one(const char* name, const char* overlay, Filter& filter,
                             char (&detail)[kDetailMax]) {
  Policy policy;
  std::string error;
  const std::string_view text = policy_text(name);
  if (text.empty()) {
    snprintf(detail, sizeof detail, "there is no policy for the runtime %s", name);
    return {"find a seccomp policy", ENOENT};
  }
  if (!parse_policy(text, policy_text, policy, error) ||
      (overlay != nullptr && !parse_policy(policy_text(overlay), policy_text, policy, error))) {
    snprintf(detail, sizeof detail, "policy %s: %s", name, error.c_str());
    return {"read a seccomp policy", EINVAL};
  }
  filter.code = compile_filter(policy);
  if (filter.code.empty()) return {"compile a seccomp policy", E2BIG};
  filter.program = {static_cast<unsigned short>(filter.code.size()), filter.code.data()};
  return {};
}

Failure Filters::compile(const SpawnerConfig& config, char (&detail)[kDetailMax]) {
  if (config.mode == Mode::kOff) return {};
  runtimes_.resize(config.runtimes_count);
  for (size_t i = 0; i < config.runtimes_count; ++i)
    if (Failure f = compile_one(config.runtimes[i].name,
                                config.mode == Mode::kDegraded ? "degraded" : nullptr, runtimes_[i],
                                detail))
      return f;
  if (has_namespaces(config.mode)) {
    egress_.resize(config.runtimes_count);
    host_.resize(config.runtimes_count);
    for (size_t i = 0; i < config.runtimes_count; ++i) {
      if (Failure f = compile_one(config.runtimes[i].name, "egress", egress_[i], detail)) return f;
      if (Failure f = compile_one(config.runtimes[i].name, "host", host_[i], detail)) return f;
    }
    if (Failure f = compile_one("egress_agent", nullptr, agent_, detail)) return f;
    if (Failure f = compile_one("zygote", nullptr, zygote_, detail)) return f;
  }
  return compile_one("init", nullptr, init_, detail);
}

void describe_layers(Mode mode, const LayerFacts& facts,
                     LayerState (&layers)[static_cast<size_t>(Layer::kLayersCount)]) {
  const auto set = [&layers](Layer layer, bool on, const char* reason) {
    LayerState& state = layers[static_cast<size_t>(layer)];
    state.on = on;
    copy_text(state.reason, on ? "" : reason);
  };
  const bool namespaces = has_namespaces(mode);
  const char* shared = mode == Mode::kOff ? "mode off: no confinement at all"
                                          : "degraded mode: no user namespace, so no namespaces";
  for (const Layer layer :
       {Layer::kPidNs, Layer::kMountNs, Layer::kNetNs, Layer::kIpcNs, Layer::kUtsNs,
        Layer::kCgroupNs, Layer::kReadOnlyRoot, Layer::kPrivateTmp, Layer::kCodeReadOnly})
    set(layer, namespaces, shared);
  set(Layer::kUserNs, mode == Mode::kUser,
      mode == Mode::kStrict ? "not needed: each slot has a uid of its own" : shared);
  const bool own_uid =
      mode == Mode::kUser || mode == Mode::kStrict || (mode == Mode::kDegraded && facts.as_root);
  set(Layer::kSlotUid, own_uid && mode != Mode::kUser,
      mode == Mode::kUser ? "workers have the engine's uid outside, each in its own user namespace"
                          : "workers run as the engine's uid");
  const bool confined = mode != Mode::kOff;
  for (const Layer layer : {Layer::kNoCapabilities, Layer::kNoNewPrivs, Layer::kSeccomp})
    set(layer, confined, "mode off: no confinement at all");
  set(Layer::kRlimits, true, "");
  set(Layer::kLandlock, confined && facts.landlock_abi > 0,
      !confined ? "mode off: no confinement at all"
      : facts.landlock_error == EOPNOTSUPP
          ? "not switched on: add landlock to the kernel's lsm= parameter"
          : "needs Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK");
  if (confined && facts.landlock_abi > 0 && facts.landlock_abi < kLandlockScopesAbi)
    copy_text(layers[static_cast<size_t>(Layer::kLandlock)].reason,
              "files only: signals and abstract sockets need Linux 6.12 or later");
  constexpr struct {
    Layer layer;
    Controller controller;
  } kGroups[] = {{Layer::kCgroupMemory, Controller::kMemory},
                 {Layer::kCgroupCpu, Controller::kCpu},
                 {Layer::kCgroupPids, Controller::kPids},
                 {Layer::kCgroupIo, Controller::kIo},
                 {Layer::kFreezer, Controller::kFreezer}};
  for (const auto& group : kGroups)
    set(group.layer, facts.cgroups->has(group.controller),
        facts.cgroups->why_not(group.controller));
  set(Layer::kNotDumpable, true, "");
}

}  // namespace hearth::sandbox
