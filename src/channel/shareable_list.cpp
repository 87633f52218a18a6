#include <multiprocessing/shareable_list.hpp>

#include <algorithm>
#include <cstring>
#include <ostream>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <multiprocessing/errors.hpp>

#include "channel/raise.hpp"
#include "shm/kill_point.hpp"
#include "shm/robust_lock.hpp"

namespace mp {

using detail::BlockHead;
using detail::BlockKind;
using detail::SharedBlock;

namespace {

/// An element: two places for its bytes, and a word that says which of them counts, how many bytes and of what type.
/// A change writes the other place and then the word, under the list's lock.
struct Slot {
    std::uint64_t word;      // place (bit 63), type (bits 56 to 62), bytes
    std::uint64_t offset;    // of the first place, from the start of the memory. Constant
    std::uint64_t capacity;  // of each place, a multiple of 8. Constant
};

struct ListBlock {
    BlockHead head;  // detail: elements
    alignas(64) shm::RobustLock lock;
    Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
};

constexpr std::uint64_t place_bit = 1ULL << 63;
constexpr int type_shift = 56;
constexpr std::uint64_t size_mask = (1ULL << type_shift) - 1;

ListBlock& find(const SharedBlock& block) { return *reinterpret_cast<ListBlock*>(block.data()); }

std::size_t table_size(std::size_t count) { return sizeof(ListBlock) + count * sizeof(Slot); }

std::span<const std::byte> bytes_of(const ShareableItem& item) {
    return std::visit(
        [](const auto& value) -> std::span<const std::byte> {
            using T = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<T, std::monostate>) {
                return {};
            } else if constexpr (std::is_arithmetic_v<T>) {
                return std::as_bytes(std::span(&value, 1));
            } else {
                return std::as_bytes(std::span(value.data(), value.size()));
            }
        },
        item);
}

std::size_t capacity_for(const ShareableItem& item) {
    return (std::max<std::size_t>(bytes_of(item).size(), 8) + 7) / 8 * 8;
}

template <class T>
T number_from(std::span<const std::byte> bytes) {
    if (bytes.size() != sizeof(T)) throw SerializationError("the memory of a ShareableList has been damaged");
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// With the lock held.
ShareableItem read(const SharedBlock& block, const Slot& slot) {
    const std::uint64_t word = slot.word;
    const std::uint64_t size = word & size_mask;
    const std::uint64_t offset = slot.offset + (word & place_bit ? slot.capacity : 0);
    // Others can write these bytes: never believe what leads out of the memory.
    if (size > block.size() || offset > block.size() - size) {
        throw SerializationError("the memory of a ShareableList has been damaged");
    }
    const std::span<const std::byte> bytes(block.data() + offset, size);
    switch ((word & ~place_bit) >> type_shift) {
        case 0:
            return std::monostate();
        case 1:
            return number_from<unsigned char>(bytes) != 0;
        case 2:
            return number_from<std::int64_t>(bytes);
        case 3:
            return number_from<double>(bytes);
        case 4:
            return std::string(reinterpret_cast<const char*>(bytes.data()), size);
        case 5:
            return std::vector<std::byte>(bytes.begin(), bytes.end());
        default:
            throw SerializationError("the memory of a ShareableList has been damaged");
    }
}

/// With the lock held, or before anybody else sees the list.
void write(const SharedBlock& block, Slot& slot, const ShareableItem& item) {
    const auto bytes = bytes_of(item);
    const std::uint64_t place = ~slot.word & place_bit;
    const std::uint64_t offset = slot.offset + (place ? slot.capacity : 0);
    if (offset > block.size() || bytes.size() > block.size() - offset) {
        throw SerializationError("the memory of a ShareableList has been damaged");
    }
    if (!bytes.empty()) std::memcpy(block.data() + offset, bytes.data(), bytes.size());
    shm::kill_point();
    std::atomic_ref(slot.word).store(place | std::uint64_t(item.index()) << type_shift | bytes.size(),
                                     std::memory_order_release);
    shm::kill_point();
}

Slot& slot_at(const SharedBlock& block, std::ptrdiff_t index) {
    auto& list = find(block);
    const auto count = static_cast<std::ptrdiff_t>(list.head.detail);
    const std::ptrdiff_t position = index < 0 ? index + count : index;
    if (position < 0 || position >= count) {
        throw std::out_of_range("ShareableList: index " + std::to_string(index) + " in a list of " +
                                std::to_string(count));
    }
    return list.slots()[position];
}

}  // namespace

ShareableList::ShareableList(std::span<const ShareableItem> items) : ShareableList(items, {}) {}

ShareableList::ShareableList(std::span<const ShareableItem> items, std::span<const std::size_t> capacities) {
    const auto room = [&](std::size_t i) { return capacities.empty() ? capacity_for(items[i]) : capacities[i]; };
    std::size_t size = table_size(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) size += 2 * room(i);
    block_ = SharedBlock::create(BlockKind::shareable_list, items.size(), size, "a ShareableList");
    auto& list = find(block_);
    if (const auto done = list.lock.initialise(); !done) channel::raise(done.error(), "cannot make a ShareableList");
    std::size_t offset = table_size(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
        list.slots()[i] = {0, offset, room(i)};
        write(block_, list.slots()[i], items[i]);
        offset += 2 * room(i);
    }
}

ShareableList::ShareableList(const serial::Handle& handle)
    : block_(SharedBlock::attach(handle, BlockKind::shareable_list, sizeof(ListBlock), "a ShareableList")) {
    if (size() > (block_.size() - sizeof(ListBlock)) / sizeof(Slot)) {
        throw SerializationError("the memory that arrived is not that of a ShareableList");
    }
}

std::size_t ShareableList::size() const noexcept { return find(block_).head.detail; }

ShareableItem ShareableList::at(std::ptrdiff_t index) const {
    const Slot& slot = slot_at(block_, index);
    const shm::RobustHold hold(find(block_).lock);
    return read(block_, slot);
}

void ShareableList::set(std::ptrdiff_t index, const ShareableItem& item) const {
    Slot& slot = slot_at(block_, index);
    const std::size_t size = bytes_of(item).size();
    if (size > slot.capacity) {
        throw std::length_error("ShareableList: " + channel::human_size(size) + " for an element that has room for " +
                                channel::human_size(slot.capacity));
    }
    const shm::RobustHold hold(find(block_).lock);
    shm::kill_point();
    write(block_, slot, item);
}

std::size_t ShareableList::capacity(std::ptrdiff_t index) const { return slot_at(block_, index).capacity; }

std::vector<ShareableItem> ShareableList::items() const {
    std::vector<ShareableItem> all;
    all.reserve(size());
    auto& list = find(block_);
    const shm::RobustHold hold(list.lock);
    for (std::size_t i = 0; i < size(); ++i) all.push_back(read(block_, list.slots()[i]));
    return all;
}

std::size_t ShareableList::count(const ShareableItem& item) const {
    const auto all = items();
    return static_cast<std::size_t>(std::ranges::count(all, item));
}

std::optional<std::size_t> ShareableList::index(const ShareableItem& item) const {
    const auto all = items();
    const auto found = std::ranges::find(all, item);
    if (found == all.end()) return std::nullopt;
    return static_cast<std::size_t>(found - all.begin());
}

ShareableList ShareableList::copy() const {
    std::vector<std::size_t> capacities;
    for (std::size_t i = 0; i < size(); ++i) capacities.push_back(find(block_).slots()[i].capacity);
    return ShareableList(items(), capacities);
}

std::ostream& operator<<(std::ostream& out, const ShareableList& list) {
    out << "ShareableList([";
    const char* separator = "";
    for (const ShareableItem& item : list.items()) {
        out << separator;
        separator = ", ";
        std::visit(
            [&](const auto& value) {
                using T = std::decay_t<decltype(value)>;
                if constexpr (std::is_same_v<T, std::monostate>)
                    out << "none";
                else if constexpr (std::is_same_v<T, bool>)
                    out << (value ? "true" : "false");
                else if constexpr (std::is_same_v<T, std::string>)
                    out << '"' << value << '"';
                else if constexpr (std::is_arithmetic_v<T>)
                    out << value;
                else
                    out << channel::human_size(value.size());
            },
            item);
    }
    return out << "])";
}

}  // namespace mp
