#include "base/base64.h"

#include <string>

#include "tests/catch.h"

using namespace hearth;

namespace {

std::optional<std::string> decoded(std::string_view text) {
  std::string out(base64_decoded_max(text.size()), '\0');
  const auto size = base64_decode(out.data(), text);
  if (!size) return std::nullopt;
  return out.substr(0, *size);
}

std::string encoded(std::string_view bytes) {
  std::string out(base64_encoded_size(bytes.size()), '\0');
  REQUIRE(base64_encode(out.data(), bytes) == out.data() + out.size());
  return out;
}

}  // namespace

TEST_CASE("base64 round trips at every length") {
  REQUIRE(encoded("f") == "Zg==");
  REQUIRE(encoded("fo") == "Zm8=");
  REQUIRE(encoded("foobar") == "Zm9vYmFy");
  REQUIRE(base64_encode("foobar") == "Zm9vYmFy");
  REQUIRE(base64_encode("") == "");
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    REQUIRE(decoded(encoded(bytes)) == bytes);
    bytes += static_cast<char>(i * 7);
  }
}

TEST_CASE("base64 refuses what no encoder makes") {
  for (const char* text : {"A", "AA=A", "A===", "AAAA=", "AA=", "====", "AA A", "AAA!", "AB", "AAB",
                           "_-__", "AA==AA=="}) {
    INFO(text);
    REQUIRE_FALSE(decoded(text));
  }
  REQUIRE(decoded("Zg") == "f");
  REQUIRE(decoded("") == "");
}
