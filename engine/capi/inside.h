// Is this thread inside of the library's own work: the engine's thread, or a callback? What blocks
// is refused there, because it could wait for itself.
#pragma once

namespace hearth::capi {

class Inside {
 public:
  Inside() { ++depth(); }
  ~Inside() { --depth(); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

  static bool now() { return depth() != 0; }

 private:
  static int& depth() {
    static thread_local int value = 0;
    return value;
  }
};

}  // namespace hearth::capi
