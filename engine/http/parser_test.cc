// Goal: no byte sequence on which HTTP parsers disagree gets through. Each vector is fed whole and
// in pieces, and must end the same.
#include "http/parser.h"

#include <string>
#include <string_view>

#include "http/parse_transcript.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::http;
using namespace std::string_view_literals;

namespace {

struct Vector {
  std::string_view name;
  std::string_view bytes;
  std::string_view outcome;
};

#define POST_HEAD "POST / HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED POST_HEAD "Transfer-Encoding: chunked\r\n\r\n"

// What other parsers take for a second request, or for none.
constexpr Vector kRefused[] = {
    {"bare CR ends a header", "GET / HTTP/1.1\r\nHost: x\rContent-Length: 3\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"bare CR in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"sv,
     "refused http_malformed"},
    {"CR CR LF ends the head", "GET / HTTP/1.1\r\nHost: x\r\n\r\r\n"sv, "refused http_malformed"},
    {"CRLF CR X ends the head", "GET / HTTP/1.1\r\nHost: x\r\n\rX"sv, "refused http_malformed"},
    {"bare LF ends the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n"sv,
     "refused http_malformed"},
    {"bare LF ends a header", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"sv,
     "refused http_malformed"},
    {"bare LF ends the head", "GET / HTTP/1.1\r\nHost: x\r\n\n"sv, "refused http_malformed"},
    {"bare LF before the request", "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"sv,
     "refused http_malformed"},
    {"two empty lines before the request", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"sv,
     "refused http_malformed"},
    {"folded host hides a length", "GET / HTTP/1.1\r\nHost: x\r\n Content-Length: 3\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"folded content-length", POST_HEAD "Content-Length:\r\n 3\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"folded transfer-encoding", POST_HEAD "Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"white space before the first header", "GET / HTTP/1.1\r\n Host: x\r\n\r\n"sv,
     "refused http_malformed"},
    {"space before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n"sv, "refused http_malformed"},
    {"space before the colon of a length", POST_HEAD "Content-Length : 3\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"empty header name", "GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n"sv, "refused http_malformed"},
    {"header without a colon", "GET / HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n"sv,
     "refused http_malformed"},
    {"bracket in a header name", "GET / HTTP/1.1\r\nHost: x\r\nA[b]: c\r\n\r\n"sv,
     "refused http_malformed"},
    {"NUL in a header name", "GET / HTTP/1.1\r\nHost: x\r\nA\0b: c\r\n\r\n"sv,
     "refused http_malformed"},
    {"NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"sv, "refused http_malformed"},
    {"control character in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n"sv,
     "refused http_malformed"},
    {"DEL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n"sv, "refused http_malformed"},
    {"NUL in the target", "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"two spaces in the request line", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n"sv,
     "refused http_malformed"},
    {"two spaces behind the method", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"sv,
     "refused http_malformed"},
    {"a space in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"lower case method", "get / HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"unknown method", "FROB / HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"length and chunked",
     POST_HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"chunked and length",
     POST_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"length twice", POST_HEAD "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"sv,
     "refused http_malformed"},
    {"same length twice", POST_HEAD "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"list of lengths", POST_HEAD "Content-Length: 3, 3\r\n\r\nabc"sv, "refused http_malformed"},
    {"length with a sign", POST_HEAD "Content-Length: +3\r\n\r\nabc"sv, "refused http_malformed"},
    {"negative length", POST_HEAD "Content-Length: -3\r\n\r\nabc"sv, "refused http_malformed"},
    {"hexadecimal length", POST_HEAD "Content-Length: 0x3\r\n\r\nabc"sv, "refused http_malformed"},
    {"empty length", POST_HEAD "Content-Length:\r\n\r\nabc"sv, "refused http_malformed"},
    {"length with a space inside", POST_HEAD "Content-Length: 1 3\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"length past 64 bits", POST_HEAD "Content-Length: 99999999999999999999\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"transfer-encoding gzip", POST_HEAD "Transfer-Encoding: gzip\r\n\r\n"sv, "refused"},
    {"transfer-encoding gzip then chunked",
     POST_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"sv, "refused not_supported"},
    {"transfer-encoding chunked then another",
     POST_HEAD "Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n"sv, "refused"},
    {"transfer-encoding twice",
     POST_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"sv,
     "refused"},
    {"transfer-encoding with a vertical tab",
     POST_HEAD "Transfer-Encoding: \x0b"
               "chunked\r\n\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"empty transfer-encoding", POST_HEAD "Transfer-Encoding:\r\n\r\n"sv, "refused"},
    {"transfer-encoding on 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"no host", "GET / HTTP/1.1\r\n\r\n"sv, "refused http_malformed"},
    {"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n"sv, "refused http_malformed"},
    {"two hosts on 1.0", "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n"sv,
     "refused http_malformed"},
    {"HTTP 2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n"sv, "refused http_version"},
    {"HTTP 0.9 with a version", "GET / HTTP/0.9\r\nHost: x\r\n\r\n"sv, "refused http_version"},
    {"HTTP 1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n"sv, "refused http_version"},
    {"HTTP 0.9", "GET /\r\n"sv, "refused http_version"},
    {"HTTP 2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"sv, "refused http_version"},
    {"RTSP", "GET / RTSP/1.0\r\nHost: x\r\n\r\n"sv, "refused http_version"},
    {"ICE", "SOURCE / ICE/1.0\r\nHost: x\r\n\r\n"sv, "refused http_version"},
    {"a TLS hello", "\x16\x03\x01\x02"sv, "refused http_malformed"},
    {"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"target that is not a path", "GET x HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"target with a fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"target with user and host", "GET http://a@b/ HTTP/1.1\r\nHost: x\r\n\r\n"sv,
     "refused http_malformed"},
    {"asterisk with GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
    {"other expectation", POST_HEAD "Expect: more\r\nContent-Length: 1\r\n\r\n"sv,
     "refused expectation_failed"},
    {"chunk size with a bare CR", CHUNKED "3\rXabc\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"chunk size ended by LF", CHUNKED "3\nabc\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"hexadecimal prefix of a chunk size", CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"space behind a chunk size", CHUNKED "3 \r\nabc\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"chunk size past 64 bits", CHUNKED "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"negative chunk size", CHUNKED "-1\r\nabc\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"empty chunk size", CHUNKED "\r\nabc\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"junk behind a chunk", CHUNKED "3\r\nabcX\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"chunk ended by LF", CHUNKED "3\r\nabc\n0\r\n\r\n"sv, "refused http_malformed"},
    {"chunk extension ended by LF", CHUNKED "3;a\nabc\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"chunk extension with an LF in it", CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"chunk extension with a bare CR", CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"chunk extension with a NUL", CHUNKED "3;a\0b\r\nabc\r\n0\r\n\r\n"sv,
     "refused http_malformed"},
    {"last chunk's extension ended by LF", CHUNKED "0;\n\r\nGET / HTTP/1.1\r\nHost: y\r\n\r\n"sv,
     "refused http_malformed"},
    {"chunk followed by two CR", CHUNKED "3\r\nabc\r\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"end of the chunks by LF", CHUNKED "0\r\n\nGET / HTTP/1.1\r\nHost: y\r\n\r\n"sv,
     "refused http_malformed"},
    {"end of the chunks by CR", CHUNKED "0\r\n\rGET / HTTP/1.1\r\nHost: y\r\n\r\n"sv,
     "refused http_malformed"},
    {"trailer ended by LF", CHUNKED "0\r\nA: b\n\r\n"sv, "refused http_malformed"},
    {"trailer ended by CR", CHUNKED "0\r\nA: b\rC: d\r\n\r\n"sv, "refused http_malformed"},
    {"trailers ended by LF", CHUNKED "0\r\nA: b\r\n\nGET / HTTP/1.1\r\nHost: y\r\n\r\n"sv,
     "refused http_malformed"},
    {"folded trailer", CHUNKED "0\r\nA: b\r\n c\r\n\r\n"sv, "refused http_malformed"},
    {"trailer with a space before the colon", CHUNKED "0\r\nA : b\r\n\r\n"sv,
     "refused http_malformed"},
    {"space before a chunk size", CHUNKED " 3\r\nabc\r\n0\r\n\r\n"sv, "refused http_malformed"},
    {"transfer-encoding with a comma", POST_HEAD "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"sv,
     "refused"},
    {"transfer-encoding identity", POST_HEAD "Transfer-Encoding: identity\r\n\r\n"sv, "refused"},
    {"quoted transfer-encoding", POST_HEAD "Transfer-Encoding: \"chunked\"\r\n\r\n"sv, "refused"},
    {"length with a trailing comma", POST_HEAD "Content-Length: 3,\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"length with a form feed", POST_HEAD "Content-Length: \f3\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"length with an underscore", POST_HEAD "Content-Length: 1_0\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"bytes above ASCII in a header name", POST_HEAD "A\xc3\xa4: b\r\n\r\n"sv,
     "refused http_malformed"},
    {"NBSP behind a header name", POST_HEAD "Content-Length\xa0: 3\r\n\r\nabc"sv,
     "refused http_malformed"},
    {"https URL as target", "GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n"sv,
     "refused http_malformed"},
    {"URL without a host", "GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n"sv, "refused http_malformed"},
};

constexpr Vector kTaken[] = {
    {"plain", "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"sv, "GET /a?b=c [x] {}; "},
    {"an empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"sv,
     "GET / [x] {}; "},
    {"HTTP 1.0 without host", "GET / HTTP/1.0\r\n\r\n"sv, "GET / [] {}; "},
    {"white space around a value", "GET / HTTP/1.1\r\nHost:  x \t\r\nA:\r\nB: c\td\r\n\r\n"sv,
     "GET / [x] A= B=c\td {}; "},
    {"bytes above ASCII in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: \xc3\xa4\r\n\r\n"sv,
     "GET / [x] A=\xc3\xa4 {}; "},
    {"absolute target", "GET http://y:1/a?b HTTP/1.1\r\nHost: x\r\n\r\n"sv,
     "GET http://y:1/a?b [y:1] {}; "},
    {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"sv, "OPTIONS * [x] {}; "},
    {"length", POST_HEAD "Content-Length: 3\r\n\r\nabc"sv, "POST / [x] Content-Length=3 {abc}; "},
    {"length zero", POST_HEAD "Content-Length: 0\r\n\r\n"sv, "POST / [x] Content-Length=0 {}; "},
    {"chunks", CHUNKED "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"sv,
     "POST / [x] Transfer-Encoding=chunked {abc0123456789}; "},
    {"chunked in capitals", POST_HEAD "Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"sv,
     "POST / [x] Transfer-Encoding=Chunked {a}; "},
    {"trailers are dropped",
     CHUNKED
     "1\r\na\r\n0\r\nContent-Length: 9\r\nHost: y\r\n\r\nGET /b HTTP/1.1\r\nHost: z\r\n\r\n"sv,
     "POST / [x] Transfer-Encoding=chunked {a}; GET /b [z] {}; "},
    {"trailers of several lines",
     CHUNKED "0;x\r\nA: b\tc\r\nD:\r\n\r\nGET / HTTP/1.1\r\nHost: y\r\n\r\n"sv,
     "POST / [x] Transfer-Encoding=chunked {}; GET / [y] {}; "},
    {"trailers without their end", CHUNKED "1\r\na\r\n0\r\nA: b\r\n\r"sv, "in a body {a}"},
    {"pipelined",
     POST_HEAD
     "Content-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: y\r\n\r\nGET /c HTTP/1.1\r\nHost: z\r\n\r\n"sv,
     "POST / [x] Content-Length=3 {abc}; GET /b [y] {}; GET /c [z] {}; "},
    {"an offer to upgrade is ignored",
     POST_HEAD
     "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nabGET / HTTP/1.1\r\nHost: y\r\n\r\n"sv,
     "POST / [x] Upgrade=h2c Connection=upgrade Content-Length=2 {ab}; GET / [y] {}; "},
    {"an offer to upgrade without a body",
     "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nGET / HTTP/1.1\r\nHost: y\r\n\r\n"sv,
     "GET / [x] Upgrade=websocket Connection=upgrade {}; GET / [y] {}; "},
    {"a head without its end", "GET / HTTP/1.1\r\nHost: x\r\n"sv, "in a head"},
    {"a body without its end", POST_HEAD "Content-Length: 3\r\n\r\nab"sv, "in a body {ab}"},
    {"a GET with a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"sv,
     "GET / [x] Content-Length=3 {abc}; "},
};

#undef CHUNKED
#undef POST_HEAD

}  // namespace

TEST_CASE("requests on which parsers disagree are refused whole and byte at a time") {
  for (const Vector& vector : kRefused) {
    INFO(vector.name);
    const std::string whole = transcript_of(vector.bytes, 0);
    CHECK(whole.starts_with(vector.outcome));
    for (const size_t step : {1, 2, 3, 7}) CHECK(transcript_of(vector.bytes, step) == whole);
  }
}

TEST_CASE("valid requests are taken whole and byte at a time") {
  for (const Vector& vector : kTaken) {
    INFO(vector.name);
    CHECK(transcript_of(vector.bytes, 0) == vector.outcome);
    for (const size_t step : {1, 2, 3, 7})
      CHECK(transcript_of(vector.bytes, step) == vector.outcome);
  }
}

TEST_CASE("a head may have exactly head max bytes and headers max lines") {
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
  for (const size_t step : {0, 1}) {
    CHECK(transcript_of(head, step, head.size()) == "GET / [x] A=b {}; ");
    CHECK(transcript_of(head, step, head.size() - 1) == "refused head_too_large");
    CHECK(transcript_of(head, step, 4096, 2) == "GET / [x] A=b {}; ");
    CHECK(transcript_of(head, step, 4096, 1) == "refused head_too_large");
  }
  CHECK(transcript_of(std::string(5000, 'G'), 0) == "refused head_too_large");
  CHECK(transcript_of(std::string(5000, 'G'), 1) == "refused head_too_large");
}

TEST_CASE("chunk framing out of proportion is refused") {
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(transcript_of(head + "1;" + std::string(20'000, 'x'), 1000) == "refused http_malformed");
  CHECK(transcript_of(head + "0\r\nA: " + std::string(20'000, 'x'), 1000) ==
        "refused http_malformed");
  std::string small_chunks = head;
  for (int i = 0; i < 20'000; ++i) small_chunks += "1\r\na\r\n";
  CHECK(transcript_of(small_chunks + "0\r\n\r\n", 1000).ends_with("a}; "));
}

TEST_CASE("the parser tells what the connection is to do") {
  struct Case {
    std::string_view head;
    bool keep_alive;
    bool expects_continue;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, false},
      {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false, false},
      {"GET / HTTP/1.0\r\n\r\n", false, false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, false},
      {"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true,
       true},
      {"POST / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false,
       false},
  };
  for (const Case& c : cases) {
    INFO(c.head);
    Parser parser;
    HeaderView table[8];
    RequestHead head;
    REQUIRE(parser.find_head(c.head, 4096) == Parser::Step::done);
    CHECK(parser.parse_head(c.head, table, head) != Parser::Step::failed);
    CHECK(parser.keep_alive() == c.keep_alive);
    CHECK(parser.expects_continue() == c.expects_continue);
  }
}

TEST_CASE("path and query are split and headers are found in any case") {
  constexpr std::string_view kHead =
      "POST /a%20b?c=d?e HTTP/1.1\r\nHOST: x\r\nx-A: 1\r\nX-a: 2\r\nContent-Length: 12\r\n\r\n";
  Parser parser;
  HeaderView table[8];
  RequestHead head;
  REQUIRE(parser.find_head(kHead, 4096) == Parser::Step::done);
  REQUIRE(parser.parse_head(kHead, table, head) == Parser::Step::more);
  CHECK(head.path == "/a%20b");
  CHECK(head.query == "c=d?e");
  CHECK(head.header("x-a") == "1");
  CHECK(head.has_header("host"));
  CHECK_FALSE(head.has_header("x-b"));
  CHECK(head.has_body);
  CHECK(head.content_length == 12);
}
