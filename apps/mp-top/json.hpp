// A page as JSON.
#pragma once

#include <string>
#include <vector>

#include "page.hpp"

namespace top {

/// One object with an array `pools`; times in seconds, memory in bytes. What is not known is null.
std::string json_text(const std::vector<PoolLines>& page);

}  // namespace top
