#pragma once
// The state of XXH3 on the stack is declared behind this only; the functions are those of the shared library.
#define XXH_STATIC_LINKING_ONLY
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

/// XXH3-64 of two pieces as if they stood one behind the other. Short ones are put together on the stack: one call costs
/// less than a state that is fed twice.
static inline uint64_t cxxhash_of(const void *first, size_t firstCount, const void *second, size_t secondCount) {
    unsigned char together[1024];
    if (firstCount + secondCount <= sizeof together) {
        if (firstCount > 0) memcpy(together, first, firstCount);
        if (secondCount > 0) memcpy(together + firstCount, second, secondCount);
        return XXH3_64bits(together, firstCount + secondCount);
    }
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, first, firstCount);
    XXH3_64bits_update(&state, second, secondCount);
    return XXH3_64bits_digest(&state);
}
