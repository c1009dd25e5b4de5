// Counts allocations by standing before glibc's own functions, which the linker allows an executable to replace.
#include "CAllocations.h"

#ifdef __linux__

#include <features.h>

#endif

#ifdef __GLIBC__

#include <stdatomic.h>
#include <stddef.h>

static atomic_ulong count;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static void note(void) { atomic_fetch_add_explicit(&count, 1, memory_order_relaxed); }

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    note();
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    note();
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    note();
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : 12;  // ENOMEM
}

int allocations_are_counted(void) { return 1; }

unsigned long allocations_so_far(void) { return atomic_load_explicit(&count, memory_order_relaxed); }

#else

int allocations_are_counted(void) { return 0; }

unsigned long allocations_so_far(void) { return 0; }

#endif
