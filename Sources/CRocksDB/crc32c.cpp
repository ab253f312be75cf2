// The checksum of RocksDB's write-ahead log, by our own function.
//
// Debian builds RocksDB without SSE4.2, and its table costs a fifth of a durable write. The library looks its checksum up as every symbol
// of its own, in the program first: this definition takes the place of the slow one, with the same result (docs/adr/0009).
#include <CCrypto.h>

#include <cstddef>
#include <cstdint>

namespace rocksdb {
namespace crc32c {

__attribute__((visibility("default"), used)) uint32_t Extend(uint32_t seed, const char *data, size_t size) {
    return themis_crc32c(seed, data, size);
}

}  // namespace crc32c
}  // namespace rocksdb
