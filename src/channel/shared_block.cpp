#include <multiprocessing/detail/shared_block.hpp>

#include <string>

#include <multiprocessing/errors.hpp>

#include "channel/raise.hpp"
#include "shm/segment.hpp"

namespace mp::detail {

namespace {

constexpr std::uint32_t layout_version = 1;

}  // namespace

SharedBlock SharedBlock::create(BlockKind kind, std::uint64_t detail, std::uint64_t size, const char* what) {
    const auto operation = [&] {
        return "cannot allocate " + channel::human_size(size) + " of shared memory for " + what;
    };
    if (const auto room = shm::check_room(size); !room) channel::raise(room.error(), operation());
    auto block = create_sparse(kind, detail, size, what);
    if (!block) channel::raise(base::last_error(), operation());
    return block;
}

SharedBlock SharedBlock::create_sparse(BlockKind kind, std::uint64_t detail, std::uint64_t size, const char* what) {
    auto segment = shm::Segment::create(what, size);
    SharedBlock block;
    if (!segment) {
        errno = segment.error().value();
        return block;
    }
    block.data_ = (*segment)->data();
    block.size_ = (*segment)->size();
    block.fd_ = (*segment)->fd();
    block.segment_ = std::move(*segment);
    *reinterpret_cast<BlockHead*>(block.data_) = {static_cast<std::uint32_t>(kind), layout_version, detail};
    return block;
}

SharedBlock SharedBlock::attach(const serial::Handle& handle, BlockKind kind, std::uint64_t least_size,
                                const char* what) {
    auto segment = shm::Segment::attach(os::UniqueFd::duplicate(handle.fd()), least_size);
    if (!segment) throw SerializationError(std::string("cannot take over ") + what + ": " + segment.error().message());
    SharedBlock block;
    block.data_ = (*segment)->data();
    block.size_ = (*segment)->size();
    block.fd_ = (*segment)->fd();
    block.segment_ = std::move(*segment);
    const BlockHead& head = block.head();
    if (head.kind != static_cast<std::uint32_t>(kind) || head.version != layout_version) {
        throw SerializationError(std::string("the descriptor that arrived is no ") + what);
    }
    return block;
}

SharedBlock SharedBlock::attach(const serial::Handle& handle, BlockKind kind, std::uint64_t detail,
                                std::uint64_t least_size, const char* what) {
    SharedBlock block = attach(handle, kind, least_size, what);
    if (block.head().detail != detail) {
        throw SerializationError(std::string("the ") + what + " that arrived holds another type");
    }
    return block;
}

serial::Handle SharedBlock::handle() const { return serial::Handle::duplicate(fd_); }

}  // namespace mp::detail
