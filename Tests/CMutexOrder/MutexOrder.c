// Swift's Mutex takes a free lock by an atomic operation in the caller's own code, which ThreadSanitizer sees, and a contended one by a
// function of libswiftSynchronization.so, which is not instrumented. Without help every contended Mutex looks like a race on what it
// protects. These two stand before the library's functions, call them, and tell the order that they make: releasing comes before
// the next acquiring of the same word. Nothing is suppressed, so that a real race is still reported.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>

extern void __tsan_acquire(void *word);
extern void __tsan_release(void *word);

#define SWIFT_CALL __attribute__((swiftcall))
#define SELF __attribute__((swift_context))
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef SWIFT_CALL void (*lock_function)(uint32_t thread, SELF void *word);
typedef SWIFT_CALL void (*unlock_function)(SELF void *word);

SWIFT_CALL void themis_lock_slow(uint32_t thread, SELF void *word) __asm__(LOCK);
SWIFT_CALL void themis_unlock_slow(SELF void *word) __asm__(UNLOCK);

static void *library_function(_Atomic(void *) *found, const char *name) {
    void *function = atomic_load_explicit(found, memory_order_relaxed);
    if (!function) {
        function = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(found, function, memory_order_relaxed);
    }
    return function;
}

SWIFT_CALL void themis_lock_slow(uint32_t thread, SELF void *word) {
    static _Atomic(void *) found;
    ((lock_function)library_function(&found, LOCK))(thread, word);
    __tsan_acquire(word);
}

SWIFT_CALL void themis_unlock_slow(SELF void *word) {
    static _Atomic(void *) found;
    __tsan_release(word);
    ((unlock_function)library_function(&found, UNLOCK))(word);
}
#endif
#endif
