#include "store/migrations.h"

#include <fmt/core.h>

namespace hearth {
namespace {

constexpr const char* kSteps[] = {
    // 1: functions, their revisions, and the code that revisions refer to.
    R"sql(
CREATE TABLE codes (
  sha256         TEXT PRIMARY KEY,
  archive_bytes  INTEGER NOT NULL,
  unpacked_bytes INTEGER NOT NULL,
  files          INTEGER NOT NULL
) STRICT;
CREATE TABLE revisions (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  function      TEXT NOT NULL,
  revision      TEXT NOT NULL,
  runtime       TEXT NOT NULL,
  runtime_label TEXT NOT NULL,
  handler       TEXT NOT NULL,
  timeout_ms    INTEGER NOT NULL,
  memory_bytes  INTEGER NOT NULL,
  per_worker    INTEGER NOT NULL,
  workers_min   INTEGER NOT NULL,
  workers_max   INTEGER NOT NULL,
  queue         INTEGER NOT NULL,
  network       TEXT NOT NULL,
  description   TEXT NOT NULL,
  role          TEXT NOT NULL,
  code_sha256   TEXT NOT NULL REFERENCES codes (sha256),
  created_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX revisions_of_function ON revisions (function, id);
CREATE INDEX revisions_of_code ON revisions (code_sha256);
CREATE TABLE environment (
  revision INTEGER NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
  key      TEXT NOT NULL,
  value    TEXT NOT NULL,
  PRIMARY KEY (revision, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE functions (
  name        TEXT PRIMARY KEY,
  revision    INTEGER NOT NULL REFERENCES revisions (id),
  revision_id TEXT NOT NULL,
  created_ms  INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL
) STRICT;
)sql",
    // 2: what a function asks of its sandbox and of its workers' lives.
    R"sql(
ALTER TABLE revisions ADD COLUMN cpu_millis    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE revisions ADD COLUMN egress_allow  TEXT    NOT NULL DEFAULT '';
ALTER TABLE revisions ADD COLUMN least_sandbox TEXT    NOT NULL DEFAULT '';
ALTER TABLE revisions ADD COLUMN leftovers     TEXT    NOT NULL DEFAULT 'freeze';
ALTER TABLE revisions ADD COLUMN max_calls     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE revisions ADD COLUMN max_age_ms    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE revisions ADD COLUMN max_rss       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE revisions ADD COLUMN zygote        TEXT    NOT NULL DEFAULT 'auto';
ALTER TABLE revisions ADD COLUMN tmp_bytes     INTEGER NOT NULL DEFAULT 67108864;
)sql",
    // 3: a time of its own for loading a function's code.
    R"sql(
ALTER TABLE revisions ADD COLUMN init_timeout_ms INTEGER NOT NULL DEFAULT 0;
)sql",
};

}  // namespace

std::span<const char* const> schema_steps() { return kSteps; }

Result<int64_t> schema_version(Database& database) {
  Statement exists = HEARTH_TRY(database.query(
      "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'"));
  if (!HEARTH_TRY(exists.step())) return int64_t{0};
  Statement version = HEARTH_TRY(database.query("SELECT max(version) FROM schema_version"));
  HEARTH_TRY(version.step());
  return version.integer(0);
}

Status migrate(Database& database, std::span<const char* const> steps) {
  const int64_t version = HEARTH_TRY(schema_version(database));
  const auto known = static_cast<int64_t>(steps.size());
  if (version < 0 || version > known) {
    return Error{
        Code::state_unusable,
        fmt::format("the database has schema version {}, this hearth knows versions up to "
                    "{}: start the newer hearth that wrote it, or use another state folder",
                    version, known)};
  }
  for (int64_t next = version + 1; next <= known; ++next) {
    Transaction transaction = HEARTH_TRY(Transaction::begin(database));
    HEARTH_TRY(database.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY) STRICT"));
    HEARTH_TRY(database.execute(steps[static_cast<size_t>(next - 1)]));
    HEARTH_TRY(database.run("INSERT INTO schema_version (version) VALUES (?)", next));
    HEARTH_TRY(transaction.commit());
  }
  return ok();
}

}  // namespace hearth
