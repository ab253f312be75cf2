#include "CRocksDB.h"
#include <rocksdb/db.h>
#include <rocksdb/version.h>

static_assert(ROCKSDB_MAJOR >= 7, "the shim is written against RocksDB 7 or newer");
