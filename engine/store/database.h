// RAII over sqlite3: a connection, prepared statements, transactions. One thread at a time; a
// connection may be handed from one thread to another between calls.
// Errors: store_failed (SQLite's text), disk_full, state_unusable (not a database, corrupt, can't
// be opened).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace hearth {

// A prepared statement. Its Database must outlive it.
class Statement {
 public:
  // Parameters are numbered from 1. Text is copied.
  Status bind(int index, int64_t value);
  Status bind(int index, std::string_view value);

  // True: there is a row, whose columns can be read. False: the statement has ended.
  Result<bool> step();

  // Columns are numbered from 0. A view is valid until the next step().
  int64_t integer(int column) const;
  std::string_view text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  // Opens or creates the file (mode 0600) in WAL mode with synchronous=FULL: what a commit has
  // acknowledged survives a kill and a power cut.
  static Result<Database> open(const std::string& path);

  // Prepares and binds.
  template <class... Args>
  Result<Statement> query(std::string_view sql, const Args&... args) {
    Statement statement = HEARTH_TRY(prepare(sql));
    int index = 0;
    Status status = ok();
    static_cast<void>(((status = bind_one(statement, ++index, args), bool(status)) && ...));
    if (!status) return std::move(status).error();
    return statement;
  }
  // Runs a statement that gives no rows.
  template <class... Args>
  Status run(std::string_view sql, const Args&... args) {
    Statement statement = HEARTH_TRY(query(sql, args...));
    HEARTH_TRY(statement.step());
    return ok();
  }
  // Runs several statements without parameters.
  Status execute(const std::string& sql);

  int64_t last_insert_id() const;
  // SQLite's quick_check; state_unusable with what it found.
  Status check();

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  explicit Database(sqlite3* handle) : handle_(handle) {}
  Result<Statement> prepare(std::string_view sql);
  template <class T>
  static Status bind_one(Statement& statement, int index, const T& value) {
    if constexpr (std::is_integral_v<T>) {
      return statement.bind(index, static_cast<int64_t>(value));
    } else {
      return statement.bind(index, std::string_view(value));
    }
  }
  std::unique_ptr<sqlite3, Close> handle_;
};

// Begins at begin(), rolls back unless commit() succeeded.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace hearth
