#include "CryptoShim.h"
#include <openssl/evp.h>
#include <stdlib.h>

void cs_sha256_pair(const void *first, size_t first_size, const void *second, size_t second_size, void *out) {
    static __thread EVP_MD_CTX *context;
    static EVP_MD *md;
    if (!md) md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!context) context = EVP_MD_CTX_new();
    if (EVP_DigestInit_ex2(context, md, NULL) != 1 || EVP_DigestUpdate(context, first, first_size) != 1 ||
        EVP_DigestUpdate(context, second, second_size) != 1 || EVP_DigestFinal_ex(context, out, NULL) != 1)
        abort();
}
