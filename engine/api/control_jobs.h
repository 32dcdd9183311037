// What the control plane's operations do on the store's threads: JSON and base64, then the function
// service. Nothing of HTTP and of the loop.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/control_route.h"
#include "api/lambda_codec.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "store/function_service.h"
#include "store/log_files.h"

namespace hearth::api {

// A request, owned.
struct ControlCall {
  ControlRoute route;
  std::string query;
  std::string origin;  // "http://HOST", for the addresses that we answer with
  std::string body;
  UniqueFd spool;  // valid: holds the body instead
  uint64_t spool_size = 0;
};

struct ControlReply {
  uint16_t status = 200;
  std::string body;  // JSON
  // hearth_list and hearth_get: the loop adds the live figures before it writes them.
  struct Shown {
    std::string name;
    std::string json;  // hearth_function_json()
  };
  std::vector<Shown> functions;
  std::string next_marker;
  // hearth_code: the archive to be sent.
  UniqueFd archive;
};

// An upload, read: what its JSON says and its code, or why there is none.
struct Upload {
  std::optional<CreateInput> create;  // of create_function
  CodeInput update;                   // of update_code
  Result<StagedCode> code;
};

// create_function and update_code have two steps: the first one (THREAD-SAFE, long) takes the body
// apart and lets go of its file, the second one is short.
inline bool is_upload(ControlOp op) {
  return op == ControlOp::create_function || op == ControlOp::update_code;
}
Result<Upload> read_upload(ControlCall& call, const FunctionService& service);
Result<ControlReply> apply_upload(const ControlCall& call, Upload upload, FunctionService& service);

// Runs any other operation that needs the store (so not state, doctor, sandbox and version).
Result<ControlReply> run_control(const ControlCall& call, FunctionService& service, LogFiles& logs);

}  // namespace hearth::api
