#pragma once
// Only what Swift cannot call: variadic functions.
#include <curl/curl.h>

static inline CURLcode ccurl_set_text(CURL *curl, CURLoption option, const char *value) {
    return curl_easy_setopt(curl, option, value);
}
static inline CURLcode ccurl_set_long(CURL *curl, CURLoption option, long value) {
    return curl_easy_setopt(curl, option, value);
}
static inline CURLcode ccurl_set_pointer(CURL *curl, CURLoption option, void *value) {
    return curl_easy_setopt(curl, option, value);
}
static inline CURLcode ccurl_set_list(CURL *curl, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(curl, option, value);
}
typedef size_t (*ccurl_write)(char *, size_t, size_t, void *);
static inline CURLcode ccurl_set_write(CURL *curl, ccurl_write write, void *argument) {
    CURLcode status = curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write);
    return status == CURLE_OK ? curl_easy_setopt(curl, CURLOPT_WRITEDATA, argument) : status;
}
static inline CURLcode ccurl_status(CURL *curl, long *status) {
    return curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
}
