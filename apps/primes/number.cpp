#include "primes/number.hpp"

#include <fmt/format.h>

#include <limits>
#include <optional>

namespace primes {
namespace {

// 2^64 - 1 is the largest result, so 2^64 itself must be written down on the way to "2^64-1".
__extension__ using Wide = unsigned __int128;
constexpr Wide limit = Wide{1} << 64;

[[noreturn]] void not_a_number(std::string_view text) {
    throw BadInput(fmt::format("'{}' is not a number; write it like 80000, 1_000_000, 1e9 or 2^20", text));
}

[[noreturn]] void too_large(std::string_view text) {
    throw BadInput(fmt::format("'{}' is too large; the largest number is {} (2^64 - 1)", text,
                               std::numeric_limits<std::uint64_t>::max()));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads one number piece by piece; every product and sum is checked against 2^64.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text), rest_(text) {}

    std::uint64_t number() {
        Wide value = digits();
        const std::string_view fraction = take('.') ? fraction_digits() : std::string_view();
        if (take('e') || take('E')) {
            take('+');
            value = scaled(value, fraction, digits());
            value = with_offset(value);
        } else if (!fraction.empty()) {
            not_a_number(text_);
        } else if (take('^')) {
            value = with_offset(power(value, digits()));
        }
        if (!rest_.empty()) not_a_number(text_);
        if (value >= limit) too_large(text_);
        return static_cast<std::uint64_t>(value);
    }

  private:
    bool take(char c) {
        if (rest_.empty() || rest_.front() != c) return false;
        rest_.remove_prefix(1);
        return true;
    }

    /// Digits with single underscores between them.
    Wide digits() {
        if (rest_.empty() || !is_digit(rest_.front())) not_a_number(text_);
        Wide value = 0;
        while (!rest_.empty()) {
            if (take('_') && (rest_.empty() || !is_digit(rest_.front()))) not_a_number(text_);
            if (rest_.empty() || !is_digit(rest_.front())) break;
            value = checked(value * 10 + static_cast<unsigned>(rest_.front() - '0'));
            rest_.remove_prefix(1);
        }
        return value;
    }

    std::string_view fraction_digits() {
        std::size_t length = 0;
        while (length < rest_.size() && is_digit(rest_[length])) ++length;
        if (length == 0) not_a_number(text_);
        const auto fraction = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return fraction;
    }

    /// value.fraction times ten to the exponent, which must come out whole.
    Wide scaled(Wide value, std::string_view fraction, Wide exponent) {
        while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
        if (fraction.size() > exponent) throw BadInput(fmt::format("'{}' is not a whole number", text_));
        for (const char c : fraction) value = checked(value * 10 + static_cast<unsigned>(c - '0'));
        for (Wide left = exponent - fraction.size(); left > 0 && value > 0; --left) value = checked(value * 10);
        return value;
    }

    Wide power(Wide base, Wide exponent) {
        if (base <= 1) return exponent == 0 ? 1 : base;
        Wide value = 1;
        for (; exponent > 0; --exponent) {
            if (value > limit / base) too_large(text_);
            value *= base;
        }
        return value;
    }

    Wide with_offset(Wide value) {
        if (take('+')) return checked(value + digits());
        if (!take('-')) return value;
        const Wide less = digits();
        if (less > value) throw BadInput(fmt::format("'{}' is negative; numbers start at 0", text_));
        return value - less;
    }

    /// For sums and products that stay far below 2^128.
    Wide checked(Wide value) const {
        if (value > limit) too_large(text_);
        return value;
    }

    std::string_view text_;
    std::string_view rest_;
};

}  // namespace

std::uint64_t parse_number(std::string_view text) {
    if (text.size() > 1 && text[0] == '-' && is_digit(text[1]))
        throw BadInput(fmt::format("'{}' is negative; numbers start at 0", text));
    return Reader(text).number();
}

}  // namespace primes
