// Encoded batches: how they are read, applied and ingested.
#include "internal.hpp"

#include <rocksdb/convenience.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/write_batch.h>

#include <unistd.h>

namespace themis {

bool BatchReader::read_slice(rocksdb::Slice *slice) {
    uint64_t size = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (next_ == end_ || shift > 63) return false;
        const uint8_t byte = *next_++;
        if (shift == 63 && byte > 1) return false;
        size |= static_cast<uint64_t>(byte & 0x7F) << shift;
        if (byte < 0x80) break;
    }
    if (size > static_cast<uint64_t>(end_ - next_)) return false;
    *slice = rocksdb::Slice(reinterpret_cast<const char *>(next_), size);
    next_ += size;
    return true;
}

bool BatchReader::read(Operation *operation) {
    if (end_ - next_ < 2) return false;
    operation->kind = *next_++;
    operation->keyspace = *next_++;
    if (operation->keyspace >= THEMIS_KEYSPACES || !read_slice(&operation->first)) return false;
    switch (operation->kind) {
        case 1:
        case 3:
            return read_slice(&operation->second);
        case 2:
            return true;
        default:
            return false;
    }
}

namespace {

void append_little_endian(std::string *out, uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

themis_status bad_batch(const char *message) {
    themis_status out = invalid(message);
    out.code = THEMIS_BAD_BATCH;
    return out;
}

/// Writes `db->batch`. The caller holds `write_mutex` and has called `begin`.
rocksdb::Status write(themis_db *db, bool sync) {
    rocksdb::WriteOptions options;
    options.sync = sync;
    const rocksdb::Status status = db->db->Write(options, &db->batch);
    if (status.ok()) {
        if (sync) db->synced_chain = db->next_chain;
        db->next_chain += 1;
    }
    return status;
}

/// Every record starts with its chain number and the highest one that was on disk before it (docs/data-format.md, "Write-ahead
/// log"): with them the scan before the next open tells a hole in acknowledged writes from a tail that was never promised.
void begin(themis_db *db) {
    db->batch.Clear();
    std::string mark("TH1");
    append_little_endian(&mark, db->next_chain);
    append_little_endian(&mark, db->synced_chain);
    db->batch.PutLogData(mark);
}

}  // namespace

}  // namespace themis

extern "C" {

themis_status themis_db_write(themis_db *db, const uint8_t *batch, size_t size, int32_t sync) {
    using namespace themis;
    const std::lock_guard<std::mutex> lock(db->write_mutex);
    begin(db);
    BatchReader reader(batch, size);
    Operation operation;
    while (!reader.at_end()) {
        if (!reader.read(&operation)) return bad_batch("the bytes are no write batch");
        rocksdb::ColumnFamilyHandle *family = db->families[operation.keyspace];
        rocksdb::Status status;
        switch (operation.kind) {
            case 1:
                status = db->batch.Put(family, operation.first, operation.second);
                break;
            case 2:
                status = db->batch.Delete(family, operation.first);
                break;
            default:
                // RocksDB refuses crossed bounds only after the log was written.
                if (operation.first.compare(operation.second) < 0) {
                    status = db->batch.DeleteRange(family, operation.first, operation.second);
                }
        }
        if (!status.ok()) return bad_batch(status.ToString().c_str());
    }
    return convert(write(db, sync != 0));
}

themis_status themis_db_sync_wal(themis_db *db) {
    // The lock makes `next_chain - 1` the last record that this sync covers.
    const std::lock_guard<std::mutex> lock(db->write_mutex);
    const rocksdb::Status status = db->db->SyncWAL();
    if (status.ok()) db->synced_chain = db->next_chain - 1;
    return themis::convert(status);
}

themis_status themis_db_delete_files(
    themis_db *db, uint32_t keyspace, const uint8_t *lower, size_t lower_size, const uint8_t *upper, size_t upper_size) {
    using namespace themis;
    const rocksdb::Slice first = slice(lower, lower_size);
    const rocksdb::Slice last = slice(upper, upper_size);
    if (first.compare(last) >= 0) return convert(rocksdb::Status::OK());
    const rocksdb::RangePtr range(&first, &last);
    const rocksdb::Status dropped =
        rocksdb::DeleteFilesInRanges(db->db.get(), db->families[keyspace], &range, 1, /* include_end */ false);
    if (!dropped.ok()) return convert(dropped);
    // Not synced: whoever forgets the range durably does so by a synced commit behind this one.
    const std::lock_guard<std::mutex> lock(db->write_mutex);
    begin(db);
    const rocksdb::Status added = db->batch.DeleteRange(db->families[keyspace], first, last);
    if (!added.ok()) return convert(added);
    return convert(write(db, false));
}

themis_status themis_db_ingest(themis_db *db, uint32_t keyspace, const char *path, const uint8_t *batch, size_t size) {
    using namespace themis;
    const rocksdb::Options options(db->options, db->family_options[keyspace]);
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(db->options), options, db->families[keyspace]);
    rocksdb::Status status = writer.Open(path);
    BatchReader reader(batch, size);
    Operation operation;
    while (status.ok() && !reader.at_end()) {
        if (!reader.read(&operation) || operation.kind != 1 || operation.keyspace != keyspace) {
            status = rocksdb::Status::InvalidArgument("the bytes are no puts of one keyspace");
        } else {
            status = writer.Put(operation.first, operation.second);
        }
    }
    if (status.ok()) status = writer.Finish();
    if (status.ok()) {
        rocksdb::IngestExternalFileOptions how;
        how.move_files = true;
        // The file stays as it was written and synced: its number stands in the MANIFEST only.
        how.write_global_seqno = false;
        status = db->db->IngestExternalFile(db->families[keyspace], {path}, how);
    }
    unlink(path);
    return convert(status);
}

}  // extern "C"
