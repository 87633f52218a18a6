// Text as JSON.
#pragma once

#include <string>
#include <string_view>

namespace mp::trace {

/// With quotes. What is no UTF-8 becomes U+FFFD; `<` is escaped too, so that it can stand inside an HTML script.
std::string json_text(std::string_view text);

}  // namespace mp::trace
