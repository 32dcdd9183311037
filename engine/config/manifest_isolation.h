// The keys of function.yaml that make up Isolation: cpu, network, sandbox, leftovers, recycle,
// zygote and tmp.
#pragma once
#include "config/yaml_fields.h"
#include "core/isolation.h"

namespace hearth {

// Problems are reported through `top`'s errors.
void read_isolation(YamlFields& top, Isolation& out);

}  // namespace hearth
