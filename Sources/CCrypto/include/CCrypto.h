#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// CRC-32C (Castagnoli, RFC 3720 B.4) of `length` bytes, continuing from `seed` (0 to begin).
/// Uses the SSE4.2 instruction where the processor has it, a table otherwise. Any thread.
uint32_t themis_crc32c(uint32_t seed, const void *data, size_t length);

/// SHA-256 (FIPS 180-4) of `length` bytes into `digest` (32 bytes). Returns 1, or 0 when libcrypto fails. Any thread.
int themis_sha256(const void *data, size_t length, uint8_t *digest);

/// Fills `bytes` from the kernel's random source. Returns 1, or 0 on failure. Any thread.
int themis_random(void *bytes, size_t length);

/// The commit this was built from, or "unknown".
const char *themis_build_commit(void);

/// The day of the compilation, as the C standard spells it.
const char *themis_build_date(void);

/// Names the calling thread as the system shows it (at most 15 bytes are kept).
void themis_name_thread(const char *name);

/// Tells the allocator to keep up to `bytes` of freed memory at the end of each of its heaps, and to take pieces below `mapped` bytes from
/// a heap instead of asking the kernel for each. Both below 2 GiB. Before other threads start.
void themis_keep_freed_memory(size_t bytes, size_t mapped);

#ifdef __cplusplus
}
#endif
