#define _GNU_SOURCE
#include "CCrypto.h"
#include <malloc.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

static uint32_t crc_table[8][256];
#if defined(__x86_64__)
static int has_hardware;
/// Bytes of one of three stretches that are summed side by side.
enum { crc_stretch = 256 };
/// What a sum becomes by one stretch of zeros, and by two, for each of its bytes.
static uint32_t crc_behind[2][4][256];
#endif

__attribute__((constructor)) static void crc_setup(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0);
        crc_table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int slice = 1; slice < 8; slice++)
            crc_table[slice][i] = (crc_table[slice - 1][i] >> 8) ^ crc_table[0][crc_table[slice - 1][i] & 0xFF];
#if defined(__x86_64__)
    __builtin_cpu_init();
    has_hardware = __builtin_cpu_supports("sse4.2");
    for (int stretches = 0; stretches < 2; stretches++)
        for (int byte = 0; byte < 4; byte++)
            for (uint32_t i = 1; i < 256; i++) {
                uint32_t *row = crc_behind[stretches][byte];
                // Sums of zeros are linear: each number follows from those of its bits.
                if (i & (i - 1)) {
                    row[i] = row[i & (i - 1)] ^ row[i & -i];
                    continue;
                }
                uint32_t crc = i << (8 * byte);
                for (int zero = 0; zero < (stretches + 1) * crc_stretch; zero++) crc = (crc >> 8) ^ crc_table[0][crc & 0xFF];
                row[i] = crc;
            }
#endif
}

static uint32_t crc_by_table(uint32_t crc, const uint8_t *p, size_t n) {
    while (n >= 8) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + 4, 4);
        low ^= crc;
        crc = crc_table[7][low & 0xFF] ^ crc_table[6][(low >> 8) & 0xFF] ^ crc_table[5][(low >> 16) & 0xFF] ^ crc_table[4][low >> 24]
            ^ crc_table[3][high & 0xFF] ^ crc_table[2][(high >> 8) & 0xFF] ^ crc_table[1][(high >> 16) & 0xFF] ^ crc_table[0][high >> 24];
        p += 8;
        n -= 8;
    }
    while (n--) crc = (crc >> 8) ^ crc_table[0][(crc ^ *p++) & 0xFF];
    return crc;
}

#if defined(__x86_64__)
static uint32_t crc_move(const uint32_t table[4][256], uint64_t crc) {
    return table[0][crc & 0xFF] ^ table[1][(crc >> 8) & 0xFF] ^ table[2][(crc >> 16) & 0xFF] ^ table[3][(crc >> 24) & 0xFF];
}

__attribute__((target("sse4.2"))) static uint32_t crc_by_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    uint64_t wide = crc;
    // The instruction takes three cycles, and one can begin in each: three sums at a time, which are put together behind.
    for (; n >= 3 * crc_stretch; p += 3 * crc_stretch, n -= 3 * crc_stretch) {
        uint64_t second = 0, third = 0;
        for (size_t at = 0; at < crc_stretch; at += 8) {
            uint64_t words[3];
            memcpy(&words[0], p + at, 8);
            memcpy(&words[1], p + crc_stretch + at, 8);
            memcpy(&words[2], p + 2 * crc_stretch + at, 8);
            wide = __builtin_ia32_crc32di(wide, words[0]);
            second = __builtin_ia32_crc32di(second, words[1]);
            third = __builtin_ia32_crc32di(third, words[2]);
        }
        wide = crc_move(crc_behind[1], wide) ^ crc_move(crc_behind[0], second) ^ third;
    }
    while (n >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
        p += 8;
        n -= 8;
    }
    crc = (uint32_t)wide;
    while (n--) crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#endif

uint32_t themis_crc32c(uint32_t seed, const void *data, size_t length) {
    uint32_t crc = ~seed;
#if defined(__x86_64__)
    if (has_hardware) return ~crc_by_hardware(crc, data, length);
#endif
    return ~crc_by_table(crc, data, length);
}

int themis_sha256(const void *data, size_t length, uint8_t *digest) {
    unsigned int size = 32;
    return EVP_Digest(data, length, digest, &size, EVP_sha256(), NULL) == 1;
}

int themis_random(void *bytes, size_t length) {
    uint8_t *p = bytes;
    while (length > 0) {
        ssize_t n = getrandom(p, length, 0);
        if (n <= 0) return 0;
        p += n;
        length -= (size_t)n;
    }
    return 1;
}

const char *themis_build_commit(void) { return THEMIS_COMMIT; }

const char *themis_build_date(void) { return __DATE__; }

void themis_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

void themis_keep_freed_memory(size_t bytes, size_t mapped) {
    mallopt(M_TRIM_THRESHOLD, (int)bytes);
    mallopt(M_MMAP_THRESHOLD, (int)mapped);
}
