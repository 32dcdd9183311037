// The SQL of functions, revisions and codes; no rules. Each function is one statement or a few, and
// belongs into the caller's transaction.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "store/database.h"
#include "store/function_record.h"
#include "store/unpack.h"

namespace hearth::rows {

struct CodeRow {
  uint64_t archive_bytes = 0;
  Unpacked unpacked;
};

Result<std::optional<FunctionRecord>> find_function(Database& database, std::string_view name);
// In the order of the names' bytes, those after `marker`, at most `max`.
Result<std::vector<FunctionRecord>> list_functions(Database& database, std::string_view marker,
                                                   uint32_t max);
Result<int64_t> count_functions(Database& database);

// Inserts the record's revision; returns its row id.
Result<int64_t> insert_revision(Database& database, const FunctionRecord& record);
Result<int64_t> current_revision(Database& database, std::string_view name);
// Inserts or replaces the function's row, to point to `revision`.
Status put_function(Database& database, const FunctionRecord& record, int64_t revision);
Status remove_function(Database& database, std::string_view name);
// Removes all revisions of the function but the newest `keep`.
Status trim_revisions(Database& database, std::string_view name, uint32_t keep);

Result<std::optional<CodeRow>> find_code(Database& database, std::string_view sha256);
Status insert_code(Database& database, std::string_view sha256, const CodeRow& row);
Status remove_code(Database& database, std::string_view sha256);
// Bytes on disk of all code, packed and unpacked.
Result<int64_t> code_bytes(Database& database);
Result<std::vector<std::string>> all_codes(Database& database);
// Codes that no revision refers to.
Result<std::vector<std::string>> unused_codes(Database& database);

}  // namespace hearth::rows
