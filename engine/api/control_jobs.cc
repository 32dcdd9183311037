#include "api/control_jobs.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <charconv>

#include "api/control_upload.h"
#include "api/hearth_codec.h"
#include "api/lambda_codec.h"
#include "store/files.h"

namespace hearth::api {
namespace {

constexpr uint32_t kPageMax = 1'000;   // functions in one answer, about 5 KB each
constexpr uint32_t kPageDefault = 50;  // as in Lambda
constexpr uint32_t kLogLinesMax = 10'000;
constexpr uint32_t kLogLinesDefault = 1'000;

// A call's body as one view, mapped when it lies in a file. The file has no name and only we write
// to it, so that it can't shrink below the mapping.
class BodyView {
 public:
  static Result<BodyView> of(const ControlCall& call) {
    BodyView view;
    if (!call.spool.valid() || call.spool_size == 0) {
      view.text_ = call.body;
      return view;
    }
    void* data = ::mmap(nullptr, call.spool_size, PROT_READ, MAP_PRIVATE, call.spool.get(), 0);
    if (data == MAP_FAILED) return os_error("map the request's body");
    view.mapped_ = data;
    view.text_ = {static_cast<const char*>(data), call.spool_size};
    return view;
  }
  BodyView(BodyView&& other) noexcept
      : mapped_(std::exchange(other.mapped_, nullptr)), text_(other.text_) {}
  BodyView& operator=(BodyView&&) = delete;
  ~BodyView() {
    if (mapped_ != nullptr) ::munmap(mapped_, text_.size());
  }
  std::string_view text() const { return text_; }

 private:
  BodyView() = default;
  void* mapped_ = nullptr;
  std::string_view text_;
};

Result<uint32_t> number_of(const std::string& query, const char* key, uint32_t standard,
                           uint32_t max) {
  const auto text = query_value(query, key);
  if (!text || text->empty()) return standard;
  uint32_t value = 0;
  const char* end = text->data() + text->size();
  const auto result = std::from_chars(text->data(), end, value);
  if (result.ec != std::errc() || result.ptr != end || value == 0) {
    return Error{Code::invalid_parameter,
                 fmt::format("{} '{}' is not a whole number above 0", key, text->substr(0, 32))};
  }
  return std::min(value, max);
}

Result<StagedCode> code_of(const ScannedBody& scanned, size_t index,
                           const FunctionService& service) {
  const UniqueFd file = HEARTH_TRY(service.temporary_file());
  HEARTH_TRY(decode_archive(scanned.archives[index], file.get()));
  return service.prepare_code(file.get());
}

Result<ControlReply> update_configuration(const ControlCall& call, FunctionService& service) {
  const BodyView body = HEARTH_TRY(BodyView::of(call));
  const ScannedBody scanned = HEARTH_TRY(scan_body(body.text()));
  const auto input = HEARTH_TRY(parse_update_configuration(scanned.json));
  const auto record =
      HEARTH_TRY(service.update_configuration(call.route.function, input.patch, input.revision_id));
  return ControlReply{200, configuration_json(record), {}, {}, {}};
}

ControlReply::Shown shown(const FunctionRecord& record) {
  return {record.spec.name, hearth_function_json(record)};
}

Result<ControlReply> list_functions(const ControlCall& call, FunctionService& service) {
  const bool ours = call.route.op == ControlOp::hearth_list;
  const uint32_t max = HEARTH_TRY(
      number_of(call.query, ours ? "max" : "MaxItems", ours ? kPageMax : kPageDefault, kPageMax));
  const auto marker = query_value(call.query, ours ? "marker" : "Marker");
  auto page = HEARTH_TRY(service.list(marker.value_or(""), max));
  if (!ours) return ControlReply{200, functions_json(page.records, page.next_marker), {}, {}, {}};
  ControlReply reply;
  for (const auto& record : page.records) reply.functions.push_back(shown(record));
  reply.next_marker = std::move(page.next_marker);
  return reply;
}

Result<ControlReply> read_logs(const ControlCall& call, FunctionService& service, LogFiles& logs) {
  HEARTH_TRY(service.get(call.route.function));
  LogQuery query;
  query.cursor = query_value(call.query, "cursor").value_or("");
  query.request_id = query_value(call.query, "request_id").value_or("");
  query.lines_max = HEARTH_TRY(number_of(call.query, "max", kLogLinesDefault, kLogLinesMax));
  const LogPage page = HEARTH_TRY(logs.read(call.route.function, query));
  return ControlReply{200, logs_json(page), {}, {}, {}};
}

Result<ControlReply> show_function(const ControlCall& call, FunctionService& service) {
  const FunctionRecord record = HEARTH_TRY(service.get(call.route.function));
  ControlReply reply;
  switch (call.route.op) {
    case ControlOp::get_function:
      reply.body = function_json(record, call.origin);
      break;
    case ControlOp::get_configuration:
      reply.body = configuration_json(record);
      break;
    case ControlOp::list_versions:
      reply.body = versions_json(record);
      break;
    case ControlOp::hearth_code:
      reply.archive = HEARTH_TRY(service.open_archive(record));
      break;
    default:
      reply.functions.push_back(shown(record));
      break;
  }
  return reply;
}

Result<ControlReply> delete_function(const ControlCall& call, FunctionService& service) {
  if (query_value(call.query, "Qualifier").value_or("") != "") {
    return Error{Code::invalid_parameter,
                 "$LATEST can be deleted with its function only: leave the qualifier out"};
  }
  HEARTH_TRY(service.remove(call.route.function));
  return ControlReply{204, {}, {}, {}, {}};
}

Result<Upload> take_apart(const ControlCall& call, const FunctionService& service) {
  const BodyView body = HEARTH_TRY(BodyView::of(call));
  const ScannedBody scanned = HEARTH_TRY(scan_body(body.text()));
  const size_t archives = scanned.archives.size();
  if (call.route.op == ControlOp::create_function) {
    CreateInput input = HEARTH_TRY(parse_create(scanned.json, archives));
    auto code = code_of(scanned, input.archive, service);
    return Upload{std::move(input), {}, std::move(code)};
  }
  CodeInput input = HEARTH_TRY(parse_update_code(scanned.json, archives));
  auto code = code_of(scanned, input.archive, service);
  return Upload{std::nullopt, std::move(input), std::move(code)};
}

}  // namespace

Result<Upload> read_upload(ControlCall& call, const FunctionService& service) {
  auto upload = take_apart(call, service);
  // To give back a large file's blocks takes time too; the thread that is next has none.
  call.spool.reset();
  return upload;
}

Result<ControlReply> apply_upload(const ControlCall& call, Upload upload,
                                  FunctionService& service) {
  if (upload.create) {
    const auto record =
        HEARTH_TRY(service.create(std::move(upload.create->spec), std::move(upload.code)));
    return ControlReply{201, configuration_json(record), {}, {}, {}};
  }
  const auto record = HEARTH_TRY(service.update_code(
      call.route.function, std::move(upload.code), upload.update.revision_id, upload.update.patch));
  return ControlReply{200, configuration_json(record), {}, {}, {}};
}

Result<ControlReply> run_control(const ControlCall& call, FunctionService& service,
                                 LogFiles& logs) {
  switch (call.route.op) {
    case ControlOp::update_configuration:
      return update_configuration(call, service);
    case ControlOp::delete_function:
      return delete_function(call, service);
    case ControlOp::list_functions:
    case ControlOp::hearth_list:
      return list_functions(call, service);
    case ControlOp::hearth_logs:
      return read_logs(call, service, logs);
    case ControlOp::get_function:
    case ControlOp::get_configuration:
    case ControlOp::list_versions:
    case ControlOp::hearth_get:
    case ControlOp::hearth_code:
      return show_function(call, service);
    case ControlOp::create_function:
    case ControlOp::update_code:
    case ControlOp::hearth_state:
    case ControlOp::hearth_doctor:
    case ControlOp::hearth_sandbox:
    case ControlOp::hearth_version:
      break;
  }
  return Error{Code::internal, "an operation that is not run here came here"};
}

}  // namespace hearth::api
