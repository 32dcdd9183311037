#include "worker/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include <string>
#include <vector>

#include "tests/catch.h"

using namespace hearth;
using namespace hearth::worker;

namespace {

struct Rig final : Channel::Owner {
  Rig() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    far.reset(fds[1]);
    REQUIRE(channel.open(UniqueFd(fds[0])));
  }
  ~Rig() override { channel.close(); }

  bool on_frame(Channel&, const Frame& frame) override {
    types.push_back(frame.header.type);
    payloads.emplace_back(frame.payload);
    return true;
  }
  void on_broken(Channel&, std::string_view what) override { broken = what; }
  void on_closed(Channel& c) override {
    closed = true;
    c.close();
  }
  void on_batch_end() override { ++batches; }
  void on_dirty(Channel&) override { ++dirty; }

  CallFrame call(uint32_t slot, std::string_view payload) {
    CallFrame frame;
    frame.id = {slot, 1};
    frame.payload = payload;
    return frame;
  }
  // Everything that the worker's side can read now.
  std::string read_far() {
    std::string all;
    char bytes[65'536];
    for (ssize_t n; (n = ::recv(far.get(), bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
      all.append(bytes, static_cast<size_t>(n));
    return all;
  }
  void write_far(std::string_view bytes) {
    REQUIRE(::send(far.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }

  SystemClock clock;
  Loop loop{clock};
  BufferPool buffers{64 << 20};
  std::string read_buffer = std::string(65'536 * 4, '\0');
  UniqueFd far;
  Channel channel{loop, buffers, *this, read_buffer, 0};
  std::vector<FrameType> types;
  std::vector<std::string> payloads;
  std::string broken;
  bool closed = false;
  int batches = 0;
  int dirty = 0;
};

std::string frame_bytes(FrameType type, std::string_view payload, uint8_t flags = 0) {
  std::string bytes(kHeaderSize, '\0');
  encode_header(bytes.data(), {static_cast<uint32_t>(payload.size()), type, flags, 0, {1, 1}});
  return bytes.append(payload);
}

}  // namespace

TEST_CASE("calls of one turn go out with one write in order") {
  Rig rig;
  rig.channel.send_call(rig.call(1, "aa"));
  rig.channel.send_call(rig.call(2, "b"));
  CHECK(rig.dirty == 1);
  CHECK_FALSE(rig.channel.any_byte_sent({1, 1}));
  rig.channel.flush();
  CHECK(rig.channel.any_byte_sent({1, 1}));
  CHECK(rig.channel.any_byte_sent({2, 1}));
  const std::string bytes = rig.read_far();
  REQUIRE(bytes.size() == 2 * (kHeaderSize + kCallFixedSize) + 3);
  const FrameHeader second = decode_header(bytes.data() + kHeaderSize + kCallFixedSize + 2);
  CHECK(second.id == InvocationId{2, 1});
  CHECK(bytes.back() == 'b');
}

TEST_CASE("a large event goes out part by part as the worker reads and others wait behind it") {
  Rig rig;
  const std::string large(3'000'000, 'x');
  rig.channel.send_call(rig.call(1, large));
  rig.channel.send_call(rig.call(2, "tail"));
  rig.channel.flush();
  CHECK_FALSE(rig.channel.any_byte_sent({2, 1}));
  CHECK(rig.buffers.bytes_taken() < 1'200'000);
  std::string all;
  for (int i = 0; i < 10'000 && !rig.channel.any_byte_sent({2, 1}); ++i) {
    all += rig.read_far();
    rig.loop.step(milliseconds(10));
  }
  all += rig.read_far();
  std::string event;
  std::string_view rest = all;
  std::vector<uint32_t> order;
  while (!rest.empty()) {
    const FrameHeader h = decode_header(rest.data());
    CHECK(h.length <= kPartMax + kCallFixedSize);
    const size_t skip = h.type == FrameType::call ? kCallFixedSize : 0;
    order.push_back(h.id.slot);
    if (h.id.slot == 1) event += rest.substr(kHeaderSize + skip, h.length - skip);
    rest.remove_prefix(kHeaderSize + h.length);
  }
  CHECK(event == large);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(order.back() == 2);
}

TEST_CASE("a cache goes out part by part ahead of INIT and what is called behind it") {
  Rig rig;
  auto cache = std::make_shared<CompileCache>();
  for (int i = 0; i < 40; ++i) cache->parts.emplace_back(kPartMax, static_cast<char>('a' + i % 26));
  cache->parts.emplace_back("end");
  rig.channel.send_cache(cache);
  rig.channel.send_init("{}");
  rig.channel.send_control(FrameType::ping, {}, 7);  // a control frame waits for nothing
  rig.channel.send_call(rig.call(2, "event"));
  CHECK(rig.buffers.bytes_taken() < 1'200'000);
  rig.channel.flush();
  std::string all;
  for (int i = 0; i < 10'000 && !rig.channel.any_byte_sent({2, 1}); ++i) {
    all += rig.read_far();
    rig.loop.step(milliseconds(10));
  }
  all += rig.read_far();
  CHECK(cache.use_count() == 1);
  std::string got;
  std::vector<FrameType> order;
  for (std::string_view rest = all; !rest.empty();) {
    const FrameHeader h = decode_header(rest.data());
    const std::string_view payload = rest.substr(kHeaderSize, h.length);
    if (h.type == FrameType::cache_given) {
      CHECK((h.flags == kFlagMore) == (payload != "end"));
      got += payload;
    } else if (h.type != FrameType::ping) {
      order.push_back(h.type);
    }
    rest.remove_prefix(kHeaderSize + h.length);
    if (!order.empty()) CHECK(h.type != FrameType::cache_given);
  }
  CHECK((order == std::vector<FrameType>{FrameType::init, FrameType::call}));
  std::string whole;
  for (const std::string& part : cache->parts) whole += part;
  CHECK(got == whole);
}

TEST_CASE("a worker that is closed in the midst of a cache leaves nothing of it behind") {
  Rig rig;
  auto cache = std::make_shared<CompileCache>();
  cache->parts.assign(100, std::string(kPartMax, 'x'));
  rig.channel.send_cache(cache);
  rig.channel.flush();
  CHECK(cache.use_count() == 2);
  rig.channel.close();
  CHECK(cache.use_count() == 1);
  rig.channel.send_cache(cache);
  rig.channel.send_init("{}");
  CHECK(cache.use_count() == 1);
}

TEST_CASE("frames are put together from any pieces") {
  Rig rig;
  const std::string bytes = frame_bytes(FrameType::log, "hello\n") +
                            frame_bytes(FrameType::pong, "") +
                            frame_bytes(FrameType::log, std::string(60'000, 'y'));
  for (size_t at = 0; at < bytes.size(); at += 7'001) {
    rig.write_far(std::string_view(bytes).substr(at, 7'001));
    rig.loop.step(milliseconds(50));
  }
  REQUIRE(rig.types.size() == 3);
  CHECK(rig.payloads[0] == "hello\n");
  CHECK(rig.payloads[2].size() == 60'000);
  CHECK(rig.broken.empty());
}

TEST_CASE("bytes that are no frame are told and end of file too") {
  Rig rig;
  rig.write_far(std::string(64, '\xFF'));
  rig.loop.step(milliseconds(50));
  CHECK_FALSE(rig.broken.empty());
  Rig other;
  other.far.reset();
  other.loop.step(milliseconds(50));
  CHECK(other.closed);
}

TEST_CASE("FORK goes out behind what waits, with its descriptors") {
  Rig rig;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const UniqueFd in(ends[0]), out(ends[1]);
  const int fds[kForkDescriptors] = {out.get(), in.get(), in.get(), in.get()};
  rig.channel.send_control(FrameType::ping, {}, 7);
  REQUIRE(rig.channel.send_fork({5, 6}, fds));
  char bytes[64];
  iovec data{bytes, sizeof bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  REQUIRE(::recvmsg(rig.far.get(), &message, 0) == 2 * kHeaderSize);
  CHECK(decode_header(bytes).type == FrameType::ping);
  const FrameHeader fork = decode_header(bytes + kHeaderSize);
  CHECK((fork.type == FrameType::fork && fork.length == 0 && fork.id == InvocationId{5, 6}));
  const cmsghdr* rights = CMSG_FIRSTHDR(&message);
  REQUIRE(rights != nullptr);
  REQUIRE(rights->cmsg_len == CMSG_LEN(sizeof fds));
  int got[kForkDescriptors];
  std::memcpy(got, CMSG_DATA(rights), sizeof got);
  REQUIRE(::write(got[0], "x", 1) == 1);
  char byte = 0;
  CHECK((::read(in.get(), &byte, 1) == 1 && byte == 'x'));
  for (const int fd : got) ::close(fd);
}

TEST_CASE("FORK to a worker that reads nothing is given up") {
  Rig rig;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const UniqueFd in(ends[0]), out(ends[1]);
  const int fds[kForkDescriptors] = {out.get(), in.get(), in.get(), in.get()};
  const std::string large(1 << 20, 'x');
  rig.channel.send_control(FrameType::init, {}, 0, large);
  CHECK_FALSE(rig.channel.send_fork({5, 6}, fds));
  rig.channel.close();
  CHECK_FALSE(rig.channel.send_fork({5, 6}, fds));
}
