#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// These are macros, which Swift does not see.
static inline int themis_tls_require_12(SSL_CTX *context) { return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION); }
static inline long themis_tls_send_name(SSL *session, const char *host) { return SSL_set_tlsext_host_name(session, (void *)host); }
static inline int themis_tls_waiting(BIO *memory) { return (int)BIO_pending(memory); }
static inline long themis_tls_no_end(BIO *memory) { return BIO_set_mem_eof_return(memory, -1); }
static inline uint64_t themis_tls_no_renegotiation(SSL_CTX *context) { return SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION); }
