/// \file
/// What the tests of the codec share.
#pragma once

#include <cstddef>
#include <vector>

#include <multiprocessing/serialize.hpp>

namespace mp::serial::testing {

/// The value as it arrives on the other side; all of the message must be used up.
template <class T>
T round_trip(const T& value) {
    Writer writer;
    encode(writer, value);
    Reader reader(writer.bytes(), writer.handles());
    T copy = decode<T>(reader);
    reader.finish();
    return copy;
}

template <class T>
std::vector<std::byte> packed(const T& value) {
    Writer writer;
    encode(writer, value);
    return {writer.bytes().begin(), writer.bytes().end()};
}

}  // namespace mp::serial::testing
