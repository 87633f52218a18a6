// Code that was generated at run time, as a REPL does it, lies in no file. It is named by the image that it lies in:
// the memory of one process, which what is forked from it later has too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mp::os {

/// Something generated in an image: no other image has the token, and numbers grow with time.
struct ImagePlace {
    std::array<std::byte, 16> token{};
    std::uint64_t number = 0;  ///< from 1
    bool operator==(const ImagePlace&) const = default;
};

/// Names what lies at `address`: the same name as long as `fingerprint` is the same, a new one otherwise, since memory
/// of generated code can be freed and used again. Inherited code keeps the name that the forking process gave it.
/// Throws SystemError when the kernel gives no random numbers. Any thread.
ImagePlace name_in_image(const void* address, std::uint64_t fingerprint);

/// Whether this process is the one that gave the name, or a fork of it that is younger than the name. Any thread.
bool in_this_image(const ImagePlace& place);

/// How many names this process has given and inherited: a fork made when it was as many has them all. Some nanoseconds.
/// Any thread.
std::uint64_t names_in_image();

}  // namespace mp::os
