#ifndef C_ALLOCATIONS_H
#define C_ALLOCATIONS_H

/// Whether this platform lets allocations be counted.
int allocations_are_counted(void);

/// Allocations of this process so far.
unsigned long allocations_so_far(void);

#endif
