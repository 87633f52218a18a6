#include <multiprocessing/detail/in_place.hpp>

#include <stdexcept>

#include <multiprocessing/errors.hpp>

#include "shm/segment.hpp"

namespace mp::detail {

SharedPlace find_shared(const void* address, std::uint64_t size) {
    const auto segment = shm::Segment::find(address, size);
    if (!segment)
        throw std::invalid_argument(
            "for_each: this span is not in shared memory, so that changes to it would be lost in "
            "another process; make it the span() of an mp::Array or an mp::SharedMemory");
    const auto offset = static_cast<std::uint64_t>(static_cast<const std::byte*>(address) - segment->data());
    return {segment, serial::Handle::duplicate(segment->fd()), offset};
}

SharedStretch attach_shared(const serial::Handle& file, std::uint64_t offset, std::uint64_t size) {
    auto segment = shm::Segment::attach(os::UniqueFd::duplicate(file.fd()), offset + size);
    if (!segment) throw SystemError(segment.error(), "cannot map the memory of for_each");
    std::byte* const data = (*segment)->data() + offset;
    return {std::move(*segment), data};
}

}  // namespace mp::detail
