#include <multiprocessing/detail/serial_writer.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <typeindex>
#include <unordered_map>

namespace mp::serial {

namespace {

struct Identity {
    const void* address;
    std::type_index type;  // a struct and its first member share an address
    bool operator==(const Identity&) const = default;
};

struct IdentityHash {
    std::size_t operator()(const Identity& identity) const noexcept {
        return std::hash<const void*>()(identity.address) ^ (identity.type.hash_code() * 31);
    }
};

}  // namespace

struct Writer::Shares {
    struct Entry {
        std::shared_ptr<const void> alive;  // or another object might come to live at the same address
        bool written = false;
    };
    std::unordered_map<Identity, std::uint64_t, IdentityHash> numbers;
    std::vector<Entry> entries;
};

void Writer::DropShares::operator()(Shares* shares) const noexcept { std::default_delete<Shares>()(shares); }

void Writer::grow(std::size_t size) {
    const auto used = static_cast<std::size_t>(cursor_ - begin_);
    const auto capacity = static_cast<std::size_t>(end_ - begin_);
    constexpr std::size_t most = std::numeric_limits<std::ptrdiff_t>::max();
    if (size > most - used) {
        throw std::bad_alloc();
    }
    const std::size_t larger = std::max({used + size, std::min(2 * capacity, most), std::size_t{256}});
    void* memory = std::realloc(heap_.get(), larger);  // of null: a new block
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    const bool was_scratch = heap_ == nullptr;
    static_cast<void>(heap_.release());
    heap_.reset(static_cast<std::byte*>(memory));
    if (was_scratch && used != 0) {
        std::memcpy(memory, begin_, used);
    }
    begin_ = heap_.get();
    cursor_ = begin_ + used;
    end_ = begin_ + larger;
}

Writer::Shared Writer::share(std::shared_ptr<const void> object, const std::type_info& type) {
    if (!shares_) {
        shares_.reset(std::make_unique<Shares>().release());
    }
    Shares& shares = *shares_;
    const auto [at, is_new] = shares.numbers.try_emplace({object.get(), type}, shares.entries.size() + 1);
    if (is_new) {
        shares.entries.push_back({std::move(object)});
    } else if (!shares.entries[at->second - 1].written) {
        detail::fail_pack("shared pointers form a cycle, which cannot be sent");
    }
    return {at->second, is_new};
}

void Writer::share_done(std::uint64_t number) noexcept { shares_->entries[number - 1].written = true; }

}  // namespace mp::serial
