// Shared by the files of this module only.
#pragma once
#include <openssl/bio.h>
#include <stddef.h>

BIO *cs_reading(const char *pem);
/// Copies what the BIO holds as a C string, wipes it there and frees it. The length, or 0 when it does not fit.
int cs_written(BIO *bio, char *out, size_t capacity);
/// Without this, PEM that claims to be encrypted makes OpenSSL ask the terminal for a passphrase.
int cs_no_passphrase(char *out, int capacity, int writing, void *unused);
