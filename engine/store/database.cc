#include "store/database.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace hearth {
namespace {

// Only this process opens the file (StateFolder holds a lock), so that a busy database means an
// operator's own sqlite3 shell: wait for it a little.
constexpr int kBusyTimeoutMs = 2'000;

Error sqlite_error(sqlite3* handle, std::string_view what) {
  const int result = sqlite3_errcode(handle);
  Code code = Code::store_failed;
  const int cause = sqlite3_system_errno(handle);
  const bool os_failed =
      result == SQLITE_FULL || result == SQLITE_IOERR || result == SQLITE_CANTOPEN;
  if (result == SQLITE_CORRUPT || result == SQLITE_NOTADB || result == SQLITE_CANTOPEN ||
      result == SQLITE_READONLY) {
    code = Code::state_unusable;
  }
  // The log and the index beside it take room too; where they can't grow SQLite tells of an error
  // in a read or an open.
  if (result == SQLITE_FULL || (os_failed && (cause == ENOSPC || cause == EDQUOT)))
    code = Code::disk_full;
  return Error{code, fmt::format("{}: {}", what, sqlite3_errmsg(handle))};
}

// The owner's alone, since its folder may let others pass. SQLite gives what it puts beside the
// file the file's mode; what an earlier version left there has its own. Before SQLite has the file
// open: closing a descriptor of it gives up this process's locks on it.
Status make_private(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    const int create = *suffix == '\0' ? O_CREAT : 0;
    const UniqueFd fd(::open((path + suffix).c_str(),
                             O_RDWR | create | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!fd.valid() && create == 0 && errno == ENOENT) continue;
    if (!fd.valid() || ::fchmod(fd.get(), 0600) != 0)
      return Error{errno == ENOSPC || errno == EDQUOT ? Code::disk_full : Code::state_unusable,
                   fmt::format("{}{}: {}", path, suffix, std::strerror(errno))};
  }
  return ok();
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Status Statement::bind(int index, int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK) return ok();
  return sqlite_error(sqlite3_db_handle(statement_.get()), "bind");
}

Status Statement::bind(int index, std::string_view value) {
  // A null pointer would bind NULL.
  const char* data = value.data() == nullptr ? "" : value.data();
  const int result = sqlite3_bind_text64(statement_.get(), index, data, value.size(),
                                         SQLITE_TRANSIENT, SQLITE_UTF8);
  if (result == SQLITE_OK) return ok();
  return sqlite_error(sqlite3_db_handle(statement_.get()), "bind");
}

Result<bool> Statement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return sqlite_error(sqlite3_db_handle(statement_.get()), sqlite3_sql(statement_.get()));
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (data == nullptr) return {};
  return {data, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Result<Database> Database::open(const std::string& path) {
  HEARTH_TRY(make_private(path));
  sqlite3* handle = nullptr;
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database database(handle);
  if (result != SQLITE_OK) {
    return Error{Code::state_unusable, fmt::format("{}: {}", path, sqlite3_errstr(result))};
  }
  sqlite3_extended_result_codes(handle, 0);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  // The file holds nobody's SQL but ours; these shut what a prepared file could bring with it.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  HEARTH_TRY(database.execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
      "PRAGMA cell_size_check = ON; PRAGMA cache_size = -512;"));
  return database;
}

Status Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return ok();
  return sqlite_error(handle_.get(), "execute");
}

int64_t Database::last_insert_id() const { return sqlite3_last_insert_rowid(handle_.get()); }

Status Database::check() {
  Statement statement = HEARTH_TRY(query("PRAGMA quick_check(1)"));
  if (!HEARTH_TRY(statement.step())) return Error{Code::state_unusable, "quick_check said nothing"};
  if (statement.text(0) == "ok") return ok();
  return Error{Code::state_unusable, fmt::format("the database is damaged: {}", statement.text(0))};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        &statement, nullptr);
  if (result != SQLITE_OK) return sqlite_error(handle_.get(), sql);
  return Statement(statement);
}

Result<Transaction> Transaction::begin(Database& database) {
  // IMMEDIATE: a writer that waits does so here, not in the middle.
  HEARTH_TRY(database.execute("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ != nullptr) static_cast<void>(database_->execute("ROLLBACK"));
}

Status Transaction::commit() {
  HEARTH_TRY(database_->execute("COMMIT"));
  database_ = nullptr;
  return ok();
}

}  // namespace hearth
