#include "base/buffer_pool.h"

#include <string>

#include "tests/catch.h"

using namespace hearth;

TEST_CASE("a returned buffer is used again") {
  BufferPool pool(1 << 20);
  const char* first;
  {
    Buffer a = pool.take(100);
    REQUIRE(a);
    first = a.data();
    CHECK(pool.bytes_taken() == 2048);
  }
  CHECK(pool.bytes_taken() == 0);
  Buffer b = pool.take(2000);
  CHECK(b.data() == first);
  CHECK(b.size() == 0);
}

TEST_CASE("the pool refuses what would pass its limit") {
  BufferPool pool(4096);
  Buffer a = pool.take(2048);
  Buffer b = pool.take(2048);
  CHECK(b);
  CHECK_FALSE(pool.take(1));
  a.append("keep");
  CHECK_FALSE(pool.grow(a, 4000));
  CHECK(a.view() == "keep");
  b.release();
  CHECK(pool.take(1));
}

TEST_CASE("growing keeps the content") {
  BufferPool pool(64 << 20);
  Buffer buffer;
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string piece(static_cast<size_t>(i % 977), static_cast<char>('a' + i % 26));
    REQUIRE(pool.grow(buffer, piece.size() + 1));
    buffer.append(piece);
    expected += piece;
  }
  CHECK(buffer.view() == expected);
}
