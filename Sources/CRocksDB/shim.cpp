#include "internal.hpp"

#include <rocksdb/convenience.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/version.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

static_assert(rocksdb::Status::kOk == THEMIS_OK && rocksdb::Status::kNotFound == THEMIS_NOT_FOUND);
static_assert(rocksdb::Status::kCorruption == THEMIS_CORRUPTION && rocksdb::Status::kInvalidArgument == THEMIS_INVALID_ARGUMENT);
static_assert(rocksdb::Status::kIOError == THEMIS_IO_ERROR && rocksdb::Status::kIncomplete == THEMIS_INCOMPLETE);
static_assert(rocksdb::Status::kNoSpace == THEMIS_SUBCODE_NO_SPACE);
static_assert(static_cast<int>(rocksdb::BackgroundErrorReason::kFlush) == THEMIS_REASON_FLUSH);
static_assert(static_cast<int>(rocksdb::BackgroundErrorReason::kCompaction) == THEMIS_REASON_COMPACTION);

namespace themis {

themis_status convert(const rocksdb::Status &status) {
    themis_status out = {status.code(), status.subcode(), status.severity(), nullptr};
    if (!status.ok() && !status.IsNotFound()) out.message = strdup(status.ToString().c_str());
    return out;
}

themis_status invalid(const char *message) { return {THEMIS_INVALID_ARGUMENT, 0, 0, strdup(message)}; }

}  // namespace themis

using themis::convert;
using themis::native;
using themis::slice;

namespace {

/// The two sides of a range, for calls that take pointers to slices; an absent side is NULL.
struct Range {
    Range(const uint8_t *lower, size_t lower_size, const uint8_t *upper, size_t upper_size)
        : lower_slice(slice(lower, lower_size)), upper_slice(slice(upper, upper_size)), first(lower ? &lower_slice : nullptr),
          last(upper ? &upper_slice : nullptr) {}
    const rocksdb::Slice lower_slice;
    const rocksdb::Slice upper_slice;
    const rocksdb::Slice *const first;
    const rocksdb::Slice *const last;
};

}  // namespace

extern "C" {

void themis_status_release(themis_status *status) {
    free(status->message);
    status->message = nullptr;
}

#define THEMIS_TEXT_OF(number) #number
#define THEMIS_TEXT(number) THEMIS_TEXT_OF(number)
const char *themis_rocksdb_version(void) {
    return THEMIS_TEXT(ROCKSDB_MAJOR) "." THEMIS_TEXT(ROCKSDB_MINOR) "." THEMIS_TEXT(ROCKSDB_PATCH);
}

themis_status themis_db_open(const themis_options *options, themis_db **out) {
    auto opened = std::make_unique<themis_db>();
    opened->cache = rocksdb::NewLRUCache(options->block_cache_size);
    opened->options = themis::database_options(*options);
    opened->statistics = opened->options.statistics;
    opened->next_chain = options->next_chain;
    opened->synced_chain = options->next_chain - 1;
    const auto families = themis::families(*options, opened->cache);
    for (const auto &family : families) opened->family_options.push_back(family.options);
    rocksdb::DB *db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(opened->options, options->path, families, &opened->families, &db);
    if (!status.ok()) return convert(status);
    opened->db.reset(db);
    *out = opened.release();
    return convert(status);
}

void themis_db_close(themis_db *db) {
    // Debian's build asserts that every handle is gone before the database is.
    for (rocksdb::ColumnFamilyHandle *family : db->families) db->db->DestroyColumnFamilyHandle(family);
    db->db.reset();
    delete db;
}

themis_status themis_db_repair(const themis_options *options) {
    const auto cache = rocksdb::NewLRUCache(8 << 20);
    rocksdb::DBOptions database = themis::database_options(*options);
    database.listeners.clear();
    return convert(rocksdb::RepairDB(options->path, database, themis::families(*options, cache)));
}

themis_status themis_db_get(
    themis_db *db, const themis_snapshot *snapshot, uint32_t keyspace, const uint8_t *key, size_t size, int32_t cache_only,
    themis_value_function receive, void *context) {
    rocksdb::ReadOptions options;
    options.snapshot = native(snapshot);
    if (cache_only != 0) options.read_tier = rocksdb::kBlockCacheTier;
    rocksdb::PinnableSlice value;
    const rocksdb::Status status = db->db->Get(options, db->families[keyspace], slice(key, size), &value);
    if (status.ok()) receive(context, reinterpret_cast<const uint8_t *>(value.data()), value.size());
    return convert(status);
}

themis_status themis_db_multi_get(
    themis_db *db, const themis_snapshot *snapshot, uint32_t keyspace, const uint8_t *keys, const uint64_t *ends, size_t count,
    themis_values_function receive, void *context) {
    rocksdb::ReadOptions options;
    options.snapshot = native(snapshot);
    std::vector<rocksdb::Slice> slices;
    slices.reserve(count);
    uint64_t start = 0;
    for (size_t index = 0; index < count; index++) {
        slices.push_back(slice(keys + start, ends[index] - start));
        start = ends[index];
    }
    std::vector<rocksdb::PinnableSlice> values(count);
    std::vector<rocksdb::Status> statuses(count);
    db->db->MultiGet(options, db->families[keyspace], count, slices.data(), values.data(), statuses.data());
    rocksdb::Status first;
    for (size_t index = 0; index < count; index++) {
        const rocksdb::Status &status = statuses[index];
        if (!status.ok() && !status.IsNotFound() && first.ok()) first = status;
        receive(context, index, status.code(), reinterpret_cast<const uint8_t *>(values[index].data()), values[index].size());
    }
    return convert(first);
}

themis_snapshot *themis_db_snapshot(themis_db *db) {
    return reinterpret_cast<themis_snapshot *>(const_cast<rocksdb::Snapshot *>(db->db->GetSnapshot()));
}

void themis_snapshot_release(themis_db *db, themis_snapshot *snapshot) { db->db->ReleaseSnapshot(native(snapshot)); }

themis_iterator *themis_db_iterator(
    themis_db *db, const themis_snapshot *snapshot, uint32_t keyspace, const uint8_t *lower, size_t lower_size,
    const uint8_t *upper, size_t upper_size, int32_t reverse) {
    auto made = std::make_unique<themis_iterator>();
    made->reverse = reverse != 0;
    made->lower.assign(reinterpret_cast<const char *>(lower), lower_size);
    made->lower_slice = made->lower;
    rocksdb::ReadOptions options;
    options.snapshot = native(snapshot);
    options.iterate_lower_bound = &made->lower_slice;
    if (upper != nullptr) {
        // RocksDB wants ordered bounds; crossed ones hold nothing.
        made->upper.assign(reinterpret_cast<const char *>(upper), upper_size);
        if (made->upper < made->lower) made->upper = made->lower;
        made->upper_slice = made->upper;
        options.iterate_upper_bound = &made->upper_slice;
    }
    made->iterator.reset(db->db->NewIterator(options, db->families[keyspace]));
    return made.release();
}

int32_t themis_iterator_next(
    themis_iterator *cursor, const uint8_t **key, size_t *key_size, const uint8_t **value, size_t *value_size,
    themis_status *status) {
    rocksdb::Iterator &iterator = *cursor->iterator;
    if (!cursor->started) {
        cursor->started = true;
        if (cursor->reverse) {
            iterator.SeekToLast();
        } else {
            iterator.SeekToFirst();
        }
    } else if (iterator.Valid()) {
        if (cursor->reverse) {
            iterator.Prev();
        } else {
            iterator.Next();
        }
    }
    if (!iterator.Valid()) {
        *status = convert(iterator.status());
        return 0;
    }
    *status = {THEMIS_OK, 0, 0, nullptr};
    *key = reinterpret_cast<const uint8_t *>(iterator.key().data());
    *key_size = iterator.key().size();
    *value = reinterpret_cast<const uint8_t *>(iterator.value().data());
    *value_size = iterator.value().size();
    return 1;
}

void themis_iterator_release(themis_iterator *iterator) { delete iterator; }

themis_status themis_db_flush(themis_db *db, uint32_t keyspace) {
    return convert(db->db->Flush(rocksdb::FlushOptions(), db->families[keyspace]));
}

themis_status themis_db_compact(
    themis_db *db, uint32_t keyspace, const uint8_t *lower, size_t lower_size, const uint8_t *upper, size_t upper_size) {
    const Range range(lower, lower_size, upper, upper_size);
    rocksdb::CompactRangeOptions options;
    options.exclusive_manual_compaction = false;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    return convert(db->db->CompactRange(options, db->families[keyspace], range.first, range.last));
}

void themis_db_stop_compactions(themis_db *db) { db->db->DisableManualCompaction(); }

themis_status themis_db_checkpoint(themis_db *db, const char *path) {
    rocksdb::Checkpoint *made = nullptr;
    rocksdb::Status status = rocksdb::Checkpoint::Create(db->db.get(), &made);
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
    if (status.ok()) status = checkpoint->CreateCheckpoint(path);
    return convert(status);
}

uint64_t themis_db_approximate_bytes(
    themis_db *db, uint32_t keyspace, const uint8_t *lower, size_t lower_size, const uint8_t *upper, size_t upper_size) {
    const rocksdb::Range range(slice(lower, lower_size), slice(upper, upper_size));
    rocksdb::SizeApproximationOptions options;
    options.include_memtables = true;
    uint64_t size = 0;
    if (range.start.compare(range.limit) >= 0) return 0;
    return db->db->GetApproximateSizes(options, db->families[keyspace], &range, 1, &size).ok() ? size : 0;
}

uint64_t themis_db_property(themis_db *db, uint32_t keyspace, const char *name) {
    uint64_t value = 0;
    if (db->db->GetIntProperty(db->families[keyspace], name, &value)) return value;
    std::string text;
    if (db->db->GetProperty(db->families[keyspace], name, &text)) return strtoull(text.c_str(), nullptr, 10);
    return 0;
}

void themis_db_statistics(themis_db *db, themis_statistics *out) {
    *out = themis_statistics{};
    out->block_cache_used = db->cache->GetUsage();
    out->block_cache_capacity = db->cache->GetCapacity();
    if (db->statistics) {
        out->block_cache_hits = db->statistics->getTickerCount(rocksdb::BLOCK_CACHE_HIT);
        out->block_cache_misses = db->statistics->getTickerCount(rocksdb::BLOCK_CACHE_MISS);
        out->stall_micros = db->statistics->getTickerCount(rocksdb::STALL_MICROS);
        rocksdb::HistogramData syncs;
        db->statistics->histogramData(rocksdb::WAL_FILE_SYNC_MICROS, &syncs);
        out->wal_syncs = syncs.count;
        out->wal_sync_micros = syncs.sum;
    }
    rocksdb::VectorLogPtr files;
    if (db->db->GetSortedWalFiles(files).ok()) {
        for (const auto &file : files) out->wal_bytes += file->SizeFileBytes();
    }
}

themis_status themis_db_set_option(themis_db *db, const char *name, const char *value) {
    if (strcmp(name, "block_cache_capacity") == 0) {
        char *end = nullptr;
        errno = 0;
        const unsigned long long capacity = strtoull(value, &end, 10);
        if (errno != 0 || end == value || *end != '\0' || *value == '-') return themis::invalid("not a number of bytes");
        db->cache->SetCapacity(capacity);
        return convert(rocksdb::Status::OK());
    }
    rocksdb::Status status = db->db->SetDBOptions({{name, value}});
    if (status.ok()) return convert(status);
    for (rocksdb::ColumnFamilyHandle *family : db->families) {
        status = db->db->SetOptions(family, {{name, value}});
        if (!status.ok()) return convert(status);
    }
    return convert(status);
}

int32_t themis_data_lock(const char *path, int64_t *holder) {
    *holder = 0;
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (file < 0) return -errno;
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    // A lock of the open file, not of the process: it also stops a second engine in this process, and no stray close drops it.
    if (fcntl(file, F_OFD_SETLK, &lock) != 0) {
        const int error = errno;
        char text[32] = {};
        if (pread(file, text, sizeof text - 1, 0) > 0) *holder = strtoll(text, nullptr, 10);
        close(file);
        return error == EAGAIN || error == EACCES ? -EWOULDBLOCK : -error;
    }
    char text[32];
    const int length = snprintf(text, sizeof text, "%ld\n", static_cast<long>(getpid()));
    if (ftruncate(file, 0) != 0 || pwrite(file, text, static_cast<size_t>(length), 0) != length) {
        const int error = errno;
        close(file);
        return -error;
    }
    return file;
}

}  // extern "C"
