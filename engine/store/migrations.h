// The database's schema as a list of steps. Step N takes a database of version N - 1 to version N.
// A step that has been released never changes; a change of the schema is a further step.
#pragma once
#include <span>

#include "store/database.h"

namespace hearth {

// SQL of each step, oldest first.
std::span<const char* const> schema_steps();

// Brings the database to version `steps.size()`, each step in its own transaction: a kill between
// two steps is continued at the next start. Errors: state_unusable when the database is newer than
// `steps`, and those of Database.
Status migrate(Database& database, std::span<const char* const> steps = schema_steps());

// The version of the database; 0 for an empty one.
Result<int64_t> schema_version(Database& database);

}  // namespace hearth
