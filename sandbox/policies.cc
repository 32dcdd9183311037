// The texts of policies/*.policy, which the build puts into the program byte for byte.
#include "sandbox/policy.h"

#define HEARTH_POLICIES(X) \
  X(base)                  \
  X(custom)                \
  X(degraded) X(egress) X(egress_agent) X(host) X(init) X(native) X(nodejs) X(python3) X(zygote)

extern "C" {
#define HEARTH_DECLARE(name) \
  extern const char hearth_blob_policy_##name##_begin[], hearth_blob_policy_##name##_end[];
HEARTH_POLICIES(HEARTH_DECLARE)
#undef HEARTH_DECLARE
}

namespace hearth::sandbox {

std::string_view policy_text(std::string_view name) {
#define HEARTH_FIND(policy)                                         \
  if (name == #policy)                                              \
    return {hearth_blob_policy_##policy##_begin,                    \
            static_cast<size_t>(hearth_blob_policy_##policy##_end - \
                                hearth_blob_policy_##policy##_begin)};
  HEARTH_POLICIES(HEARTH_FIND)
#undef HEARTH_FIND
  return {};
}

}  // namespace hearth::sandbox
