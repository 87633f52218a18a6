#include <multiprocessing/detail/serial_failures.hpp>

#include <string>

#include <multiprocessing/errors.hpp>

namespace mp::serial::detail {

void fail_truncated(std::size_t wanted, std::size_t left) {
    throw SerializationError("cannot read a message: " + std::to_string(wanted) + " bytes expected, " +
                             std::to_string(left) + " left");
}

void fail_count(std::uint64_t count, std::size_t left) {
    throw SerializationError("cannot read a message: it announces " + std::to_string(count) + " elements in " +
                             std::to_string(left) + " bytes");
}

void fail_left_over(std::size_t left) {
    throw SerializationError("cannot read a message: " + std::to_string(left) +
                             " bytes or some handles are left over; was it written as another type?");
}

void fail_depth() {
    throw SerializationError("cannot pack or read a value: it nests more than " + std::to_string(max_depth) +
                             " containers or pointers in each other; send long chains as a std::vector");
}

void fail_value(const char* what) { throw SerializationError(std::string("cannot read a message: ") + what); }

void fail_pack(const char* what) { throw SerializationError(std::string("cannot pack a value: ") + what); }

}  // namespace mp::serial::detail
