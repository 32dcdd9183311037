// Invoke against a fake port: what is submitted, and what each kind of outcome becomes.
#include "api/invoke.h"

#include <nlohmann/json.hpp>

#include "api/test_rig.h"
#include "base/base64.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::api;
using namespace hearth::api::test;
using nlohmann::json;

namespace {

const std::string kPath = "/2015-03-31/functions/hello/invocations";

TestRequest invoke(std::string target = kPath) {
  return TestRequest("POST", std::move(target)).body("{\"a\":1}");
}

std::string base64(std::string_view bytes) {
  std::string out(base64_encoded_size(bytes.size()), '\0');
  base64_encode(out.data(), bytes);
  return out;
}

std::string unbase64(std::string_view text) {
  std::string out(base64_decoded_max(text.size()), '\0');
  const auto size = base64_decode(out.data(), text);
  REQUIRE(size.has_value());
  out.resize(*size);
  return out;
}

}  // namespace

TEST_CASE("invoke passes payload and reply through unread") {
  Rig rig;
  REQUIRE(rig.send(invoke().body("not json \xFF")));
  REQUIRE(rig.decision.body_max == rig.limits.invoke_body_max);
  REQUIRE(rig.port.calls.size() == 1);
  REQUIRE(rig.port.calls[0].payload == "not json \xFF");
  REQUIRE(rig.port.calls[0].extension.empty());
  REQUIRE_FALSE(rig.port.calls[0].request.http_event);
  REQUIRE_FALSE(rig.port.calls[0].request.want_tail);
  REQUIRE(rig.responder.count == 0);
  rig.port.reply("any \xFE bytes");
  REQUIRE(rig.responder.count == 1);
  REQUIRE(rig.responder.to == ConnectionId{3, 1});
  REQUIRE(rig.responder.status == 200);
  REQUIRE(rig.responder.content_type == "application/json");
  REQUIRE(rig.responder.body == "any \xFE bytes");
  REQUIRE(rig.responder.header("X-Amz-Executed-Version") == "$LATEST");
  REQUIRE(rig.responder.header("X-Amzn-RequestId") == rig.port.calls[0].request.request_id.text());
  REQUIRE(rig.responder.header("X-Amz-Function-Error") == "(none)");
  REQUIRE(rig.responder.header("X-Amz-Log-Result") == "(none)");
}

TEST_CASE("a body in a pooled buffer is handed over without a copy") {
  Rig rig;
  TestRequest request = invoke();
  http::Request& r = request.get();
  Buffer buffer = rig.buffers.take(100);
  buffer.append("0123456789");
  const char* const data = buffer.data();
  r.body = buffer.view();
  r.body_buffer = &buffer;
  rig.front.on_request({3, 1}, r);
  REQUIRE(rig.port.calls[0].request.payload.owner.data() == data);
  REQUIRE(rig.port.calls[0].payload == "0123456789");
  REQUIRE_FALSE(buffer);
}

TEST_CASE("an empty body and every way to name the function are accepted") {
  Rig rig;
  for (const char* name : {"hello", "hello:$LATEST", "hello%3A%24LATEST",
                           "arn:aws:lambda:eu-west-1:123456789012:function:hello",
                           "123456789012%3Afunction%3Ahello"}) {
    INFO(name);
    REQUIRE(rig.send(TestRequest("POST", "/2015-03-31/functions/" + std::string(name) +
                                             "/invocations?Qualifier=%24LATEST")));
    rig.port.reply("{}");
    REQUIRE(rig.responder.status == 200);
  }
  REQUIRE(rig.send(TestRequest("POST", kPath + "/")));
  rig.port.reply("{}");
  REQUIRE(rig.responder.status == 200);
}

TEST_CASE("what names no function or another version is refused") {
  Rig rig;
  const auto status_of = [&](const std::string& target) {
    rig.send(invoke(target));
    return std::make_pair(rig.responder.status, rig.responder.header("X-Amzn-ErrorType"));
  };
  const auto missing = std::make_pair(404, std::string("ResourceNotFoundException"));
  REQUIRE(status_of("/2015-03-31/functions/nobody/invocations") == missing);
  REQUIRE(json::parse(rig.responder.body) ==
          json{{"Type", "User"}, {"Message", "there is no such function: nobody"}});
  REQUIRE(status_of(kPath + "?Qualifier=7") == missing);
  REQUIRE(status_of(kPath + "?Qualifie%72=7") == missing);
  REQUIRE(status_of("/2015-03-31/functions/hello:prod/invocations") == missing);
  REQUIRE(status_of(kPath + "?Qualifier=" + std::string(500, 'x')) == missing);
  REQUIRE(status_of("/2015-03-31/functions/hello:1/invocations?Qualifier=2").first == 400);
  for (const char* segment : {"hel%20lo", "hello%00", "%00", "hello%2F..", "..%2Fhello",
                              "hello%0d%0a", "hello%", "hello:%24LATEST%00", "%"}) {
    INFO(segment);
    REQUIRE(status_of("/2015-03-31/functions/" + std::string(segment) + "/invocations").second ==
            "InvalidParameterValueException");
  }
  REQUIRE(rig.port.calls.empty());
}

TEST_CASE("another method is refused") {
  Rig rig;
  rig.send(TestRequest("GET", kPath));
  REQUIRE(rig.responder.status == 405);
  REQUIRE(rig.responder.header("Allow") == "POST");
}

TEST_CASE("asynchronous calls are refused and nothing is queued") {
  Rig rig;
  rig.send(invoke().header("X-Amz-Invocation-Type", "Event"));
  REQUIRE(rig.responder.status == 501);
  REQUIRE(rig.responder.body.find("nothing was queued") != std::string::npos);
  REQUIRE(rig.port.calls.empty());
  rig.send(invoke().header("X-Amz-Invocation-Type", "Sometime"));
  REQUIRE(rig.responder.status == 400);
  rig.send(invoke().header("X-Amz-Log-Type", "Head"));
  REQUIRE(rig.responder.status == 400);
}

TEST_CASE("a dry run answers 204 without a call") {
  Rig rig;
  rig.send(invoke().header("X-Amz-Invocation-Type", "DryRun"));
  REQUIRE(rig.responder.status == 204);
  REQUIRE(rig.responder.body.empty());
  REQUIRE(rig.responder.header("X-Amzn-RequestId").size() == 36);
  REQUIRE(rig.port.calls.empty());
  rig.send(
      invoke("/2015-03-31/functions/nobody/invocations").header("X-Amz-Invocation-Type", "DryRun"));
  REQUIRE(rig.responder.status == 404);
}

TEST_CASE("client context and trace id go into the extension") {
  Rig rig;
  rig.send(invoke()
               .header("X-Amz-Client-Context", base64(R"({"custom":{"k":"v"}})"))
               .header("X-Amzn-Trace-Id", "Root=1-2\"3"));
  REQUIRE(json::parse(rig.port.calls[0].extension) ==
          json{{"clientContext", {{"custom", {{"k", "v"}}}}}, {"traceId", "Root=1-2\"3"}});
  rig.port.reply("{}");
  rig.send(invoke().header("x-amzn-trace-id", "Root=1"));
  REQUIRE(rig.port.calls[1].extension == R"({"traceId":"Root=1"})");
}

TEST_CASE("a client context that is no json object in base64 is refused") {
  Rig rig;
  for (const std::string& context :
       {base64("[1]"), base64("{} {}"), base64("{\"a\":\"\xFF\"}"), std::string("!!!"), base64("{"),
        base64("{\"a\":\"" + std::string(4000, 'x') + "\"}")}) {
    rig.send(invoke().header("X-Amz-Client-Context", context));
    REQUIRE(rig.responder.status == 400);
    REQUIRE(rig.responder.header("X-Amzn-ErrorType") == "InvalidRequestContentException");
  }
  REQUIRE(rig.port.calls.empty());
}

TEST_CASE("the largest client context and trace id fit") {
  Extension extension;
  std::string context = "{\"a\":\"" + std::string(2'677, 'x') + "\"}";
  REQUIRE(base64(context).size() <= kClientContextMax);
  REQUIRE(extension.build(base64(context), std::string(kTraceIdMax, '\x01')).has_value());
  REQUIRE(json::accept(extension.view()));
  REQUIRE(extension.build({}, std::string(kTraceIdMax + 1, 'x')).has_value());
  REQUIRE(extension.view().empty());
}

TEST_CASE("a function's own error passes through with the header") {
  Rig rig;
  rig.send(invoke());
  Outcome outcome;
  outcome.kind = Outcome::Kind::function_error;
  outcome.code = Code::function_failed;
  outcome.payload = R"({"errorMessage":"x","errorType":"ValueError","stackTrace":[]})";
  rig.port.finish(outcome);
  REQUIRE(rig.responder.status == 200);
  REQUIRE(rig.responder.header("X-Amz-Function-Error") == "Unhandled");
  REQUIRE(rig.responder.header("X-Hearth-Error") == "function_failed");
  REQUIRE(rig.responder.body == outcome.payload);
}

TEST_CASE("a timeout has lambda's body") {
  Rig rig;
  rig.send(invoke());
  rig.port.fail(Code::deadline_exceeded);
  REQUIRE(rig.responder.status == 200);
  REQUIRE(rig.responder.header("X-Amz-Function-Error") == "Unhandled");
  const std::string id = rig.port.calls[0].request.request_id.text();
  REQUIRE(rig.responder.body == R"({"errorType":"Sandbox.Timedout","errorMessage":"RequestId: )" +
                                    id + R"( Error: Task timed out after 1.00 seconds"})");
}

TEST_CASE("a crash tells how it ended and shows the log's tail") {
  Rig rig;
  rig.send(invoke());
  rig.port.fail(Code::worker_lost, "signal: killed", "last \"words\"\n");
  const json body = json::parse(rig.responder.body);
  REQUIRE(body["errorType"] == "Runtime.ExitError");
  const std::string id = rig.port.calls[0].request.request_id.text();
  REQUIRE(body["errorMessage"] ==
          "RequestId: " + id + " Error: Runtime exited with error: signal: killed");
  REQUIRE(body["logTail"] == "last \"words\"\n");
}

TEST_CASE("every fault of the function answers 200 and every refusal its own status") {
  const Code faults[] = {Code::out_of_memory,      Code::init_failed,     Code::init_timeout,
                         Code::protocol_violation, Code::reply_too_large, Code::sandbox_violation};
  for (const Code code : faults) {
    Rig rig;
    rig.send(invoke());
    rig.port.fail(code, "why");
    REQUIRE(rig.responder.status == 200);
    REQUIRE(rig.responder.header("X-Amz-Function-Error") == "Unhandled");
    REQUIRE(json::parse(rig.responder.body).at("errorMessage").get<std::string>().find("why") !=
            std::string::npos);
  }
  for (const Code code :
       {Code::queue_timeout, Code::start_backoff, Code::shutting_down, Code::worker_start_failed}) {
    Rig rig;
    rig.send(invoke());
    rig.port.fail(code, "why");
    REQUIRE(rig.responder.status == info(code).http_status);
    REQUIRE(rig.responder.header("X-Amz-Function-Error") == "(none)");
    REQUIRE(rig.responder.header("X-Amzn-ErrorType") == info(code).lambda_name);
  }
}

TEST_CASE("a full queue answers 429 with a reason and when to come back") {
  Rig rig;
  rig.port.refuse = Code::queue_full;
  rig.send(invoke());
  REQUIRE(rig.responder.status == 429);
  REQUIRE(rig.responder.header("Retry-After") == "1");
  REQUIRE(rig.responder.header("X-Amzn-ErrorType") == "TooManyRequestsException");
  const json body = json::parse(rig.responder.body);
  REQUIRE(body["Type"] == "User");
  REQUIRE(body["Reason"] == "queue_full");
  REQUIRE(body["message"] == "the function's queue is full: as the test says");
  rig.port.refuse.reset();
  rig.send(invoke());  // the connection is free again
  rig.port.reply("{}");
  REQUIRE(rig.responder.status == 200);
}

TEST_CASE("the log tail has lambda's frame") {
  Rig rig;
  rig.send(invoke().header("X-Amz-Log-Type", "Tail"));
  REQUIRE(rig.port.calls[0].request.want_tail);
  Outcome outcome;
  outcome.payload = "{}";
  outcome.log_tail = "hello\nworld";
  outcome.cold = true;
  outcome.init_us = 12'345;
  outcome.way = StartWay::zygote;
  outcome.waited = {.queue_us = 1'230, .sandbox_us = 450, .runtime_us = 17'000, .init_us = 12'345};
  outcome.exec_us = 1'504'019;
  outcome.memory_max_bytes = mebibytes(20) + 1;
  rig.port.finish(outcome);
  const std::string id = rig.port.calls[0].request.request_id.text();
  REQUIRE(unbase64(rig.responder.header("X-Amz-Log-Result")) ==
          "START RequestId: " + id + " Version: $LATEST\nhello\nworld\nEND RequestId: " + id +
              "\nREPORT RequestId: " + id +
              "\tDuration: 1504.01 ms\tBilled Duration: 1505 ms\tMemory Size: 128 MB\tMax Memory "
              "Used: 21 MB\t"
              "Init Duration: 12.34 ms\tQueue Duration: 1.23 ms\tSandbox Duration: 0.45 ms\t"
              "Runtime Init Duration: 17.00 ms\tStart: zygote\t\n");
}

TEST_CASE("the log tail tells what ended a call that did not end by itself") {
  const auto tail_of = [](Code code, std::string_view detail, std::string_view log) {
    Rig rig;
    rig.send(invoke().header("X-Amz-Log-Type", "Tail"));
    Outcome outcome;
    outcome.kind = Outcome::Kind::platform_error;
    outcome.code = code;
    outcome.detail = detail;
    outcome.log_tail = log;
    outcome.exec_us = 1'000'001;
    rig.port.finish(outcome);
    std::string text = unbase64(rig.responder.header("X-Amz-Log-Result"));
    const std::string id = rig.port.calls[0].request.request_id.text();
    for (size_t at; (at = text.find(id)) != std::string::npos;) text.replace(at, id.size(), "ID");
    return text;
  };
  const std::string start = "START RequestId: ID Version: $LATEST\n";
  // What is not known (memory, init) is not told.
  const std::string end =
      "END RequestId: ID\nREPORT RequestId: ID\tDuration: 1000.00 ms\tBilled Duration: 1001 ms\t"
      "Memory Size: 128 MB\t\n";
  REQUIRE(tail_of(Code::deadline_exceeded, {}, "a\nb") ==
          start + "a\nb\n2023-11-14T22:13:20.000Z ID Task timed out after 1.00 seconds\n" + end);
  REQUIRE(tail_of(Code::deadline_exceeded, "Task timed out after 0.25 seconds", {}) ==
          start + "2023-11-14T22:13:20.000Z ID Task timed out after 0.25 seconds\n" + end);
  REQUIRE(tail_of(Code::init_timeout, {}, {}) ==
          start + "2023-11-14T22:13:20.000Z ID the function did not finish loading in time\n" +
              end);
  REQUIRE(tail_of(Code::worker_lost, "signal: killed", "x\n") ==
          start + "x\nRequestId: ID Error: Runtime exited with error: signal: killed\n" +
              "Runtime.ExitError\n" + end);
  REQUIRE(tail_of(Code::out_of_memory, {}, {}) ==
          start + "RequestId: ID Error: the function ran out of memory\nRuntime.OutOfMemory\n" +
              end);
}

TEST_CASE("a failure whose cause is long is cut and the log with it") {
  Outcome outcome;
  outcome.kind = Outcome::Kind::platform_error;
  outcome.code = Code::sandbox_violation;
  const std::string long_text(10'000, '\xE2');
  outcome.detail = long_text;
  outcome.log_tail = long_text;
  std::array<char, kLogTailMax> out;
  REQUIRE(write_log_result(out, outcome, {}) == kLogTailMax);
  const std::string_view text(out.data(), out.size());
  REQUIRE(text.find("\nRuntime.SandboxViolation\nEND RequestId") != std::string_view::npos);
  Rig rig;
  rig.send(invoke());
  rig.port.fail(Code::sandbox_violation, long_text);
  REQUIRE(json::accept(rig.responder.body));
}

TEST_CASE("a long log is cut at its beginning to 4 kb") {
  Outcome outcome;
  const std::string log = "first" + std::string(5'000, 'x') + "last\n";
  outcome.log_tail = log;
  outcome.exec_us = UINT32_MAX;
  outcome.init_us = UINT32_MAX;
  outcome.waited = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
  outcome.cold = true;
  outcome.memory_max_bytes = UINT64_MAX / 2;
  std::array<char, kLogTailMax> out;
  const size_t size = write_log_result(out, outcome, {});
  const std::string_view text(out.data(), size);
  REQUIRE(size == kLogTailMax);
  REQUIRE(text.find("START") == std::string_view::npos);
  REQUIRE(text.find("xlast\nEND RequestId") != std::string_view::npos);
  REQUIRE(text.ends_with("\t\n"));
}
