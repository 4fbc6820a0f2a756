#include "CryptoShim.h"
#include "internal.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MARK: Digests, randomness, comparison

static void require(int condition) {
    if (!condition) abort();
}

// The functions of OpenSSL 1, on the stack: EVP_DigestInit_ex2 of OpenSSL 3.0 allocates each time, also in a context that
// is used again. It is the same code below.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
void cs_sha256_pair(const void *first, size_t first_size, const void *second, size_t second_size, void *out) {
    SHA256_CTX context;
    require(SHA256_Init(&context) == 1 && SHA256_Update(&context, first, first_size) == 1 &&
            SHA256_Update(&context, second, second_size) == 1 && SHA256_Final(out, &context) == 1);
}
#pragma GCC diagnostic pop

void cs_sha512(const void *bytes, size_t size, void *out) { crypto_hash_sha512(out, bytes, size); }

void cs_blake2b256(const void *bytes, size_t size, void *out) { crypto_generichash(out, 32, bytes, size, NULL, 0); }

void cs_random(void *out, size_t size) {
    require(sodium_init() >= 0);
    randombytes_buf(out, size);
}

int cs_equal(const void *left, const void *right, size_t size) { return sodium_memcmp(left, right, size) == 0; }

void cs_zero(void *bytes, size_t size) { sodium_memzero(bytes, size); }

// MARK: Identity

void cs_identity_generate(uint8_t public_key[32], uint8_t secret_key[64]) {
    require(sodium_init() >= 0);
    crypto_sign_keypair(public_key, secret_key);
}

void cs_identity_sign(uint8_t signature[64], const void *message, size_t size, const uint8_t secret_key[64]) {
    crypto_sign_detached(signature, NULL, message, size, secret_key);
}

int cs_identity_verify(const uint8_t signature[64], const void *message, size_t size, const uint8_t public_key[32]) {
    return crypto_sign_verify_detached(signature, message, size, public_key) == 0;
}

// MARK: Certificates

BIO *cs_reading(const char *pem) { return BIO_new_mem_buf(pem, -1); }

int cs_no_passphrase(char *out, int capacity, int writing, void *unused) {
    (void)out, (void)capacity, (void)writing, (void)unused;
    return -1;
}

int cs_written(BIO *bio, char *out, size_t capacity) {
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    int result = 0;
    if (size > 0 && (size_t)size < capacity) {
        memcpy(out, data, (size_t)size);
        out[size] = 0;
        result = (int)size;
    }
    if (size > 0) OPENSSL_cleanse(data, (size_t)size);
    BIO_free(bio);
    return result;
}

static EVP_PKEY *read_key(const char *pem) {
    BIO *bio = cs_reading(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, cs_no_passphrase, NULL);
    BIO_free(bio);
    return key;
}

static X509 *read_certificate(const char *pem) {
    BIO *bio = cs_reading(pem);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, cs_no_passphrase, NULL);
    BIO_free(bio);
    return certificate;
}

static X509_REQ *read_request(const char *pem) {
    BIO *bio = cs_reading(pem);
    X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, cs_no_passphrase, NULL);
    BIO_free(bio);
    return request;
}

int cs_link_key_generate(char *out, size_t capacity) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_secmem());
    int done = key && bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    int size = done ? cs_written(bio, out, capacity) : (BIO_free(bio), 0);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return size;
}

static X509_NAME *named(const char *common_name) {
    X509_NAME *name = X509_NAME_new();
    if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1) return name;
    X509_NAME_free(name);
    return NULL;
}

int cs_request_create(const char *key_pem, const char *common_name, char *out, size_t capacity) {
    EVP_PKEY *key = read_key(key_pem);
    X509_REQ *request = X509_REQ_new();
    X509_NAME *name = named(common_name);
    int size = 0;
    if (key && request && name && X509_REQ_set_subject_name(request, name) == 1 && X509_REQ_set_pubkey(request, key) == 1 &&
        X509_REQ_sign(request, key, EVP_sha256()) > 0) {
        BIO *bio = BIO_new(BIO_s_mem());
        if (PEM_write_bio_X509_REQ(bio, request) == 1) size = cs_written(bio, out, capacity);
        else BIO_free(bio);
    }
    X509_NAME_free(name);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return size;
}

static int pin_of(X509_PUBKEY *public_key, uint8_t pin[32]) {
    unsigned char *der = NULL;
    int size = i2d_X509_PUBKEY(public_key, &der);
    if (size <= 0) return 0;
    cs_sha256_pair(der, (size_t)size, "", 0, pin);
    OPENSSL_free(der);
    return 1;
}

static int is_p256(EVP_PKEY *key) {
    char group[32];
    return key && EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

int cs_request_pin(const char *request_pem, uint8_t pin[32]) {
    X509_REQ *request = read_request(request_pem);
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
    int good = is_p256(key) && X509_REQ_verify(request, key) == 1 && pin_of(X509_REQ_get_X509_PUBKEY(request), pin);
    X509_REQ_free(request);
    ERR_clear_error();
    return good;
}

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static int set_random_serial(X509 *certificate) {
    unsigned char bytes[16];
    cs_random(bytes, sizeof bytes);
    bytes[0] = (bytes[0] & 0x7F) | 0x40;
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    int good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return good;
}

int cs_authority_create(
    const char *key_pem, const char *common_name, const char *trust_domain, int days, char *out, size_t capacity) {
    char permitted[300];
    int length = snprintf(permitted, sizeof permitted, "critical,permitted;URI:%s", trust_domain);
    if (length < 0 || (size_t)length >= sizeof permitted) return 0;
    EVP_PKEY *key = read_key(key_pem);
    X509 *certificate = X509_new();
    X509_NAME *name = named(common_name);
    int size = 0;
    if (key && certificate && name && X509_set_version(certificate, X509_VERSION_3) == 1 && set_random_serial(certificate) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -300) &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * 86400) &&
        X509_set_subject_name(certificate, name) == 1 && X509_set_issuer_name(certificate, name) == 1 &&
        X509_set_pubkey(certificate, key) == 1 &&
        add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        add_extension(certificate, certificate, NID_name_constraints, permitted) &&
        add_extension(certificate, certificate, NID_subject_key_identifier, "hash") &&
        X509_sign(certificate, key, EVP_sha256()) > 0) {
        BIO *bio = BIO_new(BIO_s_mem());
        if (PEM_write_bio_X509(bio, certificate) == 1) size = cs_written(bio, out, capacity);
        else BIO_free(bio);
    }
    X509_NAME_free(name);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return size;
}

static int add_names(X509 *certificate, const char *uri, const char *second_uri) {
    const char *uris[] = {uri, second_uri};
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    for (int index = 0; index < 2; index++) {
        if (!uris[index]) continue;
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        ASN1_STRING_set(text, uris[index], -1);
        GENERAL_NAME_set0_value(name, GEN_URI, text);
        sk_GENERAL_NAME_push(names, name);
    }
    int good = sk_GENERAL_NAME_num(names) == 0 || X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return good;
}

int cs_certificate_issue(
    const char *authority_key, const char *authority_certificate, const char *request_pem,
    const struct cs_certificate_plan *plan, char *out, size_t capacity) {
    EVP_PKEY *key = read_key(authority_key);
    X509 *issuer = read_certificate(authority_certificate);
    X509_REQ *request = read_request(request_pem);
    X509 *certificate = X509_new();
    X509_NAME *name = named(plan->common_name);
    int size = 0;
    if (key && issuer && request && certificate && name && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        set_random_serial(certificate) && ASN1_TIME_set(X509_getm_notBefore(certificate), plan->not_before) &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), plan->not_after) &&
        X509_set_subject_name(certificate, name) == 1 &&
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
        X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request)) == 1 &&
        add_extension(certificate, issuer, NID_basic_constraints, plan->is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
        add_extension(
            certificate, issuer, NID_key_usage,
            plan->without_key_usage_limits ? "critical,digitalSignature,keyAgreement" : "critical,digitalSignature") &&
        (plan->without_extended_usage || add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth")) &&
        add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
        add_names(certificate, plan->uri, plan->second_uri) && X509_sign(certificate, key, EVP_sha256()) > 0) {
        BIO *bio = BIO_new(BIO_s_mem());
        if (PEM_write_bio_X509(bio, certificate) == 1) size = cs_written(bio, out, capacity);
        else BIO_free(bio);
    }
    X509_NAME_free(name);
    X509_free(certificate);
    X509_REQ_free(request);
    X509_free(issuer);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return size;
}

static int64_t seconds(const ASN1_TIME *time) {
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, rest = 0;
    ASN1_TIME_diff(&days, &rest, epoch, time);
    ASN1_TIME_free(epoch);
    return (int64_t)days * 86400 + rest;
}

static void uris_of(X509 *certificate, int *uris, int *others, char *uri, size_t capacity) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int index = 0; index < sk_GENERAL_NAME_num(names); index++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
        if (name->type != GEN_URI) {
            (*others)++;
            continue;
        }
        const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
        size_t size = (size_t)ASN1_STRING_length(text);
        const unsigned char *bytes = ASN1_STRING_get0_data(text);
        // A name with a NUL inside, or longer than any of ours, is no name of ours.
        if (*uris == 0 && size < capacity && !memchr(bytes, 0, size)) {
            memcpy(uri, bytes, size);
            uri[size] = 0;
        }
        (*uris)++;
    }
    GENERAL_NAMES_free(names);
}

static int facts_of(X509 *certificate, struct cs_certificate_facts *facts) {
    memset(facts, 0, sizeof *facts);
    if (!certificate || !pin_of(X509_get_X509_PUBKEY(certificate), facts->pin)) return 0;
    facts->not_before = seconds(X509_get0_notBefore(certificate));
    facts->not_after = seconds(X509_get0_notAfter(certificate));
    facts->version = (int)X509_get_version(certificate) + 1;
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    // Zero and negative numbers count as none.
    if (ASN1_STRING_type(serial) != V_ASN1_NEG_INTEGER && ASN1_INTEGER_get(serial) != 0)
        facts->serial_bytes = ASN1_STRING_length(serial);
    facts->is_p256 = is_p256(X509_get0_pubkey(certificate));
    facts->is_malformed = (X509_get_extension_flags(certificate) & EXFLAG_INVALID) != 0;
    uris_of(certificate, &facts->uri_count, &facts->other_names, facts->uri, sizeof facts->uri);
    // Not X509_check_ca: it says no where key usage lacks keyCertSign, whatever the basic constraints claim.
    facts->is_authority = (X509_get_extension_flags(certificate) & EXFLAG_CA) != 0;
    int place = X509_get_ext_by_NID(certificate, NID_key_usage, -1);
    facts->key_usage_critical = place >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, place));
    facts->key_usage = place >= 0 ? X509_get_key_usage(certificate) : 0;
    if (X509_get_ext_by_NID(certificate, NID_ext_key_usage, -1) >= 0) {
        uint32_t extended = X509_get_extended_key_usage(certificate);
        facts->client_usage = (extended & XKU_SSL_CLIENT) != 0;
        facts->server_usage = (extended & XKU_SSL_SERVER) != 0;
    }
    for (int index = 0; index < X509_get_ext_count(certificate); index++) {
        X509_EXTENSION *extension = X509_get_ext(certificate, index);
        if (X509_EXTENSION_get_critical(extension) && !X509_supported_extension(extension)) facts->unknown_critical = 1;
    }
    ERR_clear_error();
    return 1;
}

int cs_certificate_facts(const char *pem, struct cs_certificate_facts *facts) {
    X509 *certificate = read_certificate(pem);
    int good = facts_of(certificate, facts);
    X509_free(certificate);
    ERR_clear_error();
    return good;
}

// MARK: Chains

/// One certificate under one authority, nothing pooled and nothing between them. Returns X509_V_OK or why not, and with
/// `in_authority` whether it is the authority that is at fault.
static int chain_error(X509_STORE *authority, X509 *leaf, int purpose, int64_t at, int *in_authority) {
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int error = X509_V_ERR_OUT_OF_MEM;
    if (context && X509_STORE_CTX_init(context, authority, leaf, NULL) == 1) {
        X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(context);
        X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_X509_STRICT);
        X509_VERIFY_PARAM_set_auth_level(rules, 2);
        if (at) X509_VERIFY_PARAM_set_time(rules, (time_t)at);
        X509_STORE_CTX_set_purpose(context, purpose);
        error = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
        *in_authority = X509_STORE_CTX_get_error_depth(context) > 0;
    }
    X509_STORE_CTX_free(context);
    return error;
}

static enum cs_fault fault_of(int error) {
    return error == X509_V_OK                        ? CS_FAULT_NONE
           : error == X509_V_ERR_CERT_HAS_EXPIRED   ? CS_FAULT_EXPIRED
           : error == X509_V_ERR_CERT_NOT_YET_VALID ? CS_FAULT_NOT_YET_VALID
                                                    : CS_FAULT_CHAIN;
}

static void say(char *out, size_t capacity, int error, int in_authority) {
    snprintf(out, capacity, "%s%s", in_authority ? "the authority's certificate: " : "", X509_verify_cert_error_string(error));
}

enum cs_fault cs_chain_check(const char *certificate_pem, const char *anchor_pem, int64_t at, char *words, size_t capacity) {
    X509 *certificate = read_certificate(certificate_pem);
    X509 *anchor = read_certificate(anchor_pem);
    X509_STORE *store = X509_STORE_new();
    int in_authority = 0;
    int error = X509_V_ERR_UNSPECIFIED;
    if (certificate && anchor && store && X509_STORE_add_cert(store, anchor) == 1) {
        error = chain_error(store, certificate, X509_PURPOSE_SSL_CLIENT, at, &in_authority);
        if (error == X509_V_OK) error = chain_error(store, certificate, X509_PURPOSE_SSL_SERVER, at, &in_authority);
    }
    say(words, capacity, error, in_authority);
    X509_STORE_free(store);
    X509_free(anchor);
    X509_free(certificate);
    ERR_clear_error();
    return fault_of(error);
}

// MARK: TLS

static const unsigned char protocol_name[] = {5, 'e', 'k', 'c', '/', '1'};

struct anchor {
    char *domain;
    X509_STORE *store;
    struct anchor *next;
};

struct cs_context {
    SSL_CTX *ssl;
    struct anchor *anchors;
};

struct cs_session {
    SSL *ssl;
    BIO *in;
    BIO *out;
    enum cs_fault fault;
    /// Found inside a callback of OpenSSL's; what it says itself about the same is less.
    enum cs_fault own_fault;
    char words[160];
    void *owner;
    cs_acceptance accept;
    int64_t at;
};

static const struct anchor *anchor_for(const struct cs_context *context, const char *uri) {
    static const char scheme[] = "spiffe://";
    if (strncmp(uri, scheme, sizeof scheme - 1) != 0) return NULL;
    const char *domain = uri + sizeof scheme - 1;
    const char *end = strchr(domain, '/');
    if (!end) return NULL;
    for (const struct anchor *anchor = context->anchors; anchor; anchor = anchor->next)
        if (strlen(anchor->domain) == (size_t)(end - domain) && memcmp(anchor->domain, domain, (size_t)(end - domain)) == 0)
            return anchor;
    return NULL;
}

// The chain is checked against the one authority of the trust domain that the certificate names: anchors never pool. For
// a certificate that has ended it must have been good when the certificate ended: time is never switched off. To OpenSSL
// a certificate has ended in the second that it names.
// Then the owner decides, still inside the handshake, so that a peer which is refused gets an alert and nothing else.
static int verify_peer(X509_STORE_CTX *given, void *argument) {
    const struct cs_context *context = argument;
    SSL *ssl = X509_STORE_CTX_get_ex_data(given, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct cs_session *session = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(given);
    struct cs_certificate_facts facts;
    const struct anchor *anchor = NULL;
    enum cs_fault fault = CS_FAULT_CHAIN;
    int error = X509_V_ERR_CERT_REJECTED;
    if (facts_of(leaf, &facts)) {
        anchor = anchor_for(context, facts.uri);
        fault = CS_FAULT_UNKNOWN_DOMAIN;
        snprintf(session->words, sizeof session->words, "%.150s", facts.uri);
    }
    if (anchor) {
        int in_authority = 0;
        int64_t at = session->at < facts.not_after ? session->at : facts.not_after - 1;
        error = chain_error(
            anchor->store, leaf, SSL_is_server(ssl) ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER, at, &in_authority);
        fault = fault_of(error);
        if (fault) say(session->words, sizeof session->words, error, in_authority);
    }
    int good = session->accept(session->owner, &facts, fault, session->words) == 1 && fault == CS_FAULT_NONE;
    if (!good) session->own_fault = CS_FAULT_RULE;
    X509_STORE_CTX_set_error(given, good ? X509_V_OK : error ? error : X509_V_ERR_CERT_REJECTED);
    return good;
}

// A client that offers no ALPN would be served without one: OpenSSL asks the selecting callback only when some is offered.
// Clients without TLS 1.3 go on from here, to be refused for that.
static int examine_hello(SSL *ssl, int *alert, void *unused) {
    (void)unused;
    const unsigned char *bytes;
    size_t size;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &bytes, &size) != 1 ||
        SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &bytes, &size) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    struct cs_session *session = SSL_get_app_data(ssl);
    session->own_fault = CS_FAULT_NO_ALPN;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

static int select_protocol(
    SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in, unsigned int in_size, void *unused) {
    (void)unused;
    unsigned char *selected;
    if (SSL_select_next_proto(&selected, out_size, protocol_name, sizeof protocol_name, in, in_size) == OPENSSL_NPN_NEGOTIATED) {
        *out = selected;
        return SSL_TLSEXT_ERR_OK;
    }
    struct cs_session *session = SSL_get_app_data(ssl);
    session->own_fault = CS_FAULT_NO_ALPN;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

cs_context *cs_context_new(const char *certificate_pem, const char *key_pem) {
    cs_context *context = calloc(1, sizeof *context);
    require(context != NULL);
    context->ssl = SSL_CTX_new(TLS_method());
    X509 *certificate = read_certificate(certificate_pem);
    EVP_PKEY *key = read_key(key_pem);
    SSL_CTX *ssl = context->ssl;
    int good = ssl && certificate && key && SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_ciphersuites(ssl, "TLS_AES_256_GCM_SHA384") == 1 &&
               SSL_CTX_set1_groups_list(ssl, "X25519:P-256") == 1 && SSL_CTX_use_certificate(ssl, certificate) == 1 &&
               SSL_CTX_use_PrivateKey(ssl, key) == 1 && SSL_CTX_check_private_key(ssl) == 1 &&
               SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
               SSL_CTX_set_alpn_protos(ssl, protocol_name, sizeof protocol_name) == 0;
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (!good) {
        cs_context_free(context);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ssl, verify_peer, context);
    SSL_CTX_set_client_hello_cb(ssl, examine_hello, NULL);
    SSL_CTX_set_alpn_select_cb(ssl, select_protocol, NULL);
    return context;
}

int cs_context_add_anchor(cs_context *context, const char *trust_domain, const char *certificate_pem) {
    X509 *certificate = read_certificate(certificate_pem);
    struct anchor *anchor = calloc(1, sizeof *anchor);
    require(anchor != NULL);
    anchor->domain = strdup(trust_domain);
    anchor->store = X509_STORE_new();
    int good = certificate && X509_STORE_add_cert(anchor->store, certificate) == 1;
    anchor->next = context->anchors;
    context->anchors = anchor;
    X509_free(certificate);
    ERR_clear_error();
    return good;
}

void cs_context_free(cs_context *context) {
    if (!context) return;
    while (context->anchors) {
        struct anchor *anchor = context->anchors;
        context->anchors = anchor->next;
        X509_STORE_free(anchor->store);
        free(anchor->domain);
        free(anchor);
    }
    SSL_CTX_free(context->ssl);
    free(context);
}

cs_session *cs_session_new(cs_context *context, int is_server, int64_t at, cs_acceptance accept) {
    cs_session *session = calloc(1, sizeof *session);
    require(session != NULL);
    session->ssl = SSL_new(context->ssl);
    session->in = BIO_new(BIO_s_mem());
    session->out = BIO_new(BIO_s_mem());
    require(session->ssl && session->in && session->out);
    BIO_set_mem_eof_return(session->in, -1);
    SSL_set_bio(session->ssl, session->in, session->out);
    SSL_set_app_data(session->ssl, session);
    session->accept = accept;
    session->at = at;
    if (is_server) SSL_set_accept_state(session->ssl);
    else SSL_set_connect_state(session->ssl);
    return session;
}

void cs_session_set_owner(cs_session *session, void *owner) { session->owner = owner; }

void cs_session_free(cs_session *session) {
    if (!session) return;
    SSL_free(session->ssl);
    free(session);
}

// A memory BIO gives no room back. A link that is quiet again must not hold what its busiest moment took: the budget of a
// link is 64 KiB, and a burst leaves twice as much behind.
static void trim(BIO *bio, size_t size) {
    BUF_MEM *held;
    if (size > 4096 || BIO_ctrl_pending(bio) > 0 || BIO_get_mem_ptr(bio, &held) != 1 || held->max <= 16384) return;
    BUF_MEM *fresh = BUF_MEM_new();
    if (fresh) BIO_set_mem_buf(bio, fresh, BIO_CLOSE);
}

int cs_session_feed(cs_session *session, const void *bytes, size_t size) {
    trim(session->in, size);
    return BIO_write(session->in, bytes, (int)size);
}

int cs_session_drain(cs_session *session, void *out, size_t capacity) {
    int size = BIO_read(session->out, out, (int)capacity);
    if (size <= 0) return 0;
    trim(session->out, (size_t)size);
    return size;
}

size_t cs_session_pending(const cs_session *session) { return BIO_ctrl_pending(session->out); }

/// What OpenSSL says went wrong, as one of ours.
static enum cs_fault fault_from(int reason) {
    switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return CS_FAULT_NO_CERTIFICATE;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE: return CS_FAULT_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_WRONG_CIPHER_RETURNED:
    case SSL_R_UNKNOWN_CIPHER_RETURNED: return CS_FAULT_CIPHER;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_BAD_RECORD_TYPE: return CS_FAULT_NOT_TLS;
    default: return CS_FAULT_OTHER;
    }
}

static int failed(cs_session *session, int result) {
    int error = SSL_get_error(session->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    if (error == SSL_ERROR_ZERO_RETURN) return -2;
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    if (session->own_fault) {
        session->fault = session->own_fault;
    } else if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
        session->fault = CS_FAULT_PEER_REFUSED;
        snprintf(session->words, sizeof session->words, "its alert: %s",
                 SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    } else {
        const char *words = ERR_reason_error_string(code);
        session->fault = fault_from(reason);
        snprintf(session->words, sizeof session->words, "%s", words ? words : "no reason given");
    }
    ERR_clear_error();
    return -1;
}

int cs_session_handshake(cs_session *session) {
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    return result == 1 ? 1 : failed(session, result);
}

int cs_session_read(cs_session *session, void *out, size_t capacity) {
    ERR_clear_error();
    int result = SSL_read(session->ssl, out, (int)capacity);
    return result > 0 ? result : failed(session, result);
}

int cs_session_write(cs_session *session, const void *bytes, size_t size) {
    ERR_clear_error();
    int result = SSL_write(session->ssl, bytes, (int)size);
    return result > 0 ? result : failed(session, result);
}

void cs_session_close(cs_session *session) {
    if (SSL_is_init_finished(session->ssl)) SSL_shutdown(session->ssl);
    ERR_clear_error();
}

enum cs_fault cs_session_fault(const cs_session *session, const char **words) {
    *words = session->words;
    return session->fault;
}

// What was negotiated is compared with the profile before any byte of ours flows.
enum cs_fault cs_session_profile_fault(const cs_session *session) {
    const unsigned char *protocol;
    unsigned int size = 0;
    SSL_get0_alpn_selected(session->ssl, &protocol, &size);
    const SSL_CIPHER *cipher = SSL_get_current_cipher(session->ssl);
    if (SSL_version(session->ssl) != TLS1_3_VERSION) return CS_FAULT_VERSION;
    if (!cipher || SSL_CIPHER_get_protocol_id(cipher) != 0x1302) return CS_FAULT_CIPHER;
    if (size != sizeof protocol_name - 1 || memcmp(protocol, protocol_name + 1, size) != 0) return CS_FAULT_NO_ALPN;
    return SSL_session_reused(session->ssl) ? CS_FAULT_OTHER : CS_FAULT_NONE;
}
