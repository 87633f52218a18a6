#include "trace/json.hpp"

#include <cstddef>

namespace mp::trace {
namespace {

// Bytes of the well-formed UTF-8 sequence at the start; 0 when it is none.
std::size_t sequence(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const auto more = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return more(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        const bool overlong = first == 0xe0 && byte(1) < 0xa0, surrogate = first == 0xed && byte(1) >= 0xa0;
        return more(1) && more(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool overlong = first == 0xf0 && byte(1) < 0x90, too_large = first == 0xf4 && byte(1) >= 0x90;
        return more(1) && more(2) && more(3) && !overlong && !too_large ? 4 : 0;
    }
    return 0;
}

}  // namespace

std::string json_text(std::string_view text) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string out = "\"";
    while (!text.empty()) {
        const std::size_t size = sequence(text);
        if (size == 0) {
            out += "\\ufffd";
            text.remove_prefix(1);
            continue;
        }
        const auto byte = static_cast<unsigned char>(text[0]);
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += text[0];
        } else if (byte == '\n') {
            out += "\\n";
        } else if (byte < 0x20 || byte == 0x7f || byte == '<') {
            out += "\\u00";
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            out.append(text.substr(0, size));
        }
        text.remove_prefix(size);
    }
    return out + '"';
}

}  // namespace mp::trace
