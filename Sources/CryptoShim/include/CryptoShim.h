#pragma once
#include <stddef.h>
#include <stdint.h>

void cs_sha256_pair(const void *first, size_t first_size, const void *second, size_t second_size, void *out);
