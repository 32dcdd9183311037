#include "store/function_rows.h"

#include <fmt/core.h>

#include <algorithm>

#include "store/digest.h"

namespace hearth::rows {
namespace {

constexpr std::string_view kSelect =
    "SELECT f.name, r.id, r.revision, r.runtime, r.runtime_label, r.handler, r.timeout_ms,"
    " r.memory_bytes, r.per_worker, r.workers_min, r.workers_max, r.queue, r.network,"
    " r.description, r.role, r.code_sha256, c.archive_bytes, f.revision_id, f.created_ms,"
    " f.modified_ms, r.cpu_millis, r.egress_allow, r.least_sandbox, r.leftovers, r.max_calls,"
    " r.max_age_ms, r.max_rss, r.zygote, r.tmp_bytes, r.init_timeout_ms"
    " FROM functions f JOIN revisions r ON r.id = f.revision JOIN codes c ON c.sha256 = "
    "r.code_sha256";

WallTime from_ms(int64_t ms) { return WallTime(milliseconds(ms)); }
int64_t wall_ms(WallTime time) { return to_ms(time.time_since_epoch()); }

Status read_environment(Database& database, int64_t revision, FunctionSpec& spec) {
  Statement s = HEARTH_TRY(database.query(
      "SELECT key, value FROM environment WHERE revision = ? ORDER BY key", revision));
  while (HEARTH_TRY(s.step())) {
    spec.environment.emplace_back(std::string(s.text(0)), std::string(s.text(1)));
  }
  return ok();
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out.append(out.empty() ? "" : "\n").append(line);
  return out;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Status read_isolation(const Statement& s, std::string_view name, Isolation& out) {
  const auto network = network_from_name(s.text(12));
  const auto leftovers = leftovers_from_name(s.text(23));
  const auto zygote = zygote_from_name(s.text(27));
  const auto least =
      s.text(22).empty() ? std::optional(SandboxLeast::any) : sandbox_least_from_name(s.text(22));
  if (!network || !leftovers || !zygote || !least) {
    return Error{Code::state_unusable,
                 fmt::format("function '{}' has an unknown network ('{}'), sandbox ('{}'), "
                             "leftovers ('{}') or zygote ('{}')",
                             name, s.text(12), s.text(22), s.text(23), s.text(27))};
  }
  out.network = *network;
  out.leftovers = *leftovers;
  out.zygote = *zygote;
  out.least_sandbox = *least;
  out.cpu_millis = static_cast<uint32_t>(s.integer(20));
  out.egress_allow = split(s.text(21));
  out.recycle.max_calls = static_cast<uint32_t>(s.integer(24));
  out.recycle.max_age = milliseconds(s.integer(25));
  out.recycle.max_rss = static_cast<uint64_t>(s.integer(26));
  out.tmp_bytes = static_cast<uint64_t>(s.integer(28));
  out.init_timeout = milliseconds(s.integer(29));
  return ok();
}

// The database file is input too: what can't be a spec is an error, not a crash.
Result<FunctionRecord> read_record(Database& database, const Statement& s) {
  FunctionRecord record;
  FunctionSpec& spec = record.spec;
  spec.name = s.text(0);
  spec.revision = s.text(2);
  const auto runtime = runtime_from_name(s.text(3));
  if (!runtime) {
    return Error{Code::state_unusable,
                 fmt::format("function '{}' has the unknown runtime '{}'", spec.name, s.text(3))};
  }
  spec.runtime = *runtime;
  spec.runtime_label = s.text(4);
  spec.handler = s.text(5);
  spec.timeout = milliseconds(s.integer(6));
  spec.memory_bytes = static_cast<uint64_t>(s.integer(7));
  spec.concurrency.per_worker = static_cast<uint32_t>(s.integer(8));
  spec.concurrency.workers_min = static_cast<uint32_t>(s.integer(9));
  spec.concurrency.workers_max = static_cast<uint32_t>(s.integer(10));
  spec.concurrency.queue = static_cast<uint32_t>(s.integer(11));
  spec.description = s.text(13);
  spec.role = s.text(14);
  spec.code_sha256 = s.text(15);
  spec.code_size = static_cast<uint64_t>(s.integer(16));
  record.revision_id = s.text(17);
  record.created = from_ms(s.integer(18));
  record.modified = from_ms(s.integer(19));
  record.code_sha256_base64 = base64_of_hex(spec.code_sha256);
  HEARTH_TRY(read_isolation(s, spec.name, spec));
  HEARTH_TRY(read_environment(database, s.integer(1), spec));
  return record;
}

Result<std::vector<std::string>> read_texts(Statement s) {
  std::vector<std::string> texts;
  while (HEARTH_TRY(s.step())) texts.emplace_back(s.text(0));
  return texts;
}

Result<int64_t> read_integer(Statement s) {
  if (!HEARTH_TRY(s.step())) return Error{Code::store_failed, "a row is missing"};
  return s.integer(0);
}

}  // namespace

Result<std::optional<FunctionRecord>> find_function(Database& database, std::string_view name) {
  Statement s = HEARTH_TRY(database.query(fmt::format("{} WHERE f.name = ?", kSelect), name));
  if (!HEARTH_TRY(s.step())) return std::optional<FunctionRecord>();
  return std::optional<FunctionRecord>(HEARTH_TRY(read_record(database, s)));
}

Result<std::vector<FunctionRecord>> list_functions(Database& database, std::string_view marker,
                                                   uint32_t max) {
  Statement s = HEARTH_TRY(database.query(
      fmt::format("{} WHERE f.name > ? ORDER BY f.name LIMIT ?", kSelect), marker, max));
  std::vector<FunctionRecord> records;
  while (HEARTH_TRY(s.step())) records.push_back(HEARTH_TRY(read_record(database, s)));
  return records;
}

Result<int64_t> count_functions(Database& database) {
  return read_integer(HEARTH_TRY(database.query("SELECT count(*) FROM functions")));
}

Result<int64_t> insert_revision(Database& database, const FunctionRecord& record) {
  const FunctionSpec& spec = record.spec;
  HEARTH_TRY(database.run(
      "INSERT INTO revisions (function, revision, runtime, runtime_label, handler, timeout_ms,"
      " memory_bytes, per_worker, workers_min, workers_max, queue, network, description, role,"
      " code_sha256, created_ms, cpu_millis, egress_allow, least_sandbox, leftovers, max_calls,"
      " max_age_ms, max_rss, zygote, tmp_bytes, init_timeout_ms)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      spec.name, spec.revision, runtime_name(spec.runtime), runtime_label(spec), spec.handler,
      spec.timeout.count(), spec.memory_bytes, spec.concurrency.per_worker,
      spec.concurrency.workers_min, spec.concurrency.workers_max, spec.concurrency.queue,
      network_name(spec.network), spec.description, spec.role, spec.code_sha256,
      wall_ms(record.modified), spec.cpu_millis, joined(spec.egress_allow),
      sandbox_least_name(spec.least_sandbox), leftovers_name(spec.leftovers),
      spec.recycle.max_calls, spec.recycle.max_age.count(), spec.recycle.max_rss,
      zygote_name(spec.zygote), spec.tmp_bytes, spec.init_timeout.count()));
  const int64_t id = database.last_insert_id();
  for (const auto& [key, value] : spec.environment) {
    HEARTH_TRY(database.run("INSERT INTO environment (revision, key, value) VALUES (?, ?, ?)", id,
                            key, value));
  }
  return id;
}

Result<int64_t> current_revision(Database& database, std::string_view name) {
  return read_integer(
      HEARTH_TRY(database.query("SELECT revision FROM functions WHERE name = ?", name)));
}

Status put_function(Database& database, const FunctionRecord& record, int64_t revision) {
  return database.run(
      "INSERT INTO functions (name, revision, revision_id, created_ms, modified_ms)"
      " VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET revision = excluded.revision,"
      " revision_id = excluded.revision_id, modified_ms = excluded.modified_ms",
      record.spec.name, revision, record.revision_id, wall_ms(record.created),
      wall_ms(record.modified));
}

Status remove_function(Database& database, std::string_view name) {
  HEARTH_TRY(database.run("DELETE FROM functions WHERE name = ?", name));
  return database.run("DELETE FROM revisions WHERE function = ?", name);
}

Status trim_revisions(Database& database, std::string_view name, uint32_t keep) {
  return database.run(
      "DELETE FROM revisions WHERE function = ?1 AND id NOT IN"
      " (SELECT id FROM revisions WHERE function = ?1 ORDER BY id DESC LIMIT ?2)",
      name, keep);
}

Result<std::optional<CodeRow>> find_code(Database& database, std::string_view sha256) {
  Statement s = HEARTH_TRY(database.query(
      "SELECT archive_bytes, unpacked_bytes, files FROM codes WHERE sha256 = ?", sha256));
  if (!HEARTH_TRY(s.step())) return std::optional<CodeRow>();
  CodeRow row;
  row.archive_bytes = static_cast<uint64_t>(s.integer(0));
  row.unpacked.bytes = static_cast<uint64_t>(s.integer(1));
  row.unpacked.files = static_cast<uint32_t>(s.integer(2));
  return std::optional<CodeRow>(row);
}

Status insert_code(Database& database, std::string_view sha256, const CodeRow& row) {
  return database.run(
      "INSERT INTO codes (sha256, archive_bytes, unpacked_bytes, files) VALUES (?, ?, ?, ?)",
      sha256, row.archive_bytes, row.unpacked.bytes, row.unpacked.files);
}

Status remove_code(Database& database, std::string_view sha256) {
  return database.run("DELETE FROM codes WHERE sha256 = ?", sha256);
}

Result<int64_t> code_bytes(Database& database) {
  return read_integer(HEARTH_TRY(
      database.query("SELECT coalesce(sum(archive_bytes + unpacked_bytes), 0) FROM codes")));
}

Result<std::vector<std::string>> all_codes(Database& database) {
  return read_texts(HEARTH_TRY(database.query("SELECT sha256 FROM codes ORDER BY sha256")));
}

Result<std::vector<std::string>> unused_codes(Database& database) {
  return read_texts(HEARTH_TRY(
      database.query("SELECT sha256 FROM codes WHERE NOT EXISTS"
                     " (SELECT 1 FROM revisions WHERE code_sha256 = sha256) ORDER BY sha256")));
}

}  // namespace hearth::rows
