// How THEMIS sets RocksDB up. Numbers that are not defaults have their reason here.
#include "internal.hpp"

#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <algorithm>

namespace themis {

static rocksdb::CompressionType codec(int32_t number) {
    return number == 0 ? rocksdb::kNoCompression : number == 1 ? rocksdb::kLZ4Compression : rocksdb::kZSTD;
}

namespace {

/// Tells the process what happens in RocksDB's background threads.
class Listener : public rocksdb::EventListener {
  public:
    Listener(themis_event_function function, void *context) : function_(function), context_(context) {}

    void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status *status) override {
        report(THEMIS_EVENT_BACKGROUND_ERROR, static_cast<int32_t>(reason), *status);
    }

    void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo &info) override {
        if (info.new_bg_error.ok()) report(THEMIS_EVENT_RECOVERED, 0, info.new_bg_error);
    }

    void OnStallConditionsChanged(const rocksdb::WriteStallInfo &info) override {
        report(THEMIS_EVENT_STALL, static_cast<int32_t>(info.condition.cur), rocksdb::Status::OK());
    }

  private:
    void report(int32_t kind, int32_t detail, const rocksdb::Status &status) {
        const std::string message = status.ok() ? std::string() : status.ToString();
        const themis_event event = {kind, detail, status.code(), status.subcode(), status.severity(), message.c_str()};
        function_(context_, &event);
    }

    const themis_event_function function_;
    void *const context_;
};

}  // namespace

rocksdb::DBOptions database_options(const themis_options &options) {
    rocksdb::DBOptions out;
    out.create_if_missing = true;
    out.create_missing_column_families = true;
    out.paranoid_checks = true;
    if (options.wal_path != nullptr) out.wal_dir = options.wal_path;

    // The scan before open has cut any torn tail and refused any hole; what is left must be read whole. The default mode would
    // drop every record behind a damaged one in silence.
    out.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    // Recycled logs end in old records, which no scan could tell from damage.
    out.recycle_log_file_num = 0;
    out.max_total_wal_size = options.max_total_wal_size;
    // What a failed sync left behind is unknown: nothing may be tried again in this process.
    out.max_bgerror_resume_count = 0;
    // The caller flushes before a clean close; a failed engine must not write any more.
    out.avoid_flush_during_shutdown = true;
    out.avoid_flush_during_recovery = options.avoid_flush_during_recovery != 0;

    // One write at a time is all that `write_mutex` admits, and what its memtables stand.
    out.allow_concurrent_memtable_write = false;
    out.db_write_buffer_size = options.db_write_buffer_size;
    out.max_open_files = options.max_open_files;
    out.max_background_jobs = options.max_background_jobs;
    out.bytes_per_sync = 1 << 20;
    out.skip_stats_update_on_db_open = true;

    // Debian's build would log at DEBUG, and keep 1000 files.
    out.info_log_level = rocksdb::InfoLogLevel::INFO_LEVEL;
    out.max_log_file_size = 16 << 20;
    out.keep_log_file_num = 5;
    out.stats_persist_period_sec = 0;

    if (options.statistics != 0) out.statistics = rocksdb::CreateDBStatistics();
    if (options.on_event != nullptr) out.listeners.push_back(std::make_shared<Listener>(options.on_event, options.event_context));
    return out;
}

std::vector<rocksdb::ColumnFamilyDescriptor> families(
    const themis_options &options, const std::shared_ptr<rocksdb::Cache> &cache) {
    struct Shape {
        const char *name;
        size_t block_size;
        bool filter;
        bool append_only;
        bool small;
    };
    // In the order of Keyspace's raw values.
    const Shape shapes[THEMIS_KEYSPACES] = {
        {"default", 4 << 10, false, false, true},
        {"entities", 4 << 10, true, false, false},
        {"indexes", 4 << 10, false, false, true},
        {"changes", 64 << 10, false, true, false},
        {"idempotency", 4 << 10, true, false, true},
    };
    std::vector<rocksdb::ColumnFamilyDescriptor> out;
    for (const Shape &shape : shapes) {
        rocksdb::ColumnFamilyOptions family;
        const uint64_t small_buffer = std::max<uint64_t>(options.write_buffer_size / 8, 1 << 20);
        family.write_buffer_size = shape.small ? small_buffer : options.write_buffer_size;
        family.max_write_buffer_number = 4;
        family.memtable_factory = skip_lists();
        family.disable_auto_compactions = options.disable_auto_compactions != 0;
        family.target_file_size_base = options.target_file_size;
        family.max_bytes_for_level_base = options.target_file_size * 4;
        family.level_compaction_dynamic_level_bytes = true;
        family.compression = codec(options.compression);
        family.bottommost_compression = codec(options.bottommost_compression);
        if (shape.append_only) {
            // Change records come in the order of their keys and leave by whole files: no file overlaps another, and each is moved down
            // as it is. In the style by levels RocksDB would write every file of the last level once more, only to take its
            // sequence numbers out, as soon as a snapshot is released: twice the work of the flush itself.
            family.compaction_style = rocksdb::kCompactionStyleUniversal;
            family.compaction_options_universal.allow_trivial_move = true;
            // Their codec is that of the last level: history is most of what lies on disk. They are compressed at every flush, which
            // competes with the writes themselves: a fast level of zstd. Level 1 makes JSON documents a fifth smaller for 1.3 us more
            // of every durable write of 1 KiB, a twelfth of all that it costs.
            family.compression = codec(options.bottommost_compression);
            family.compression_opts.level = -1;
            family.bottommost_compression_opts.level = -1;
            family.bottommost_compression_opts.enabled = true;
            // No rewriting because of age either; by default this style gets a period of its own.
            family.ttl = 0;
            family.periodic_compaction_seconds = 0;
        }

        rocksdb::BlockBasedTableOptions table;
        table.block_cache = cache;
        table.block_size = shape.block_size;
        table.format_version = 5;
        // CRC32C is software in Debian's build: a twelfth of the speed.
        table.checksum = rocksdb::kXXH3;
        if (shape.filter) {
            table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
            // Most writes ask for an old value first, and many find none.
            family.memtable_whole_key_filtering = true;
            family.memtable_prefix_bloom_size_ratio = 0.02;
        }
        family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
        out.emplace_back(shape.name, family);
    }
    return out;
}

}  // namespace themis
