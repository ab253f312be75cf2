#pragma once
// The umbrella of the generated collector protocol: the code that protoc-c makes from the .proto file lies beside it.
#include <protobuf-c/protobuf-c.h>
#include "otlp.pb-c.h"

// Points a member of type `bytes` to `count` bytes, which must outlive the message. (Two C modules include protobuf-c, and Swift sees the
// members of its types only through one of them.)
void themis_otlp_set_bytes(ProtobufCBinaryData *member, uint8_t *bytes, size_t count);
