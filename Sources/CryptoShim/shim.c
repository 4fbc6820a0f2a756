#include "CryptoShim.h"
