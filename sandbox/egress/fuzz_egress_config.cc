// Any bytes as the rules of an agent, and as the texts that the engine makes rules of.
#include <stdlib.h>
#include <string.h>

#include "sandbox/egress/allow.h"
#include "sandbox/egress/rules.h"

using namespace hearth::sandbox::egress;

namespace {

void use(Rules& rules) {
  Address address{};
  for (const char* name : {"a.example.org", "example.org", "x"}) {
    (void)rules.permits_name(name);
    rules.remember(name, address, 1, 0);
  }
  for (const uint8_t byte : {0, 10, 127, 254}) {
    address.bytes[0] = byte;
    (void)rules.decide({address, 80, 0}, byte == 10, 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Rules rules;
  static Config config;
  rules = Rules();
  // Laid over a good one: a message of the right size is all but never hit by chance.
  config = default_config();
  memcpy(&config, data, size < sizeof config ? size : sizeof config);
  config.magic = kConfigMagic;
  if (rules.configure(std::as_bytes(std::span(&config, 1))) == nullptr) use(rules);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  config = default_config();
  if (add_rules({std::string(text)}, config).empty()) {
    add_resolvers_of(text, config);
    add_hosts_of(text, config);
    rules = Rules();
    // What was read from text is good for the agent.
    if (rules.configure(std::as_bytes(std::span(&config, 1))) != nullptr) abort();
    use(rules);
  }
  return 0;
}
