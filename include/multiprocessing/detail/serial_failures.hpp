/// \file
/// The ways in which packing and unpacking fail, compiled once and kept out of the fast paths.
#pragma once

#include <cstddef>
#include <cstdint>

#include <multiprocessing/export.hpp>

namespace mp::serial::detail {

/// How deep containers and smart pointers may nest in one message, so that neither a long linked list nor hostile
/// bytes overflow the stack.
inline constexpr std::uint32_t max_depth = 500;

[[noreturn]] MP_EXPORT void fail_truncated(std::size_t wanted, std::size_t left);
[[noreturn]] MP_EXPORT void fail_count(std::uint64_t count, std::size_t left);
[[noreturn]] MP_EXPORT void fail_left_over(std::size_t left);
[[noreturn]] MP_EXPORT void fail_depth();
/// `what` completes the sentence "cannot read a message: …".
[[noreturn]] MP_EXPORT void fail_value(const char* what);
/// `what` completes the sentence "cannot pack a value: …".
[[noreturn]] MP_EXPORT void fail_pack(const char* what);

}  // namespace mp::serial::detail
