// Names through the agent: the stub inside of the sandbox, a real name server outside, and what may
// be connected to afterwards.
#include <thread>

#include "sandbox/egress/test_rig.h"
#include "sandbox/egress/worker_calls.h"
#include "tests/catch.h"

namespace hearth::sandbox::egress {
namespace {

using namespace worker;

TEST_CASE("an address may be connected to only after its allowed name was answered") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    notes.values[0] = reach("93.184.215.14", 80);
    const Looked four = look_up("api.example.com");
    const Looked six = look_up("api.example.com", dns::kTypeAaaa);
    notes.values[1] = four.rcode == 0 && four.count == 1 && four.first == "93.184.215.14";
    notes.values[2] = six.rcode == 0 && six.count == 1 && six.first == "2606:2800:21f::14";
    notes.values[3] = reach("93.184.215.14", 80);
    notes.values[4] = reach("2606:2800:21f::14", 80);
    notes.values[5] = reach("93.184.215.14", 443);
    notes.values[6] = look_up("two.example.com").rcode;
    notes.values[7] = reach("93.184.215.15", 80);
    notes.values[8] = look_up("none.example.org").rcode;
    const Looked alias = look_up("www.example.org");
    notes.values[9] = alias.rcode == 0 && alias.count == 1 && alias.first == "93.184.215.14";
    notes.values[10] = reach("93.184.215.14", 443);
    notes.values[11] = look_up("example.org").rcode;
    notes.values[12] = look_up("api.example.com", 16 /* TXT */).rcode;
    notes.values[13] = look_up("API.Example.COM").rcode;
    return 0;
  });
  rig.configure(make_config({"api.example.com:80", "*.example.org:443"}));
  REQUIRE(rig.wait() == 0);
  const int no_name = static_cast<int>(dns::Rcode::kNoName);
  const int expected[] = {EACCES, 1, 1, 0, 0, EACCES, no_name, EACCES, no_name, 1, 0, no_name, 0};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
  CHECK(rig.counted(Outcome::kDeniedName, 2) == 2);
}

TEST_CASE("an answer counts for its time and no longer") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    notes.values[0] = look_up("api.example.com").rcode;  // its TTL is 1 s
    notes.values[1] = reach("93.184.215.14", 80);
    poll(nullptr, 0, 1'200);
    notes.values[2] = reach("93.184.215.14", 80);
    notes.values[3] = look_up("api.example.com").rcode;
    notes.values[4] = reach("93.184.215.14", 80);
    return 0;
  });
  Config config = make_config({"api.example.com"});
  config.answer_seconds_min = 1;
  rig.configure(config);
  REQUIRE(rig.wait() == 0);
  const int expected[] = {0, 0, EACCES, 0, 0};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
}

TEST_CASE("an allowed name that resolves to a special address opens nothing") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    notes.values[0] = static_cast<int>(look_up("rebind.example.com").count);
    notes.values[1] = reach("127.0.0.1", 80);
    notes.values[2] = reach("169.254.169.254", 80);
    notes.values[3] = reach("10.9.0.5", 80);
    notes.values[4] = static_cast<int>(look_up("mapped.example.com", dns::kTypeAaaa).count);
    notes.values[5] = reach("::ffff:127.0.0.1", 80);
    notes.values[6] = reach("64:ff9b::7f00:1", 80);
    return 0;
  });
  rig.configure(make_config({"*.example.com"}));
  REQUIRE(rig.wait() == 0);
  // 127.0.0.1 is the sandbox's own, where nobody listens.
  const int expected[] = {3, ECONNREFUSED, EACCES, EACCES, 2, ECONNREFUSED, EACCES};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
}

TEST_CASE(
    "long answers come over TCP and are cut, silence is an error, other resolvers are tried") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    const Looked big = look_up("big.example.com");
    notes.values[0] = big.rcode;
    notes.values[1] = static_cast<int>(big.count);
    notes.values[2] = reach("93.184.215.15", 80);
    notes.values[3] = look_up("silent.example.com").rcode;
    return 0;
  });
  Config config = make_config({"*.example.com"});
  // Nobody answers there: the second one has to.
  config.resolvers[1] = config.resolvers[0];
  config.resolvers[0].address = rule("93.184.215.66").address;
  config.resolvers_count = 2;
  rig.configure(config);
  REQUIRE(rig.wait() == 0);
  const int failure = static_cast<int>(dns::Rcode::kServerFailure);
  const int expected[] = {0, static_cast<int>(dns::kAddressesMax), 0, failure};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
}

TEST_CASE("the host's own table of names counts for allowed names") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    const Looked known = look_up("db.internal");
    notes.values[0] = known.rcode == 0 && known.first == "93.184.215.15";
    notes.values[1] = reach("93.184.215.15", 80);
    notes.values[2] = look_up("db.internal", dns::kTypeAaaa).rcode;
    return 0;
  });
  Config config = make_config({"db.internal"});
  config.hosts_count = 1;
  config.hosts[0].address = rule("93.184.215.15").address;
  strcpy(config.hosts[0].name, "db.internal");
  rig.configure(config);
  REQUIRE(rig.wait() == 0);
  CHECK(rig.notes->values[0] == 1);
  CHECK(rig.notes->values[1] == 0);
  CHECK(rig.notes->values[2] == 0);
}

}  // namespace
}  // namespace hearth::sandbox::egress
