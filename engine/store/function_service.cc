#include "store/function_service.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "store/digest.h"
#include "store/files.h"
#include "store/function_rows.h"
#include "store/handler_file.h"

namespace hearth {
namespace {

Error unknown(std::string_view name) {
  return Error{Code::function_unknown, fmt::format("Function not found: {}", name)};
}

}  // namespace

FunctionService::FunctionService(Database& database, CodeStore& code, const StateFolder& folder,
                                 const Clock& clock, Options options)
    : database_(database),
      code_(code),
      folder_(folder),
      clock_(clock),
      options_(std::move(options)) {}

Status FunctionService::collect() {
  for (const auto& sha256 : HEARTH_TRY(rows::unused_codes(database_))) {
    HEARTH_TRY(rows::remove_code(database_, sha256));
  }
  const auto codes = HEARTH_TRY(rows::all_codes(database_));
  const std::set<std::string> wanted(codes.begin(), codes.end());
  return code_.collect([&](const std::string& sha256) { return wanted.contains(sha256); });
}

Result<std::vector<FunctionRecord>> FunctionService::load_all() {
  auto records = HEARTH_TRY(rows::list_functions(database_, "", options_.limits.functions_max));
  for (FunctionRecord& record : records) static_cast<void>(place(record));
  return records;
}

// Which interpreter runs it here.
Status FunctionService::place(FunctionRecord& record) {
  const auto choice = options_.runtimes.choose(record.spec.runtime, record.spec.runtime_label);
  record.unavailable = choice ? std::string() : choice.error().detail;
  if (!choice) return choice.error();
  record.spec.interpreter = choice->number;
  record.interpreter_version = choice->version;
  record.substituted = choice->substituted;
  return ok();
}

Status FunctionService::check(FunctionRecord& record) {
  FunctionSpec& spec = record.spec;
  HEARTH_TRY(validate(spec, options_.limits));
  spec.runtime_label = runtime_label(spec);
  HEARTH_TRY(place(record));
  return check_confinement(spec, options_.sandbox, options_.network);
}

Result<FunctionRecord> FunctionService::find(std::string_view name,
                                             const std::optional<std::string>& revision_id) {
  auto record = HEARTH_TRY(rows::find_function(database_, name));
  if (!record) return unknown(name);
  if (revision_id && *revision_id != record->revision_id) {
    return Error{Code::revision_mismatch,
                 fmt::format("the RevisionId given ({}) is not the current one ({}): get the "
                             "function again and retry",
                             *revision_id, record->revision_id)};
  }
  static_cast<void>(place(*record));
  return std::move(*record);
}

// Checks the code against the store and the spec; sets what `spec` says of its code. Nothing is
// visible before commit().
Result<FunctionService::NewCode> FunctionService::take_code(Result<StagedCode> staged,
                                                            FunctionSpec& spec) {
  NewCode code;
  code.staged.emplace(HEARTH_TRY(std::move(staged)));
  code.sha256 = code.staged->sha256();
  code.archive_bytes = code.staged->archive_bytes();
  if (HEARTH_TRY(rows::find_code(database_, code.sha256))) {
    code.staged.reset();
    const UniqueFd folder = HEARTH_TRY(code_.open_code(code.sha256));
    HEARTH_TRY(check_handler_file(folder.get(), spec));
  } else {
    // What was there when it was prepared may have been removed since.
    if (!code.staged->is_unpacked()) HEARTH_TRY(code_.unpack(*code.staged));
    HEARTH_TRY(check_room(*code.staged));
    HEARTH_TRY(check_handler_file(code.staged->folder(), spec));
  }
  spec.code_sha256 = code.sha256;
  spec.code_size = code.archive_bytes;
  return code;
}

Status FunctionService::check_room(const StagedCode& staged) {
  const auto used = static_cast<uint64_t>(HEARTH_TRY(rows::code_bytes(database_)));
  if (used + staged.archive_bytes() + staged.unpacked().bytes <= options_.limits.code_total_max) {
    return ok();
  }
  return Error{Code::code_storage_full,
               fmt::format("{} bytes are in use and {} are allowed (limits.code_total): delete "
                           "functions that are not needed any more",
                           used, options_.limits.code_total_max)};
}

Result<FunctionRecord> FunctionService::create(FunctionSpec wanted, Result<StagedCode> staged) {
  FunctionRecord record;
  record.spec = std::move(wanted);
  FunctionSpec& spec = record.spec;
  std::sort(spec.environment.begin(), spec.environment.end());
  HEARTH_TRY(check(record));
  if (HEARTH_TRY(rows::find_function(database_, spec.name))) {
    return Error{Code::function_exists, fmt::format("Function already exist: {}", spec.name)};
  }
  const auto functions = HEARTH_TRY(rows::count_functions(database_));
  if (functions >= options_.limits.functions_max) {
    return Error{Code::code_storage_full,
                 fmt::format("there are {} functions already (limits.functions)", functions)};
  }
  NewCode code = HEARTH_TRY(take_code(std::move(staged), spec));
  record.created = clock_.wall();
  HEARTH_TRY(commit(record, nullptr, &code));
  static_cast<void>(retire_unused());
  tell(FunctionChange::Kind::created, record);
  return record;
}

Result<FunctionRecord> FunctionService::update_code(std::string_view name,
                                                    Result<StagedCode> staged,
                                                    const std::optional<std::string>& revision_id,
                                                    const ConfigurationPatch& patch) {
  const FunctionRecord before = HEARTH_TRY(find(name, revision_id));
  FunctionRecord record = before;
  apply_patch(patch, record.spec);
  HEARTH_TRY(check(record));
  NewCode code = HEARTH_TRY(take_code(std::move(staged), record.spec));
  return finish_update(std::move(record), before, &code);
}

Result<FunctionRecord> FunctionService::update_configuration(
    std::string_view name, const ConfigurationPatch& patch,
    const std::optional<std::string>& revision_id) {
  const FunctionRecord before = HEARTH_TRY(find(name, revision_id));
  FunctionRecord record = before;
  apply_patch(patch, record.spec);
  HEARTH_TRY(check(record));
  if (record.spec.handler != before.spec.handler || record.spec.runtime != before.spec.runtime) {
    const UniqueFd folder = HEARTH_TRY(code_.open_code(record.spec.code_sha256));
    HEARTH_TRY(check_handler_file(folder.get(), record.spec));
  }
  return finish_update(std::move(record), before, nullptr);
}

Result<FunctionRecord> FunctionService::finish_update(FunctionRecord record,
                                                      const FunctionRecord& before, NewCode* code) {
  HEARTH_TRY(commit(record, &before, code));
  // The commit stands whatever becomes of the clean-up; the next start repeats it.
  static_cast<void>(retire_unused());
  tell(FunctionChange::Kind::updated, record);
  return record;
}

// Fills in what the store decides of the record, publishes the code, then commits the rows: a kill
// in between leaves code without a row, which collect() removes.
Status FunctionService::commit(FunctionRecord& record, const FunctionRecord* before,
                               NewCode* code) {
  // The database keeps milliseconds: what is answered now is what a restart answers.
  record.modified = WallTime(milliseconds(to_ms(clock_.wall().time_since_epoch())));
  if (before == nullptr) record.created = record.modified;
  record.revision_id = ids_.next().text();
  record.spec.revision = revision_of(record.spec);
  record.code_sha256_base64 = base64_of_hex(record.spec.code_sha256);
  const bool fresh = code != nullptr && code->staged.has_value();
  if (fresh) HEARTH_TRY(code_.publish(*code->staged));
  Status written = write_rows(record, before, code);
  if (!written && fresh) {
    // Unless the commit came through although it failed, nothing refers to the code.
    const auto row = rows::find_code(database_, code->sha256);
    if (row && !row->has_value()) static_cast<void>(code_.remove(code->sha256));
  }
  return written;
}

Status FunctionService::write_rows(const FunctionRecord& record, const FunctionRecord* before,
                                   NewCode* code) {
  Transaction transaction = HEARTH_TRY(Transaction::begin(database_));
  if (code != nullptr && code->staged) {
    const rows::CodeRow row{code->archive_bytes, code->staged->unpacked()};
    HEARTH_TRY(rows::insert_code(database_, code->sha256, row));
  }
  const bool same = before != nullptr && before->spec.revision == record.spec.revision &&
                    runtime_label(before->spec) == runtime_label(record.spec);
  const int64_t revision = same ? HEARTH_TRY(rows::current_revision(database_, record.spec.name))
                                : HEARTH_TRY(rows::insert_revision(database_, record));
  HEARTH_TRY(rows::put_function(database_, record, revision));
  HEARTH_TRY(rows::trim_revisions(database_, record.spec.name, options_.revisions_kept));
  return transaction.commit();
}

Status FunctionService::remove(std::string_view name) {
  const FunctionRecord record = HEARTH_TRY(find(name, std::nullopt));
  {
    Transaction transaction = HEARTH_TRY(Transaction::begin(database_));
    HEARTH_TRY(rows::remove_function(database_, name));
    HEARTH_TRY(transaction.commit());
  }
  static_cast<void>(retire_unused());
  tell(FunctionChange::Kind::removed, record);
  return ok();
}

Result<FunctionRecord> FunctionService::get(std::string_view name) {
  return find(name, std::nullopt);
}

Result<FunctionService::Page> FunctionService::list(std::string_view marker, uint32_t max) {
  HEARTH_ASSERT(max > 0);
  Page page;
  page.records = HEARTH_TRY(rows::list_functions(database_, marker, max + 1));
  for (FunctionRecord& record : page.records) static_cast<void>(place(record));
  if (page.records.size() > max) {
    page.records.pop_back();
    page.next_marker = page.records.back().spec.name;
  }
  return page;
}

Result<UniqueFd> FunctionService::temporary_file() const {
  return hearth::temporary_file(folder_.staging());
}

Status FunctionService::retire_unused() {
  for (auto& sha256 : HEARTH_TRY(rows::unused_codes(database_))) {
    const bool known = std::any_of(retired_.begin(), retired_.end(),
                                   [&](const Retired& r) { return r.sha256 == sha256; });
    if (!known) retired_.push_back({std::move(sha256), clock_.now()});
  }
  static_cast<void>(sweep());
  return ok();
}

std::optional<MonotonicTime> FunctionService::sweep() {
  const MonotonicTime now = clock_.now();
  std::optional<MonotonicTime> next;
  if (retired_.empty()) return next;
  const auto unused = rows::unused_codes(database_);
  if (!unused) return next;
  std::vector<Retired> left;
  for (auto& retired : retired_) {
    // A later deploy may have taken the code into use again.
    if (std::find(unused->begin(), unused->end(), retired.sha256) == unused->end()) continue;
    const MonotonicTime due = retired.since + options_.code_grace;
    if (due > now) {
      next = std::min(next.value_or(due), due);
      left.push_back(std::move(retired));
      continue;
    }
    // Row first: code without a row is removed at the next start, a row without code would be a
    // lie.
    if (rows::remove_code(database_, retired.sha256)) {
      static_cast<void>(code_.remove(retired.sha256));
    }
  }
  retired_ = std::move(left);
  return next;
}

void FunctionService::tell(FunctionChange::Kind kind, const FunctionRecord& record) {
  if (!listener_) return;
  FunctionChange change{kind, record.spec.name, nullptr, {}};
  if (kind != FunctionChange::Kind::removed) {
    change.spec = std::make_shared<FunctionSpec>(record.spec);
    if (record.substituted) change.note = substitution_note(record);
  }
  listener_(change);
}

}  // namespace hearth
