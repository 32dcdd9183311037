// Functions are loaded, defined and removed.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "capi/blocking.h"
#include "capi/error.h"
#include "capi/incoming.h"
#include "capi/sized_struct.h"
#include "package/deploy.h"

namespace hearth::capi {
namespace {

constexpr uint64_t kTimeoutMax = 24 * 3'600'000;  // ms; what is allowed is the engine's to say

Error bad(std::string detail) { return Error{Code::invalid_parameter, std::move(detail)}; }

std::string text_of(const char* text) { return text != nullptr ? text : ""; }

// The host's files stand one after the other in its own version of the structure.
Status read_files(const hearth_source_t& in, std::vector<MemoryFile>& out) {
  if (in.files == nullptr) return bad("the source has neither a folder nor files");
  const auto* at = reinterpret_cast<const char*>(in.files);
  const uint32_t stride = in.files->struct_size;
  for (uint32_t i = 0; i < in.file_count; ++i, at += stride) {
    const auto* given = reinterpret_cast<const hearth_file_t*>(at);
    const auto file = HEARTH_TRY(read_struct(given, "a file of the source"));
    if (file.struct_size != stride) return bad("the files of a source differ in struct_size");
    if (file.path == nullptr) return bad("a file of the source has no path");
    if (file.content.data == nullptr && file.content.size != 0)
      return bad(fmt::format("{}: content.data is NULL", file.path));
    out.push_back({file.path,
                   {static_cast<const char*>(file.content.data), file.content.size},
                   (file.mode & 0100) != 0});
  }
  return ok();
}

Result<PackageSource> read_source(const hearth_source_t* source, const Limits& limits) {
  const auto in = HEARTH_TRY(read_struct(source, "the source"));
  PackageSource out;
  out.limits = archive_limits(limits);
  out.folder = text_of(in.folder);
  if (out.folder.empty()) HEARTH_TRY(read_files(in, out.files));
  if (!out.folder.empty() && in.file_count != 0)
    return bad("the source has a folder and files; one of them is enough");
  out.manifest_path = text_of(in.manifest_path);
  if (in.manifest_yaml != nullptr) out.manifest_text = in.manifest_yaml;
  out.name = text_of(in.name);
  return out;
}

Result<std::string> load(hearth_engine& handle, const hearth_source_t* source,
                         uint64_t timeout_ms) {
  if (Inside::now()) return Error{Code::would_deadlock, kWouldDeadlock};
  const Deadline end = wait_end(timeout_ms);
  const PackageSource in = HEARTH_TRY(read_source(source, handle.hub().limits()));
  Package package = HEARTH_TRY(make_package(in));
  auto answer = std::make_shared<Answer<std::string>>();
  const auto done = [answer](Result<Deployed> deployed) {
    if (deployed) {
      answer->set(deployed->record.spec.revision);
    } else {
      answer->set(std::move(deployed).error());
    }
  };
  // From the store's commit on it can't be taken back; before, it is when the time is over.
  HEARTH_TRY(deploy(handle.engine().store(), std::move(package), done,
                    [answer] { return answer->begin(); }));
  return answer->wait(handle.hub(), end);
}

using Nothing = std::monostate;
using Told = std::shared_ptr<Answer<Nothing>>;

// The host's function goes first; what it covered is uncovered.
void remove_here(Engine& engine, const std::string& name, const Told& told) {
  if (engine.is_host_function(name)) {
    told->set(engine.undefine(name));
    return;
  }
  StoreThread& store = engine.store();
  const bool taken = store.post([&store, name, told](FunctionService& service) {
    auto removed = std::make_shared<Status>(service.remove(name));
    store.answer([told, removed] { told->set(std::move(*removed)); });
  });
  if (!taken) told->set(Error{Code::store_busy, "too many changes of functions wait"});
}

Result<FunctionSpec> read_definition(const hearth_host_function_t& in) {
  if (in.name == nullptr || in.handler == nullptr) return bad("name or handler is NULL");
  FunctionSpec spec;
  spec.name = in.name;
  spec.runtime = Runtime::host;
  spec.memory_bytes = 0;
  if (in.timeout_ms != 0) spec.timeout = milliseconds(std::min(in.timeout_ms, kTimeoutMax));
  spec.concurrency.per_worker = std::max(in.concurrency, 1u);
  spec.concurrency.workers_max = 1;
  spec.concurrency.queue = in.queue;
  return spec;
}

Status define_here(Hub& hub, Engine& engine, const hearth_host_function_t& in, FunctionSpec spec) {
  if (hub.draining()) return Error{Code::shutting_down, {}};
  auto host = std::make_shared<HostFunction>(hub, in);
  spec.host = host;
  HEARTH_TRY(engine.define(std::move(spec)));
  host->defined();
  return ok();
}

Status define(hearth_engine& handle, const hearth_host_function_t* function, uint64_t timeout_ms) {
  if (Inside::now()) return Error{Code::would_deadlock, kWouldDeadlock};
  const auto in = HEARTH_TRY(read_struct(function, "the function"));
  FunctionSpec spec = HEARTH_TRY(read_definition(in));
  Hub* const hub = &handle.hub();
  // Who was told timed_out can't know what became of it: `ctx` is given back in every case.
  const auto removed = [in] {
    if (in.on_removed != nullptr) in.on_removed(in.ctx);
  };
  const auto work = [hub, in, spec, removed](Engine& engine, const Told& told) {
    Status defined = define_here(*hub, engine, in, spec);
    const bool failed = !defined;
    if (!told->set(std::move(defined)) && failed) removed();
  };
  return ask<Nothing>(handle, timeout_ms, work, removed);
}

}  // namespace
}  // namespace hearth::capi

hearth_error_t* hearth_function_load(hearth_engine_t* engine, const hearth_source_t* source,
                                     uint64_t timeout_ms, char revision_out[65]) {
  const auto loaded = hearth::capi::load(*engine, source, timeout_ms);
  if (!loaded) return hearth::capi::to_c(loaded.error());
  if (revision_out != nullptr) {
    const size_t size = loaded->copy(revision_out, 64);
    revision_out[size] = '\0';
  }
  return nullptr;
}

hearth_error_t* hearth_function_remove(hearth_engine_t* engine, const char* name,
                                       uint64_t timeout_ms) {
  using namespace hearth::capi;
  if (name == nullptr) return to_c(bad("name is NULL"));
  return to_c(ask<Nothing>(*engine, timeout_ms,
                           [text = std::string(name)](hearth::Engine& e, const Told& told) {
                             remove_here(e, text, told);
                           }));
}

hearth_error_t* hearth_function_define(hearth_engine_t* engine,
                                       const hearth_host_function_t* function,
                                       uint64_t timeout_ms) {
  return hearth::capi::to_c(hearth::capi::define(*engine, function, timeout_ms));
}
