// OpenSSL and libsodium, as far as Swift cannot reach them: macros, callbacks, and whatever must read OpenSSL's error
// queue on the spot. Policy is in Swift. Functions that return int give 1 or a count when they succeed, 0 or less when not.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Digests, randomness, comparison
void cs_sha256_pair(const void *first, size_t first_size, const void *second, size_t second_size, void *out);
void cs_sha512(const void *bytes, size_t size, void *out);
void cs_blake2b256(const void *bytes, size_t size, void *out);
void cs_random(void *out, size_t size);
int cs_equal(const void *left, const void *right, size_t size);
void cs_zero(void *bytes, size_t size);

// Identity: Ed25519 (RFC 8032)
void cs_identity_generate(uint8_t public_key[32], uint8_t secret_key[64]);
void cs_identity_sign(uint8_t signature[64], const void *message, size_t size, const uint8_t secret_key[64]);
int cs_identity_verify(const uint8_t signature[64], const void *message, size_t size, const uint8_t public_key[32]);

// Keys that sign metadata: Ed25519, or ECDSA P-256 with SHA-256 (FIPS 186-5). In a file they are PKCS#8 PEM (RFC 5958), under
// a passphrase with scrypt (RFC 7914) and AES-256-CBC. A passphrase is a C string; NULL: the key is in the clear.
int cs_signing_key_generate(int is_ecdsa, const char *passphrase, char *out, size_t capacity);
/// The public half as PEM (SubjectPublicKeyInfo); 0 also when the passphrase is wrong.
int cs_signing_key_public(const char *key, const char *passphrase, char *out, size_t capacity);
/// Signs with the key of the file; the length of the signature, an ECDSA one in DER.
int cs_signing_key_sign(
    const char *key, const char *passphrase, const void *message, size_t size, uint8_t *out, size_t capacity);
/// What a public key in PEM is: 32 bytes of Ed25519, or the 65 of an uncompressed point of P-256; 0: neither.
int cs_public_value(const char *pem, uint8_t value[65]);
/// Whether an ECDSA P-256 signature in DER over SHA-256 is by this key, in PEM.
int cs_ecdsa_verify(const char *pem, const void *message, size_t size, const uint8_t *signature, size_t signature_size);

// Link keys and certificates: ECDSA P-256, X.509. Everything in and out is PEM; the result is the length written.
int cs_link_key_generate(char *out, size_t capacity);
int cs_request_create(const char *key, const char *common_name, char *out, size_t capacity);
/// SHA-256 of the request's public key (SubjectPublicKeyInfo), once its own signature has been checked.
int cs_request_pin(const char *request, uint8_t pin[32]);
/// A certificate that may sign certificates of nodes in this trust domain and nothing else.
int cs_authority_create(
    const char *key, const char *common_name, const char *trust_domain, int days, char *out, size_t capacity);

/// What a node certificate says. The unusual values exist for tests of the acceptance rule.
struct cs_certificate_plan {
    const char *common_name;
    const char *uri;
    const char *second_uri;
    int64_t not_before;
    int64_t not_after;
    int is_authority;
    int without_key_usage_limits;
    int without_extended_usage;
};
int cs_certificate_issue(
    const char *authority_key, const char *authority_certificate, const char *request,
    const struct cs_certificate_plan *plan, char *out, size_t capacity);

/// What the acceptance rule looks at.
struct cs_certificate_facts {
    uint8_t pin[32];
    int64_t not_before;
    int64_t not_after;
    int version;
    int serial_bytes;
    int uri_count;
    int other_names;
    char uri[256];
    int is_authority;
    int key_usage_critical;
    uint32_t key_usage;
    int client_usage;
    int server_usage;
    int unknown_critical;
    int is_p256;
    /// Extensions that repeat, contradict each other or cannot be read.
    int is_malformed;
};
int cs_certificate_facts(const char *certificate, struct cs_certificate_facts *facts);

enum cs_fault {
    CS_FAULT_NONE = 0,
    CS_FAULT_OTHER,
    CS_FAULT_NO_CERTIFICATE,
    CS_FAULT_CHAIN,
    CS_FAULT_EXPIRED,
    CS_FAULT_NOT_YET_VALID,
    CS_FAULT_UNKNOWN_DOMAIN,
    /// The owner's rule said no; the owner knows why.
    CS_FAULT_RULE,
    CS_FAULT_NO_ALPN,
    CS_FAULT_VERSION,
    CS_FAULT_CIPHER,
    CS_FAULT_NOT_TLS,
    CS_FAULT_PEER_REFUSED,
};

/// Whether a certificate is good under this authority alone, as client and as server, at a time in seconds since 1970
/// (0: now). Says why not in `words`.
enum cs_fault cs_chain_check(const char *certificate, const char *anchor, int64_t at, char *words, size_t capacity);

// TLS 1.3 over memory: no sockets here.
typedef struct cs_context cs_context;
typedef struct cs_session cs_session;

cs_context *cs_context_new(const char *certificate, const char *key);
/// Certificates of this trust domain chain to this authority and to no other.
int cs_context_add_anchor(cs_context *context, const char *trust_domain, const char *certificate);
void cs_context_free(cs_context *context);

/// Asked in the handshake, when the peer's certificate is there: 1 takes the peer, 0 refuses it. What is wrong with the
/// chain is told, and is not for the owner to overlook; that the certificate itself has ended is the owner's to judge.
typedef int (*cs_acceptance)(
    void *owner, const struct cs_certificate_facts *facts, enum cs_fault chain, const char *words);

/// Chains are checked at an instant in seconds since 1970, or at the last one of a certificate that has ended before it.
cs_session *cs_session_new(cs_context *context, int is_server, int64_t at, cs_acceptance accept);
void cs_session_set_owner(cs_session *session, void *owner);
void cs_session_free(cs_session *session);
/// Bytes from the network. Returns how many were taken.
int cs_session_feed(cs_session *session, const void *bytes, size_t size);
/// Bytes for the network. Returns how many were written, 0 when there are none.
int cs_session_drain(cs_session *session, void *out, size_t capacity);
size_t cs_session_pending(const cs_session *session);
/// 1 done, 0 needs more bytes, -1 failed: see cs_session_fault.
int cs_session_handshake(cs_session *session);
/// Plain bytes: count, 0 needs more bytes, -1 failed, -2 closed by the peer in order.
int cs_session_read(cs_session *session, void *out, size_t capacity);
int cs_session_write(cs_session *session, const void *bytes, size_t size);
void cs_session_close(cs_session *session);

/// Why the last call failed, in a code and in words.
enum cs_fault cs_session_fault(const cs_session *session, const char **words);
/// What of the negotiated differs from the profile.
enum cs_fault cs_session_profile_fault(const cs_session *session);
