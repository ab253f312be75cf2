#include "CThemisRPC.h"
