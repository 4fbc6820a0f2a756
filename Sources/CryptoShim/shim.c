#include "CryptoShim.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

// MARK: Digests, randomness, comparison

static void require(int condition) {
    if (!condition) abort();
}

void cs_sha256_pair(const void *first, size_t first_size, const void *second, size_t second_size, void *out) {
    static __thread EVP_MD_CTX *context;
    if (!context) {
        // Fetched once a thread and never given back: a digest then costs no allocation.
        context = EVP_MD_CTX_new();
        EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
        require(context && md && EVP_DigestInit_ex2(context, md, NULL) == 1);
    }
    require(EVP_DigestInit_ex2(context, NULL, NULL) == 1 && EVP_DigestUpdate(context, first, first_size) == 1 &&
            EVP_DigestUpdate(context, second, second_size) == 1 && EVP_DigestFinal_ex(context, out, NULL) == 1);
}

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

static BIO *reading(const char *pem) { return BIO_new_mem_buf(pem, -1); }

static int written(BIO *bio, char *out, size_t capacity) {
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
    BIO *bio = reading(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return key;
}

static X509 *read_certificate(const char *pem) {
    BIO *bio = reading(pem);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return certificate;
}

static X509_REQ *read_request(const char *pem) {
    BIO *bio = reading(pem);
    X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return request;
}

int cs_link_key_generate(char *out, size_t capacity) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_secmem());
    int done = key && bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    int size = done ? written(bio, out, capacity) : (BIO_free(bio), 0);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return size;
}

static X509_NAME *named(const char *common_name) {
    X509_NAME *name = X509_NAME_new();
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
    return name;
}

int cs_request_create(const char *key_pem, const char *common_name, char *out, size_t capacity) {
    EVP_PKEY *key = read_key(key_pem);
    X509_REQ *request = X509_REQ_new();
    X509_NAME *name = named(common_name);
    int size = 0;
    if (key && request && X509_REQ_set_subject_name(request, name) == 1 && X509_REQ_set_pubkey(request, key) == 1 &&
        X509_REQ_sign(request, key, EVP_sha256()) > 0) {
        BIO *bio = BIO_new(BIO_s_mem());
        if (PEM_write_bio_X509_REQ(bio, request) == 1) size = written(bio, out, capacity);
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

int cs_authority_create(const char *key_pem, const char *common_name, int days, char *out, size_t capacity) {
    EVP_PKEY *key = read_key(key_pem);
    X509 *certificate = X509_new();
    X509_NAME *name = named(common_name);
    int size = 0;
    if (key && certificate && X509_set_version(certificate, X509_VERSION_3) == 1 && set_random_serial(certificate) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -300) &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * 86400) &&
        X509_set_subject_name(certificate, name) == 1 && X509_set_issuer_name(certificate, name) == 1 &&
        X509_set_pubkey(certificate, key) == 1 &&
        add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        add_extension(certificate, certificate, NID_subject_key_identifier, "hash") &&
        X509_sign(certificate, key, EVP_sha256()) > 0) {
        BIO *bio = BIO_new(BIO_s_mem());
        if (PEM_write_bio_X509(bio, certificate) == 1) size = written(bio, out, capacity);
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
    int size = 0;
    if (key && issuer && request && certificate && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        set_random_serial(certificate) && ASN1_TIME_set(X509_getm_notBefore(certificate), plan->not_before) &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), plan->not_after) &&
        X509_set_subject_name(certificate, X509_REQ_get_subject_name(request)) == 1 &&
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
        if (PEM_write_bio_X509(bio, certificate) == 1) size = written(bio, out, capacity);
        else BIO_free(bio);
    }
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
    facts->serial_bytes = ASN1_INTEGER_get(X509_get0_serialNumber(certificate)) == 0
                              ? 0
                              : ASN1_STRING_length(X509_get0_serialNumber(certificate));
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
    enum cs_fault verify_fault;
    char words[160];
};

static int session_index(void) {
    static int index = -1;
    if (index < 0) index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return index;
}

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

// The chain is checked against the one authority of the trust domain that the certificate names: anchors never pool.
static int verify_chain(X509_STORE_CTX *given, void *argument) {
    struct cs_context *context = argument;
    SSL *ssl = X509_STORE_CTX_get_ex_data(given, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct cs_session *session = SSL_get_ex_data(ssl, session_index());
    X509 *leaf = X509_STORE_CTX_get0_cert(given);
    int uris = 0, others = 0;
    char uri[256] = "";
    uris_of(leaf, &uris, &others, uri, sizeof uri);
    const struct anchor *anchor = anchor_for(context, uri);
    if (!anchor) {
        session->verify_fault = CS_FAULT_UNKNOWN_DOMAIN;
        X509_STORE_CTX_set_error(given, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
        return 0;
    }
    X509_STORE_CTX *own = X509_STORE_CTX_new();
    int good = own && X509_STORE_CTX_init(own, anchor->store, leaf, NULL) == 1;
    int error = X509_V_ERR_OUT_OF_MEM;
    if (good) {
        X509_STORE_CTX_set_purpose(own, SSL_is_server(ssl) ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER);
        good = X509_verify_cert(own) == 1;
        error = X509_STORE_CTX_get_error(own);
    }
    X509_STORE_CTX_free(own);
    if (good) return 1;
    X509_STORE_CTX_set_error(given, error);
    session->verify_fault = error == X509_V_ERR_CERT_HAS_EXPIRED      ? CS_FAULT_EXPIRED
                            : error == X509_V_ERR_CERT_NOT_YET_VALID ? CS_FAULT_NOT_YET_VALID
                                                                     : CS_FAULT_CHAIN;
    return 0;
}

static int select_protocol(
    SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in, unsigned int in_size, void *unused) {
    (void)unused;
    unsigned char *selected;
    if (SSL_select_next_proto(&selected, out_size, protocol_name, sizeof protocol_name, in, in_size) == OPENSSL_NPN_NEGOTIATED) {
        *out = selected;
        return SSL_TLSEXT_ERR_OK;
    }
    struct cs_session *session = SSL_get_ex_data(ssl, session_index());
    session->verify_fault = CS_FAULT_NO_ALPN;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

cs_context *cs_context_new(const char *certificate_pem, const char *key_pem) {
    session_index();
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
    SSL_CTX_set_cert_verify_callback(ssl, verify_chain, context);
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

cs_session *cs_session_new(cs_context *context, int is_server) {
    cs_session *session = calloc(1, sizeof *session);
    require(session != NULL);
    session->ssl = SSL_new(context->ssl);
    session->in = BIO_new(BIO_s_mem());
    session->out = BIO_new(BIO_s_mem());
    require(session->ssl && session->in && session->out);
    BIO_set_mem_eof_return(session->in, -1);
    SSL_set_bio(session->ssl, session->in, session->out);
    SSL_set_ex_data(session->ssl, session_index(), session);
    if (is_server) SSL_set_accept_state(session->ssl);
    else SSL_set_connect_state(session->ssl);
    return session;
}

void cs_session_free(cs_session *session) {
    if (!session) return;
    SSL_free(session->ssl);
    free(session);
}

int cs_session_feed(cs_session *session, const void *bytes, size_t size) {
    return BIO_write(session->in, bytes, (int)size);
}

int cs_session_drain(cs_session *session, void *out, size_t capacity) {
    int size = BIO_read(session->out, out, (int)capacity);
    return size > 0 ? size : 0;
}

size_t cs_session_pending(const cs_session *session) { return BIO_ctrl_pending(session->out); }

static int failed(cs_session *session, int result) {
    int error = SSL_get_error(session->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    if (error == SSL_ERROR_ZERO_RETURN) return -2;
    unsigned long code = ERR_peek_error();
    ERR_error_string_n(code, session->words, sizeof session->words);
    int reason = ERR_GET_REASON(code);
    if (session->verify_fault) session->fault = session->verify_fault;
    else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) session->fault = CS_FAULT_NO_CERTIFICATE;
    else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_SSL_VERSION || reason == SSL_R_WRONG_VERSION_NUMBER)
        session->fault = SSL_in_before(session->ssl) || reason != SSL_R_WRONG_VERSION_NUMBER ? CS_FAULT_VERSION : CS_FAULT_NOT_TLS;
    else if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST || reason == SSL_R_BAD_RECORD_TYPE)
        session->fault = CS_FAULT_NOT_TLS;
    else if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) session->fault = CS_FAULT_PEER_REFUSED;
    else session->fault = CS_FAULT_OTHER;
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

int cs_session_peer_facts(cs_session *session, struct cs_certificate_facts *facts) {
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    return certificate ? facts_of(certificate, facts) : 0;
}

// What was negotiated is compared with the profile before any byte of ours flows.
int cs_session_is_as_pinned(const cs_session *session) {
    const unsigned char *protocol;
    unsigned int size = 0;
    SSL_get0_alpn_selected(session->ssl, &protocol, &size);
    const SSL_CIPHER *cipher = SSL_get_current_cipher(session->ssl);
    return SSL_version(session->ssl) == TLS1_3_VERSION && cipher && SSL_CIPHER_get_protocol_id(cipher) == 0x1302 &&
           !SSL_session_reused(session->ssl) && size == sizeof protocol_name - 1 &&
           memcmp(protocol, protocol_name + 1, size) == 0;
}
