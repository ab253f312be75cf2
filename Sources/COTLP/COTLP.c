#include "COTLP.h"

void themis_otlp_set_bytes(ProtobufCBinaryData *member, uint8_t *bytes, size_t count) {
    member->data = bytes;
    member->len = count;
}
