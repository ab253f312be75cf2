#pragma once
// The umbrella of the generated RPC contract: the code that protoc-c makes from the .proto files lies beside it.
#include <protobuf-c/protobuf-c.h>
#include "themis.pb-c.h"
