// Reads JSON (RFC 8259) from left to right without a tree and without allocation, for the replies
// of functions: hostile input. What it accepts is valid JSON, with two deliberate gaps: bytes above
// 0x7F inside strings are not checked to be UTF-8, and keys may repeat.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth {

inline constexpr unsigned kJsonDepthMax =
    64;  // nested objects and arrays of one value that is skipped; deeper is an error

// A string of the text, without its quotes. Its escapes were checked.
struct JsonString {
  std::string_view raw;
  bool escaped = false;  // `raw` holds escapes, and json_unescape() is needed
};

// Writes the string's characters to `out`, which has raw.size() bytes of room; returns how many.
// `raw` was checked by a JsonScanner. A surrogate without its other half becomes U+FFFD.
size_t json_unescape(char* out, std::string_view raw);

// After the first error (a false, a Step::error) the scanner must not be used any more. Views point
// into the text.
class JsonScanner {
 public:
  enum class Kind : uint8_t {
    object,
    array,
    string,
    scalar,
    none
  };  // scalar: number, true, false, null
  enum class Step : uint8_t { item, end, error };

  explicit JsonScanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  // What the next value is, judged by its first byte; none: no value starts there.
  Kind peek();
  bool string(JsonString& out);
  // The next value, whatever it is, checked to the end. `raw`, when given, gets its bytes.
  bool skip_value(std::string_view* raw = nullptr);

  // Consumes the '{' or '[' of the next value; its items follow by next_member() or next_element()
  // until Step::end.
  bool enter(Kind kind);
  // item: `key` was read, and the member's value comes next.
  Step next_member(JsonString& key);
  Step next_element();

  // Nothing but white space is left.
  bool at_end();

 private:
  void space();
  bool key_and_colon(JsonString* key);
  bool scalar();
  bool number();
  bool word(std::string_view text);
  Step next_item(char close);

  const char* at_;
  const char* end_;
  bool first_ = false;  // the next item is the first one of what was entered
};

}  // namespace hearth
