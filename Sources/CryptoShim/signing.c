#include "CryptoShim.h"
#include "internal.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>

// scrypt: 16 MiB and some 50 ms a try. OpenSSL refuses files that ask for more than 32 MiB.
enum { SCRYPT_N = 16384, SCRYPT_R = 8, SCRYPT_P = 1 };

static int given_passphrase(char *out, int capacity, int writing, void *passphrase) {
    (void)writing;
    size_t size = strlen(passphrase);
    if (size > (size_t)capacity) return -1;
    memcpy(out, passphrase, size);
    return (int)size;
}

static EVP_PKEY *opened(const char *pem, const char *passphrase) {
    BIO *bio = cs_reading(pem);
    EVP_PKEY *key =
        PEM_read_bio_PrivateKey(bio, NULL, passphrase ? given_passphrase : cs_no_passphrase, (void *)passphrase);
    BIO_free(bio);
    return key;
}

/// PKCS#8 under scrypt: what PEM_write_bio_PKCS8PrivateKey would use is PBKDF2 with 2,048 rounds.
static int write_sealed(BIO *bio, EVP_PKEY *key, const char *passphrase) {
    PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(key);
    X509_ALGOR *method = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, SCRYPT_N, SCRYPT_R, SCRYPT_P);
    X509_SIG *sealed = NULL;
    if (plain && method) sealed = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), plain, method);
    if (!sealed) X509_ALGOR_free(method);
    int done = sealed && PEM_write_bio_PKCS8(bio, sealed) == 1;
    X509_SIG_free(sealed);
    PKCS8_PRIV_KEY_INFO_free(plain);
    return done;
}

int cs_signing_key_generate(int is_ecdsa, const char *passphrase, char *out, size_t capacity) {
    EVP_PKEY *key = is_ecdsa ? EVP_EC_gen("P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *bio = BIO_new(BIO_s_secmem());
    int done = key && bio &&
               (passphrase ? write_sealed(bio, key, passphrase)
                           : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    int size = done ? cs_written(bio, out, capacity) : (BIO_free(bio), 0);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return size;
}

int cs_signing_key_public(const char *pem, const char *passphrase, char *out, size_t capacity) {
    EVP_PKEY *key = opened(pem, passphrase);
    BIO *bio = BIO_new(BIO_s_mem());
    int done = key && bio && PEM_write_bio_PUBKEY(bio, key) == 1;
    int size = done ? cs_written(bio, out, capacity) : (BIO_free(bio), 0);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return size;
}

int cs_signing_key_sign(
    const char *pem, const char *passphrase, const void *message, size_t size, uint8_t *out, size_t capacity) {
    EVP_PKEY *key = opened(pem, passphrase);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int is_ecdsa = key && EVP_PKEY_is_a(key, "EC");
    int written = 0;
    if (key && context && (is_ecdsa || EVP_PKEY_is_a(key, "ED25519")) &&
        EVP_DigestSignInit(context, NULL, is_ecdsa ? EVP_sha256() : NULL, NULL, key) == 1 &&
        EVP_DigestSign(context, out, &capacity, message, size) == 1)
        written = (int)capacity;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return written;
}

static EVP_PKEY *public_key(const char *pem) {
    BIO *bio = cs_reading(pem);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, cs_no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

static int is_p256(EVP_PKEY *key) {
    char group[32];
    size_t size;
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

int cs_public_value(const char *pem, uint8_t value[65]) {
    EVP_PKEY *key = public_key(pem);
    size_t size = 65;
    int result = 0;
    if (key && EVP_PKEY_is_a(key, "ED25519") && EVP_PKEY_get_raw_public_key(key, value, &size) == 1) {
        result = (int)size;
    } else if (key && is_p256(key)) {
        // As it is written, a point may be compressed: one key is one value.
        unsigned char x[32], y[32];
        BIGNUM *bx = NULL, *by = NULL;
        if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &bx) == 1 &&
            EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &by) == 1 && BN_bn2binpad(bx, x, 32) == 32 &&
            BN_bn2binpad(by, y, 32) == 32) {
            value[0] = 4;
            memcpy(value + 1, x, 32);
            memcpy(value + 33, y, 32);
            result = 65;
        }
        BN_free(bx);
        BN_free(by);
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return result;
}

int cs_ecdsa_verify(const char *pem, const void *message, size_t size, const uint8_t *signature, size_t signature_size) {
    EVP_PKEY *key = public_key(pem);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = key && context && is_p256(key) &&
               EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
               EVP_DigestVerify(context, signature, signature_size, message, size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}
