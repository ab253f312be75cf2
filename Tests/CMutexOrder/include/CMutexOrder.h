// Nothing to call: the target tells ThreadSanitizer about Swift's Mutex (MutexOrder.c).
