// Shared by the files of this shim; not part of its interface.
#pragma once

#include "CRocksDB.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/memtablerep.h>
#include <rocksdb/options.h>
#include <rocksdb/statistics.h>
#include <rocksdb/version.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

// Debian builds RocksDB with assertions; the default of Options::info_log_level depends on it in a public header.
#ifdef NDEBUG
#error "the shim must be compiled like the library: without NDEBUG"
#endif
static_assert(ROCKSDB_MAJOR == 7, "written against RocksDB 7: compare the log format and the options before raising this");

struct themis_db {
    std::unique_ptr<rocksdb::DB> db;
    std::vector<rocksdb::ColumnFamilyHandle *> families;
    std::vector<rocksdb::ColumnFamilyOptions> family_options;
    rocksdb::DBOptions options;
    std::shared_ptr<rocksdb::Cache> cache;
    std::shared_ptr<rocksdb::Statistics> statistics;
    // One write at a time, so that each is a log record of its own and carries its own chain number.
    std::mutex write_mutex;
    rocksdb::WriteBatch batch;
    uint64_t next_chain = 1;
    uint64_t synced_chain = 0;
};

struct themis_iterator {
    std::string lower;
    std::string upper;
    rocksdb::Slice lower_slice;
    rocksdb::Slice upper_slice;
    bool reverse = false;
    bool started = false;
    std::unique_ptr<rocksdb::Iterator> iterator;
};

namespace themis {

themis_status convert(const rocksdb::Status &status);
themis_status invalid(const char *message);

inline rocksdb::Slice slice(const uint8_t *bytes, size_t size) {
    return rocksdb::Slice(reinterpret_cast<const char *>(bytes), size);
}
inline const rocksdb::Snapshot *native(const themis_snapshot *snapshot) {
    return reinterpret_cast<const rocksdb::Snapshot *>(snapshot);
}

/// One operation of an encoded batch.
struct Operation {
    uint8_t kind;
    uint8_t keyspace;
    rocksdb::Slice first;
    rocksdb::Slice second;
};

/// Reads an encoded batch from front to back.
class BatchReader {
  public:
    BatchReader(const uint8_t *bytes, size_t size) : next_(bytes), end_(bytes + size) {}
    bool at_end() const { return next_ == end_; }
    /// False when the bytes are no operation.
    bool read(Operation *operation);

  private:
    bool read_slice(rocksdb::Slice *slice);
    const uint8_t *next_;
    const uint8_t *end_;
};

/// Memtables for one writer at a time and keys in bytewise order.
std::shared_ptr<rocksdb::MemTableRepFactory> skip_lists();

rocksdb::DBOptions database_options(const themis_options &options);
std::vector<rocksdb::ColumnFamilyDescriptor> families(const themis_options &options, const std::shared_ptr<rocksdb::Cache> &cache);

}  // namespace themis
