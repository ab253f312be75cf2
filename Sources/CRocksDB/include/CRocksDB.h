// What THEMIS needs of RocksDB, as plain C. Only ThemisStorage imports this module.
//
// Every handle here is our own struct, so nothing depends on the private layout behind rocksdb/c.h, and a status arrives as
// numbers instead of as text. Pointers that a function returns inside a callback are valid only until the callback returns.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// How many column families there are; their numbers are the raw values of `Keyspace`.
#define THEMIS_KEYSPACES 5

/// An open database with its column families, cache and listener.
typedef struct themis_db themis_db;
/// A pinned view.
typedef struct themis_snapshot themis_snapshot;
/// A cursor over a view.
typedef struct themis_iterator themis_iterator;

/// rocksdb::Status as numbers. `message` is malloc'ed or NULL: release it with themis_status_release.
typedef struct {
    int32_t code;
    int32_t subcode;
    int32_t severity;
    char *message;
} themis_status;

// rocksdb::Status::Code and SubCode, checked against RocksDB's own enums in shim.cpp.
#define THEMIS_OK 0
#define THEMIS_NOT_FOUND 1
#define THEMIS_CORRUPTION 2
#define THEMIS_INVALID_ARGUMENT 4
#define THEMIS_IO_ERROR 5
#define THEMIS_INCOMPLETE 7
#define THEMIS_SUBCODE_NO_SPACE 4
/// Ours: the bytes are no write batch, and nothing was written.
#define THEMIS_BAD_BATCH 100

void themis_status_release(themis_status *status);

// What a listener can tell.
#define THEMIS_EVENT_BACKGROUND_ERROR 1
#define THEMIS_EVENT_RECOVERED 2
#define THEMIS_EVENT_STALL 3
// rocksdb::BackgroundErrorReason, in its order.
#define THEMIS_REASON_FLUSH 0
#define THEMIS_REASON_COMPACTION 1

/// Something that happened in a background thread.
typedef struct {
    int32_t kind;
    /// THEMIS_EVENT_BACKGROUND_ERROR: why; THEMIS_EVENT_STALL: 0 normal, 1 delayed, 2 stopped.
    int32_t detail;
    int32_t code;
    int32_t subcode;
    int32_t severity;
    const char *message;
} themis_event;

/// Called from RocksDB's threads, with its mutex held: must be short and must not call back.
typedef void (*themis_event_function)(void *context, const themis_event *event);

/// Sizes in bytes. Names as in RocksDB where they differ from ThemisStorage's RocksDBOptions.
typedef struct {
    const char *path;
    const char *wal_path;
    uint64_t write_buffer_size;
    uint64_t db_write_buffer_size;
    uint64_t block_cache_size;
    uint64_t max_total_wal_size;
    uint64_t target_file_size;
    /// The `chain` that the first write gets, and the highest one known to be on disk (WriteAheadLogScan).
    uint64_t next_chain;
    int32_t max_open_files;
    int32_t max_background_jobs;
    /// 0 none, 1 LZ4, 2 ZSTD.
    int32_t compression;
    int32_t bottommost_compression;
    int32_t statistics;
    int32_t disable_auto_compactions;
    int32_t avoid_flush_during_recovery;
    themis_event_function on_event;
    void *event_context;
} themis_options;

/// The version of the library, as `7.8.3`. Never released.
const char *themis_rocksdb_version(void);

themis_status themis_db_open(const themis_options *options, themis_db **db);
/// Every snapshot and iterator must be gone.
void themis_db_close(themis_db *db);
/// Rebuilds the MANIFEST from what files can be read (salvage). The database must be closed.
themis_status themis_db_repair(const themis_options *options);

/// Applies an encoded batch (docs/data-format.md, "Batch"). THEMIS_BAD_BATCH when the bytes are none.
themis_status themis_db_write(themis_db *db, const uint8_t *batch, size_t size, int32_t sync);
themis_status themis_db_sync_wal(themis_db *db);

/// Receives a value.
typedef void (*themis_value_function)(void *context, const uint8_t *value, size_t size);
/// Receives the outcome of one key: `code` is THEMIS_OK, THEMIS_NOT_FOUND or another one.
typedef void (*themis_values_function)(void *context, size_t index, int32_t code, const uint8_t *value, size_t size);

/// THEMIS_NOT_FOUND when there is no such key; THEMIS_INCOMPLETE when `cache_only` and only the disk can tell.
themis_status themis_db_get(
    themis_db *db, const themis_snapshot *snapshot, uint32_t keyspace, const uint8_t *key, size_t size, int32_t cache_only,
    themis_value_function receive, void *context);
/// `keys` holds all keys end to end; key i is `ends[i - 1] ..< ends[i]`. The status is the first error that is not "not found".
themis_status themis_db_multi_get(
    themis_db *db, const themis_snapshot *snapshot, uint32_t keyspace, const uint8_t *keys, const uint64_t *ends, size_t count,
    themis_values_function receive, void *context);

themis_snapshot *themis_db_snapshot(themis_db *db);
void themis_snapshot_release(themis_db *db, themis_snapshot *snapshot);

/// A cursor over lower ..< upper (`upper` NULL: open end); positioned before its first pair.
themis_iterator *themis_db_iterator(
    themis_db *db, const themis_snapshot *snapshot, uint32_t keyspace, const uint8_t *lower, size_t lower_size,
    const uint8_t *upper, size_t upper_size, int32_t reverse);
/// Moves to the next pair: 1 when there is one, 0 at the end or on an error, which `status` tells apart.
/// The pointers are valid until the next call with this iterator.
int32_t themis_iterator_next(
    themis_iterator *iterator, const uint8_t **key, size_t *key_size, const uint8_t **value, size_t *value_size,
    themis_status *status);
void themis_iterator_release(themis_iterator *iterator);

themis_status themis_db_flush(themis_db *db, uint32_t keyspace);
themis_status themis_db_compact(
    themis_db *db, uint32_t keyspace, const uint8_t *lower, size_t lower_size, const uint8_t *upper, size_t upper_size);
/// Breaks off the compactions that were asked for, and waits until they have noticed; later ones end at once.
void themis_db_stop_compactions(themis_db *db);
/// Drops the files that lie whole in lower ..< upper, then writes a range delete for what is left.
themis_status themis_db_delete_files(
    themis_db *db, uint32_t keyspace, const uint8_t *lower, size_t lower_size, const uint8_t *upper, size_t upper_size);
themis_status themis_db_checkpoint(themis_db *db, const char *path);
uint64_t themis_db_approximate_bytes(
    themis_db *db, uint32_t keyspace, const uint8_t *lower, size_t lower_size, const uint8_t *upper, size_t upper_size);

/// Writes the encoded puts `batch`, sorted and of one keyspace, to the new file `path` and takes it into the database.
themis_status themis_db_ingest(themis_db *db, uint32_t keyspace, const char *path, const uint8_t *batch, size_t size);

/// An integer property; 0 when the keyspace has none of this name.
uint64_t themis_db_property(themis_db *db, uint32_t keyspace, const char *name);

/// Numbers of the whole engine.
typedef struct {
    uint64_t block_cache_used;
    uint64_t block_cache_capacity;
    uint64_t block_cache_hits;
    uint64_t block_cache_misses;
    uint64_t stall_micros;
    uint64_t wal_syncs;
    uint64_t wal_sync_micros;
    uint64_t wal_bytes;
} themis_statistics;
void themis_db_statistics(themis_db *db, themis_statistics *statistics);

/// An option of the database, else of every column family; `block_cache_capacity` sets the cache's size.
themis_status themis_db_set_option(themis_db *db, const char *name, const char *value);

/// Takes the lock of `path`, creating the file and writing our pid into it. Returns the descriptor that holds the lock, or
/// -errno; -EWOULDBLOCK with `*holder` = the pid in the file when somebody else holds it.
int32_t themis_data_lock(const char *path, int64_t *holder);

#ifdef __cplusplus
}
#endif
