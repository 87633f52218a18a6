#include <multiprocessing/detail/serial_reader.hpp>

#include <utility>
#include <vector>

namespace mp::serial {

struct Reader::Shares {
    struct Entry {
        std::shared_ptr<void> object;  // null while it is still being read
        const std::type_info* type = nullptr;
    };
    std::vector<Entry> entries;
};

void Reader::DropShares::operator()(Shares* shares) const noexcept { std::default_delete<Shares>()(shares); }

Handle Reader::take_handle() {
    if (taken_ == handles_.size()) {
        detail::fail_value("a handle is missing");
    }
    return handles_[taken_++];
}

Reader::Shared Reader::shared() {
    std::uint64_t number;
    read(&number, sizeof number);
    const std::size_t known = shares_ ? shares_->entries.size() : 0;
    if (number > known + 1) {
        detail::fail_value("a shared object is out of order");
    }
    if (number != known + 1) {
        return {number, false};
    }
    if (!shares_) {
        shares_.reset(std::make_unique<Shares>().release());
    }
    shares_->entries.emplace_back();
    return {number, true};
}

void Reader::keep_shared(std::uint64_t number, std::shared_ptr<void> object, const std::type_info& type) {
    shares_->entries[number - 1] = {std::move(object), &type};
}

std::shared_ptr<void> Reader::find_shared(std::uint64_t number, const std::type_info& type) const {
    const Shares::Entry& entry = shares_->entries[number - 1];
    if (!entry.object || *entry.type != type) {
        detail::fail_value("a shared object refers to itself or to one of another type");
    }
    return entry.object;
}

}  // namespace mp::serial
