// The management service: the one place that creates, changes and removes functions. Every dialect
// (the Lambda API, later ones) comes here. Each change is committed durably, and told to the
// listener, before the call returns. One thread (the store's), but for what is const: that may run
// on any thread beside it. No function blocks on anything but the disk.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/request_id.h"
#include "core/runtime_catalogue.h"
#include "store/code_store.h"
#include "store/database.h"
#include "store/function_record.h"

namespace hearth {

class FunctionService {
 public:
  struct Options {
    Limits limits;
    RuntimeCatalogue runtimes;
    SandboxLeast sandbox = SandboxLeast::any;  // the mode in force; any = off
    NetworkProblems network;                   // which of its modes can't be had
    uint32_t revisions_kept = 10;              // a function's revisions, the current one included
    // Code to which no revision refers stays that long, since workers of the old revision may still
    // execute it: the longest call and the drain.
    nanoseconds code_grace{};
  };
  struct Page {
    std::vector<FunctionRecord> records;
    std::string next_marker;  // empty: the list has ended
  };

  // All references must outlive this. The database has been migrated.
  FunctionService(Database& database, CodeStore& code, const StateFolder& folder,
                  const Clock& clock, Options options);

  // Removes what a kill left behind: staging, code without a row, code without a revision.
  Status collect();
  Result<std::vector<FunctionRecord>> load_all();

  // Runs on the store's thread after each commit.
  void set_listener(std::function<void(const FunctionChange&)> listener) {
    listener_ = std::move(listener);
  }

  // THREAD-SAFE. The part of a deploy that takes long, and needs neither the database nor the
  // function: the archive is a zip, read from its begin. Errors: archive_invalid, disk_full,
  // io_failed.
  Result<StagedCode> prepare_code(int archive) const {
    return code_.prepare(archive, options_.limits.code_upload_max);
  }

  // `spec` needs neither revision nor code_*. `code` is what prepare_code() gave, its error
  // included: what is wrong with the spec is told first. Errors: function_exists,
  // invalid_parameter, runtime_unavailable, archive_invalid, code_storage_full, disk_full,
  // store_failed.
  Result<FunctionRecord> create(FunctionSpec spec, Result<StagedCode> code);

  // `revision_id`: when given, must be the current one, else revision_mismatch. function_unknown.
  // `patch` changes along with the code, in one revision: so a handler can move to another file.
  Result<FunctionRecord> update_code(std::string_view name, Result<StagedCode> code,
                                     const std::optional<std::string>& revision_id,
                                     const ConfigurationPatch& patch = {});
  Result<FunctionRecord> update_configuration(std::string_view name,
                                              const ConfigurationPatch& patch,
                                              const std::optional<std::string>& revision_id);
  Status remove(std::string_view name);

  // Records of functions that no interpreter here runs say why in `unavailable`.
  Result<FunctionRecord> get(std::string_view name);
  // Functions after `marker` in the order of their names' bytes; at most `max` (1 or more).
  Result<Page> list(std::string_view marker, uint32_t max);
  // The archive of the function's current code, for reading.
  Result<UniqueFd> open_archive(const FunctionRecord& record) {
    return code_.open_archive(record.spec.code_sha256);
  }
  // THREAD-SAFE. A nameless file in the state folder, for what is too large for memory.
  Result<UniqueFd> temporary_file() const;

  const Limits& limits() const { return options_.limits; }

  // Removes code whose grace has passed. Returns when to come back, if there is more.
  std::optional<MonotonicTime> sweep();

 private:
  struct Retired {
    std::string sha256;
    MonotonicTime since;
  };
  struct NewCode {
    std::string sha256;
    uint64_t archive_bytes = 0;
    std::optional<StagedCode> staged;  // empty: the store has it already
  };
  Status check(FunctionRecord& record);
  Status place(FunctionRecord& record);
  Result<FunctionRecord> find(std::string_view name, const std::optional<std::string>& revision_id);
  Result<NewCode> take_code(Result<StagedCode> staged, FunctionSpec& spec);
  Status check_room(const StagedCode& staged);
  Status commit(FunctionRecord& record, const FunctionRecord* before, NewCode* code);
  Status write_rows(const FunctionRecord& record, const FunctionRecord* before, NewCode* code);
  Result<FunctionRecord> finish_update(FunctionRecord record, const FunctionRecord& before,
                                       NewCode* code);
  Status retire_unused();
  void tell(FunctionChange::Kind kind, const FunctionRecord& record);

  Database& database_;
  CodeStore& code_;
  const StateFolder& folder_;
  const Clock& clock_;
  Options options_;
  RequestIdSource ids_;
  std::function<void(const FunctionChange&)> listener_;
  std::vector<Retired> retired_;
};

}  // namespace hearth
